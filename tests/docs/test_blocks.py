"""Every command, configuration and Python block of the documentation is one that the program takes."""

import argparse
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import fake_study
import pytest
import yaml
from documents import PAGES, ROOT, blocks, prose, text

from snnhpo_mpi import cli
from snnhpo_mpi.config import DatasetSettings, EncodingSettings, load_config

LAUNCHER = re.compile(r"^(?:mpiexec|mpirun)(?: -n \d+)? ")
BATCH = {"search": "run", "search_cpu": "run", "retrain": "retrain"}  # what follows a batch file goes to this command
SUBMITTED = re.compile(r"^sbatch (?:--array=\S+ )?slurm/(\w+)\.sbatch ")
TO_WRITE = ("configs/mine.yaml", "mine.yaml")  # the reader's own


def commands() -> list[tuple[str, str]]:
    """(page:line, command) of every command of a block, and of those that its comments name."""
    found = []
    for place, code in blocks("sh"):
        for line in code.splitlines():
            given, _, comment = line.partition(" #")
            named = re.findall(r"(?:mpiexec -n \d+ )?snnhpo .*", comment)
            found += [(place, started(command.strip())) for command in [*given.split(" && "), *named]]
    return found


def spoken() -> list[tuple[str, str]]:
    """(page, command) of every command that a sentence names."""
    return [
        (page.name, started(command))
        for page in PAGES
        for command in re.findall(r"`([^`\n]*\bsnnhpo [^`]+)`", prose(page))
    ]


def started(command: str) -> str:
    """What a launcher or the batch system starts."""
    if batch := SUBMITTED.match(command):
        return f"snnhpo {BATCH[batch[1]]} {command[batch.end() :]}"
    return LAUNCHER.sub("", command).split(" > ")[0]


class ParsedError(Exception):
    """The arguments were taken."""


def parsed(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Parse a command line as the program does, and go no further; a command alone is only named."""
    if len(arguments) == 1:
        with pytest.raises(SystemExit, match="0"):
            cli.main([*arguments, "--help"])
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self: argparse.ArgumentParser, *given: list[str]) -> None:
        parse(self, *given)
        raise ParsedError

    if arguments[0] == "bench":
        benchmark = import_module(f"snnhpo_mpi.bench.{arguments[1]}")
        parser = argparse.ArgumentParser()
        benchmark.add_arguments(parser)
        parser.parse_args(arguments[2:])
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    with pytest.raises(ParsedError):
        cli.main(arguments)


PROGRAMS = sorted({one for one in [*commands(), *spoken()] if one[1].startswith("snnhpo ")})


@pytest.mark.parametrize(("place", "command"), PROGRAMS, ids=[f"{place} {command}" for place, command in PROGRAMS])
def test_the_program_takes_the_command(place: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"CONFIG": "configs/mine.yaml", "RUN": "results/mine"}
    parsed(monkeypatch, [known.get(word, word) for word in shlex.split(command)[1:]])


def test_commands_were_found() -> None:
    said = {command.split()[1] for _, command in PROGRAMS}
    assert {
        "run",
        "check",
        "status",
        "report",
        "best",
        "compare",
        "retrain",
        "export",
        "data",
        "schema",
        "bench",
    } <= said


@pytest.mark.parametrize(("place", "code"), blocks("sh"), ids=[place for place, _ in blocks("sh")])
def test_a_shell_reads_the_block_and_its_files_exist(place: str, code: str) -> None:
    subprocess.run(["bash", "-n"], input=code, text=True, check=True)
    for target in re.findall(r"^make (\S+)", code, re.MULTILINE):
        assert re.search(rf"^{target}:", text("Makefile"), re.MULTILINE), target
    for path in re.findall(r"\b(?:configs|slurm|tests|docs)/[\w./-]+", code):
        assert path in TO_WRITE or (ROOT / path).exists(), path


def test_every_configuration_is_valid(tmp_path: Path) -> None:
    """A block that is a part of a configuration is put into a whole one of its kind."""
    whole = {"slayer": yaml.safe_load(text("configs/quickstart_slayer.yaml"))} | {
        yaml.safe_load(code)["trainer"]["name"]: yaml.safe_load(code)
        for _, code in blocks("yaml")
        if "study:  " in code
    }
    assert set(whole) == {"stdp", "slayer", "torch", "python"}
    for i, (place, code) in enumerate(blocks("yaml")):
        part = yaml.safe_load(code)
        base = whole[part.get("trainer", {"name": "stdp"})["name"]]
        file = tmp_path / f"{i}.yaml"
        file.write_text(code if {"study", "trainer", "space"} <= set(part) else yaml.safe_dump(base | part))
        load_config(file, []), place


def block(kind: str, words: str, page: str) -> str:
    (found,) = (code for place, code in blocks(kind) if words in code and place.startswith(page))
    return found


def test_every_python_block_has_a_test() -> None:
    ran = (
        "train_my_network",
        "train_an_epoch",
        "def silent_share",
        "class Net(nn.Module)",
        "load_network",
        ".frame()",
        "h5py.File",
        "Scbo(",
        "class Mine",  # in tests/study/test_run.py
        "snn_stdp",
        "np.load(",
        "frequency",
    )
    for place, code in blocks("python"):
        compile(code, place, "exec")
        assert any(words in code for words in ran), place


def test_the_function_is_one_that_the_program_calls() -> None:
    from snnhpo_mpi.worker.user_function import outcome_of

    names = {"train_my_network": lambda threshold, seed, device: (0.9, 0.25)}
    exec(block("python", "train_my_network", "own-network.md"), names)
    outcome = outcome_of(0, names["evaluate"]({"threshold": 1.0}, 3, "cpu"), ["silent"])
    assert (outcome.objective, outcome.constraints) == (0.9, (0.15,))


def test_the_function_that_reports_returns_when_it_is_told_to(tmp_path: Path) -> None:
    from snnhpo_mpi.config import PythonSettings
    from snnhpo_mpi.trial import Interim, State, Trial
    from snnhpo_mpi.worker.user_function import FunctionTrainer

    network = "class Network:\n    def train_an_epoch(self): return 0.5\ndef build(**params): return Network()\n"
    (tmp_path / "mine.py").write_text(network + block("python", "train_an_epoch", "own-network.md"))
    sent: list[Interim] = []
    line = (sent.append, lambda number: 7 if len(sent) == 7 else None)
    settings = PythonSettings(name="python", function=f"{tmp_path}/mine.py:evaluate")
    outcome = FunctionTrainer(settings, {}, "cpu", line=line, prunes=True).evaluate(Trial(0, {"threshold": 1.0}, 3))
    assert (outcome.state, outcome.objective) == (State.PRUNED, 0.5)
    assert [one.position for one in sent] == [1, 2, 3, 4, 5, 6, 7]


def test_the_network_of_the_page_fits_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("snntorch", reason="snntorch is not installed")
    (tmp_path / "mynet.py").write_text(block("python", "class Net(nn.Module)", "own-network.md"))
    (tmp_path / "mine.yaml").write_text(
        block("yaml", "network: mynet.py:Net                          # seen", "own-network.md")
    )
    monkeypatch.chdir(tmp_path)
    from snnhpo_mpi.snn.data import load
    from snnhpo_mpi.snn.torch.learner import TorchTask

    config = load_config(Path("mine.yaml"), [])
    split = load(config.trainer.dataset, 1, config.trainer.encoding)
    shown = text("docs/own-network.md").partition("```text\nnetwork\n")[2].partition("```")[0]
    assert [line.strip() for line in TorchTask(config, split, "cpu").tried()] == [
        line.strip() for line in shown.splitlines()
    ]


def test_the_series_of_the_page_on_own_networks_fit_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SNNHPO_CACHE", str(tmp_path))
    (tmp_path / "mydata.py").write_text(block("python", "frequency", "own-network.md"))
    trainer = yaml.safe_load(block("yaml", "mean_square", "own-network.md"))["trainer"]
    from snnhpo_mpi.snn.data import load

    dataset, encoding = DatasetSettings(**trainer["dataset"]), EncodingSettings(**trainer["encoding"])
    split = load(dataset, 1, encoding)
    assert split.train_x.shape == (4000, 1, 1, 1, 20) and split.train_y.dtype.kind == "f"


def test_the_silent_share_is_that_of_the_samples() -> None:
    import torch

    names: dict[str, object] = {}
    exec(block("python", "def silent_share", "own-network.md"), names)
    spikes = torch.zeros(5, 4, 3)  # T x B x N
    spikes[2, 1, 0] = spikes[0, 3, 2] = spikes[4, 3, 2] = 1
    assert names["silent_share"](spikes) == 0.5
    assert names["silent_share"](spikes, alpha=2) == 0.75


@pytest.fixture
def quickstart(tmp_path: Path) -> Path:
    """A folder with a study of that name."""
    fake_study.written(tmp_path / "results" / "quickstart", 8)
    return tmp_path


def ran(code: str, folder: Path) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=folder, check=True)


def test_the_record_is_read_as_the_page_says(quickstart: Path) -> None:
    ran(block("python", ".frame()", "record.md") + "assert len(trials) == 8", quickstart)
    ran(block("python", "h5py.File", "record.md") + "assert set(decoder) <= {'all', 'vote', '2gram', 3}", quickstart)


def test_the_optimizer_is_used_as_the_page_says(quickstart: Path) -> None:
    ran(block("python", "third = ", "python.md") + "assert optimizer.ask().number == 3", quickstart)
    ran(block("python", ".frame()", "python.md") + "assert len(trials) == 8", quickstart)
    whole = block("python", "ThreadPoolExecutor", "python.md")
    ran(whole + "assert len(scores) >= 30 and max(scores.values()) > 0.89", quickstart)


@pytest.mark.parametrize("words", ["make_problem", "SnnProblem"])
def test_the_benchmark_is_used_as_the_page_says(words: str, tmp_path: Path) -> None:
    ran(block("python", words, "benchmark.md"), tmp_path)
