"""A user's code that is tried before any trial may do what it likes: it costs a message, never the command."""

import time
from pathlib import Path

import pytest

from snnhpo_mpi import own_code
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.own_code import try_out

LEAVES_A_PROCESS = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {program!r}])"


def try_one(attempt: str, *arguments: object) -> None:
    try_out("trainer.function", "mine.py:evaluate", attempt, arguments)


def test_what_is_fit_passes_and_what_it_started_ends_with_it(tmp_path: Path) -> None:
    try_one("builtins:exec", "pass")
    program = f"import time; time.sleep(2); open({str(tmp_path / 'left')!r}, 'w')"
    try_one("builtins:exec", LEAVES_A_PROCESS.format(program=program))
    time.sleep(3)
    assert not (tmp_path / "left").exists()


@pytest.mark.parametrize(
    ("attempt", "argument", "message"),
    [
        ("builtins:exec", "from snnhpo_mpi.errors import ConfigError; raise ConfigError('is unfit')", "^is unfit$"),
        ("builtins:exec", "raise ValueError(chr(0x2603) * 1_000_000)", "ValueError: \N{SNOWMAN}\N{SNOWMAN}"),
        ("sys:exit", 0, "SystemExit: 0"),
        ("os:_exit", 0, r"^trainer.function: mine.py:evaluate ended its process \(exit code 0\) while"),
        ("os:_exit", 7, r"\(exit code 7\)"),
        ("builtins:exec", "import os; os.abort()", r"\(signal 6\)"),
    ],
)
def test_whatever_it_does_is_said(attempt: str, argument: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        try_one(attempt, argument)


def test_what_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_code, "LIMIT_S", 1.0)
    with pytest.raises(ConfigError, match="was not imported and tried within 1 s"):
        try_one("time:sleep", 60)
