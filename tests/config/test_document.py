"""Plain data to YAML and back, and what a document knows of where its values come from."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhpo_mpi.config import as_yaml, load, load_config
from snnhpo_mpi.config.document import apply_override, parse_document
from snnhpo_mpi.errors import ConfigError

LOOK_LIKE_OTHERS = [
    "1e5", "1E5", "yes", "no", "on", "null", "~", "", " ", "1_000", "0o17", "017", "0x1F", "0b1", "2026-01-01", "1:30",
    "<<", "=", ".inf", "-.INF", ".nan", "true", "a\nb", "\n", "a\r\nb", "tab\t", "\x00", "\x1b[31m", "\x85", "\u2028",
    "é", "\U0001f600", "- a", "a: b", "a #b", "#", "'", '"', "&a", "*a", "!x", "%x", "@", "`", "|", ">", "[", "{",
    "...", "---", "x" * 300, "word " * 60, "ends with a space ", "\ufeff", "!!str 3", "+1", "1.", ".5", "12e03", "0.",
    "y", "N",
]  # fmt: skip
TEXTS = st.sampled_from(LOOK_LIKE_OTHERS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = TEXTS | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.booleans() | st.none()


def kinds(value: Any) -> Any:
    """The value with its types, down to the sign of a zero."""
    return repr(value)


@given(st.recursive(VALUES, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3), max_leaves=8))
@settings(max_examples=400, deadline=None)
def test_what_is_written_is_read_as_the_very_same(value: Any) -> None:
    text = as_yaml({"value": value})
    assert text.isascii() and "\x1b" not in text and not text.endswith("\n")
    assert kinds(parse_document(text, "t").data) == kinds({"value": value})


@pytest.mark.parametrize("text", LOOK_LIKE_OTHERS)
def test_yaml_1_1_reads_texts_as_the_same_too(text: str) -> None:
    assert yaml.safe_load(as_yaml({"a": text, "b": [text]})) == {"a": text, "b": [text]}


CONFIG = """\
study: {name: toy}
budget: {trials: 10}
trainer: {name: python, function: "mine.py:evaluate"}
"""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_what_check_prints_is_the_configuration_whatever_the_terminal(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").touch()
    choices = [text for text in LOOK_LIKE_OTHERS if text != "\x00"]
    space = {"kind": {"type": "categorical", "choices": [*choices, 100000.0, 1e-5, 3]}}
    path = tmp_path / "c.yaml"
    path.write_text(f"{CONFIG}{as_yaml({'space': space, 'fixed': {'text': '1e5', 'number': 1e5, 'small': 1e-300}})}\n")
    environment = {"PYTHONIOENCODING": encoding, "LANG": "C", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "snnhpo_mpi", "check", str(path)],
        cwd=tmp_path, env=environment, capture_output=True, check=True,
    )  # fmt: skip
    resolved = done.stdout.decode(encoding).partition("\n\nspace ")[0]
    (tmp_path / "again.yaml").write_text(resolved)
    again, config = load_config(tmp_path / "again.yaml"), load_config(path)
    assert again == config
    assert kinds(again.space["kind"].choices) == kinds(config.space["kind"].choices)  # type: ignore[union-attr]


def test_the_merge_key_merges() -> None:
    document = parse_document(
        "base: &base {type: float, low: 0, high: 1}\n"
        "other: &other {scale: log, low: 7}\n"
        "x:\n  <<: *base\n  high: 2\n"
        "y:\n  <<: [*base, *other]\n"
        "z: {'<<': 3}\n",
        "t",
    )
    assert document.data["x"] == {"type": "float", "low": 0, "high": 2}
    assert document.data["y"] == {"type": "float", "low": 0, "high": 1, "scale": "log"}
    assert document.data["z"] == {"<<": 3}
    assert document.where(("x", "high")) == "t, line 5, key x.high"
    assert document.where(("x", "low")) == "t, line 1, key x.low"
    for wrong in ("a: {<<: 3}", "a: {<<: [3]}", "a: {<<: }"):
        with pytest.raises(ConfigError, match="line 1: << takes a mapping"):
            parse_document(wrong, "t")


@pytest.mark.parametrize(
    ("text", "advice"),
    [("010", "write 10 for"), ("-007", "write -7 for"), ("00", "write 0 for"), ("+09", "write 9 for")],
)
def test_a_number_that_begins_with_a_zero_is_refused_as_it_was_written(text: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=rf"t, line 2: {text.replace('+', '.')} begins with a zero: {advice}"):
        parse_document(f"a: 1\nb: {text}", "t")
    assert parse_document(f"a: '{text}'\nb: 0\nc: 0.5\nd: 0e1", "t").data == {"a": text, "b": 0, "c": 0.5, "d": 0.0}


def test_a_value_given_by_an_option_is_at_that_option() -> None:
    document = parse_document("a:\n  b: {c: 1}\n  d: [1, {e: 2}]\n", "t")
    apply_override(document, "a.b={c: 3}")
    apply_override(document, "a.d.1.e=4")
    apply_override(document, "n=5", "--n 5")
    assert document.where(("a", "b", "c")) == "--set a.b={c: 3}, key a.b.c"
    assert document.where(("a", "d", 1, "e")) == "--set a.d.1.e=4, key a.d.1.e"
    assert document.where(("a", "d", 0)) == "t, line 3, key a.d.0"
    assert document.where(("n",)) == "--n 5, key n"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("a.b=010", "--set a.b=010: 010 begins with a zero: write 10 for the number"),
        ("a.b={c: 1", "--set a.b={c: 1: not valid YAML: expected ',' or '}'"),
        ("a.d.7=1", "--set a.d.7=1: 7 is not one of the items 0 to 1 of a.d"),
        ("a.b.c.d=1", "--set a.b.c.d=1: a.b.c holds no keys"),
        ("a b", "--set a b: write it as key.key=value"),
        ("a=" + "x" * 5000 + ": [", "not valid YAML"),
    ],
)
def test_an_option_that_cannot_be_applied_is_said_in_one_line(assignment: str, message: str) -> None:
    document = parse_document("a:\n  b: {c: 1}\n  d: [1, {e: 2}]\n", "t")
    with pytest.raises(ConfigError) as error:
        apply_override(document, assignment)
    assert message in str(error.value) and len(str(error.value)) < 300 and "line" not in str(error.value)


def test_later_errors_that_begin_with_a_key_get_its_place() -> None:
    document = parse_document("trainer:\n  dataset:\n    train: 5001\n", "t")
    for said, expected in (
        ("trainer.dataset.train: too many", "t, line 3, key trainer.dataset.train: too many"),
        ("trainer.dataset.path: no folder", "t, line 2, key trainer.dataset.path: no folder"),
        ("no key: at all", "no key: at all"),
        ("nothing", "nothing"),
    ):
        with pytest.raises(ConfigError) as error, document.located():
            raise ConfigError(said)
        assert str(error.value) == expected


def test_a_configuration_is_read_once_so_that_it_may_come_through_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    text = f"{CONFIG}space: {{x: {{type: float, low: 0, high: 1}}}}\n"
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    config, document = load(pipe)
    writer.join()
    assert document.text == text and config.study.name == "toy"
