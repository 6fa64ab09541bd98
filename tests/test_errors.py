from pathlib import Path

import pytest

from snnhpo_mpi.errors import said
from snnhpo_mpi.worker.user_function import load_function


def raised(folder: Path, body: str) -> str:
    (folder / "mine.py").write_text(f"import json\n\ndef evaluate(params, seed, device):\n    {body}\n")
    with pytest.raises(BaseException) as caught:
        load_function(f"{folder}/mine.py:evaluate")({"hidden": 3}, 1, "cpu")
    return said(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return params['width']", "KeyError: 'width' (mine.py, line 4: return params['width'])"),
        ("return json.loads('{')", "(mine.py, line 4: return json.loads('{'))"),  # not the library's own line
        ("raise SystemExit(3)", "SystemExit: 3 (mine.py, line 4: raise SystemExit(3))"),
        ("assert not params", "AssertionError (mine.py, line 4: assert not params)"),
        ("e = ValueError('odd'); e.add_note('note'); raise e", "ValueError: odd (mine.py, line 4: "),
    ],
)
def test_an_error_names_the_line_of_the_user_s_code(tmp_path: Path, body: str, message: str) -> None:
    assert message in raised(tmp_path, body)


def test_an_error_without_a_line_of_the_user_s_is_said_as_it_is() -> None:
    assert said(ValueError("odd")) == "ValueError: odd"
