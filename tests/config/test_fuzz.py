"""Whatever a file holds: exit 2 with a message, or a valid configuration; never a traceback, never code that runs."""

import copy
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snnhpo_mpi import cli
from snnhpo_mpi.config import StudyConfig, load_config

VALID = """\
study: {name: toy, seed: 3}
budget: {trials: 10, wall_time: 1h 30min}
optimizer: {name: random}
trainer: {name: python, function: "mine.py:evaluate", constraints: [cliff]}
workers: {threads: 1}
fixed: {seconds: 0.5}
space:
  x: {type: float, low: 1e-4, high: 1e-2, scale: log}
  kind: {type: categorical, choices: [plain, fancy, 3]}
"""
BODY = "from pathlib import Path\nPath('imported').touch()\ndef evaluate(params, seed, device):\n    return {}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the function that the valid configuration names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(BODY)
    return tmp_path


def checked(folder: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> int:
    """The exit code of ``snnhpo check``; what it must not do is looked for."""
    path = folder / "fuzzed.yaml"
    path.write_bytes(content)
    capsys.readouterr()
    code = cli.main(["check", str(path)])
    said = capsys.readouterr()
    assert code in (0, 2)
    if code == 2:
        assert said.err.startswith("snnhpo: ") and len(said.err) > 20 and "Traceback" not in said.err
    else:
        config = load_config(path)
        assert StudyConfig.model_validate_json(config.model_dump_json()) == config
    assert sorted(p.name for p in folder.iterdir()) == ["fuzzed.yaml", "mine.py"]  # nothing was imported or written
    return code


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=4)
)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), v, max_size=3)
)
STANDARD = "binary timestamp set omap pairs int float bool null str map seq merge value"
HOSTILE = "!mine !!python/none !!python/tuple !!python/name:os.system !!python/object/apply:os.mkdir"
TAGS = st.sampled_from([*(f"!!{name}" for name in STANDARD.split()), *HOSTILE.split()])
FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes(content: bytes, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(folder, content, capsys) == 2


@FUZZ
@given(value=VALUES)
def test_any_yaml(value: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(folder, yaml.safe_dump(value, allow_unicode=True).encode(), capsys) == 2


@FUZZ
@given(data=st.data())
def test_any_value_anywhere_in_a_valid_configuration(
    data: st.DataObject, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = copy.deepcopy(yaml.safe_load(VALID))
    parent: Any = config
    while True:
        key = data.draw(st.sampled_from(list(parent) if isinstance(parent, dict) else list(range(len(parent)))))
        if not isinstance(parent[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            break
        parent = parent[key]
    parent[key] = data.draw(VALUES)
    checked(folder, yaml.safe_dump(config, allow_unicode=True).encode(), capsys)


@FUZZ
@given(data=st.data())
def test_any_tag_before_any_value(data: st.DataObject, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = data.draw(st.sampled_from([m.end() for m in re.finditer(r": |\[|, ", VALID)]))
    checked(folder, f"{VALID[:place]}{data.draw(TAGS)} {VALID[place:]}".encode(), capsys)


@FUZZ
@given(data=st.data())
def test_any_character_anywhere(data: st.DataObject, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = data.draw(st.integers(0, len(VALID) - 1))
    inserted = data.draw(
        TAGS.map(lambda tag: f" {tag} ") | st.text(max_size=3) | st.sampled_from("&*!|>%@`{}[]:,-#\"'\n\t")
    )
    kept = place + data.draw(st.integers(0, 3))
    checked(folder, (VALID[:place] + inserted + VALID[kept:]).encode("utf-8", "replace"), capsys)


@FUZZ
@given(assignment=st.text(max_size=30) | st.tuples(st.sampled_from(["study.name", "space.x", "fixed"]), VALUES).map(
    lambda pair: f"{pair[0]}={json.dumps(pair[1], default=str)}"
))  # fmt: skip
def test_any_override(assignment: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "valid.yaml").write_text(VALID)
    assert cli.main(["check", "valid.yaml", f"--set={assignment}"]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir [made]", "!!python/object/apply:os.mkdir {args: [made]}"]
)
def test_a_tag_that_would_run_code_runs_none(tag: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(folder, f"{VALID}baseline: {tag}\n".encode(), capsys) == 2
    assert not (folder / "made").exists()


@pytest.mark.parametrize(
    "name",
    ["../escaped", "/tmp/escaped", "a/b", "..", ".", ".hidden", "a\\b", "a b", "a\n", "", "a" * 101, "ä", "a\0b"],
)
def test_a_study_s_name_cannot_lead_out_of_the_results_folder(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load(VALID) | {"study": {"name": name}}
    assert checked(folder, yaml.safe_dump(config).encode(), capsys) == 2


def test_a_function_is_imported_by_check_only_when_told_to(folder: Path) -> None:
    (folder / "valid.yaml").write_text(VALID)
    assert cli.main(["check", "valid.yaml"]) == 0
    assert not (folder / "imported").exists()
    assert cli.main(["check", "valid.yaml", "--import"]) == 0
    assert (folder / "imported").exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def evaluate(:\n", "SyntaxError"),
        ("raise RuntimeError('no licence')\n", "RuntimeError: no licence"),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
        ("import no_such_package\n", "no_such_package"),
        ("x = 1\n", "has no function evaluate"),
    ],
)
def test_a_function_that_cannot_be_imported_is_a_mistake_of_the_configuration(
    body: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.py").write_text(body)
    (folder / "valid.yaml").write_text(VALID)
    assert cli.main(["check", "valid.yaml", "--import"]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture(autouse=True)
def _own_path_and_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv("SNNHPO_DATA", raising=False)
    assert os.environ.get("SNNHPO_DATA") is None
