"""Folders of runs may be shared: nothing in them is executed. What the whole package must not call, and what it may."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import snnhpo_mpi

ROOT = Path(snnhpo_mpi.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# A supervisor pickles its own settings into the standard input of the evaluator that it starts: no file, no network.
UNPICKLES = {"worker/evaluator_process.py"}
UNSAFE_IMPORTS = {"dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "eval",
    "exec",
    "compile",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "os.system",
    "pd.read_pickle",
}


def name_of(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{name_of(value)}.{attribute}"
    return "?"


def faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"imports {name}" for name in names if name.partition(".")[0] in UNSAFE_IMPORTS)
        if isinstance(node, ast.Call):
            called = name_of(node.func)
            options = {keyword.arg: getattr(keyword.value, "value", "?") for keyword in node.keywords}
            if called in UNSAFE_CALLS:
                yield f"calls {called}"
            if called == "torch.load" and options.get("weights_only") is not True:
                yield "calls torch.load without weights_only"
            if options.get("allow_pickle") or options.get("shell"):
                yield f"calls {called} with {options}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_runs_what_a_file_says(path: Path) -> None:
    found = set(faults(ast.parse(path.read_text())))
    allowed = {"calls pickle.load"} if str(path.relative_to(ROOT)) in UNPICKLES else set()
    assert found == allowed


def test_the_search_for_faults_finds_them() -> None:
    unsafe = ("import dill", "pickle.loads(x)", "eval('1')", "yaml.load(x)", "torch.load(p)")
    text = "\n".join([*unsafe, "np.load(p, allow_pickle=True)", "run('x', shell=True)"])
    assert len(set(faults(ast.parse(text)))) == 7
    assert not set(faults(ast.parse("torch.load(p, weights_only=True)\nnp.load(p)\nyaml.safe_load(x)\n")))
