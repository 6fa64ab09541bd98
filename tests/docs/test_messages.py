"""The table of messages in docs/clusters.md: each message is what the program says."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import fake_study
import pytest
import torch

from snnhpo_mpi import cli
from snnhpo_mpi.comm import mpi
from snnhpo_mpi.errors import SnnhpoError
from snnhpo_mpi.host.device import choose_device
from snnhpo_mpi.host.launchers import check_launch
from snnhpo_mpi.host.scratch import scratch_folder
from snnhpo_mpi.master.ending import Ending
from snnhpo_mpi.snn import triton_available
from snnhpo_mpi.snn.device import checked
from snnhpo_mpi.snn.slayer.lava_kernels import build, cache
from snnhpo_mpi.study.progress import Tally
from snnhpo_mpi.study.words import last_words

ROOT = Path(__file__).parents[2]
CLUSTERS = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")


def quoted() -> list[list[str]]:
    """The messages of the table."""
    table = CLUSTERS.partition("| message | what to do |\n|---|---|\n")[2].partition("\n\n")[0]
    return [re.findall(r"`([^`]+)`", line.split(" | ")[0]) for line in table.splitlines()]


def said_by(raises: Callable[[], object]) -> str:
    with pytest.raises(SnnhpoError) as raised:
        raises()
    return str(raised.value)


def wrong_launcher(monkeypatch: pytest.MonkeyPatch) -> str:
    return said_by(lambda: check_launch(0, 1, {"PMI_RANK": "0", "PMI_SIZE": "9"}))


def foreign_library(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(mpi, "_load_mpi", lambda: SimpleNamespace(Get_library_version=lambda: "MPICH Version: 5.0.2"))
    return said_by(lambda: mpi.connect({"OMPI_COMM_WORLD_SIZE": "9"}))


def no_library(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    return said_by(mpi._load_mpi)


def missing_rank(monkeypatch: pytest.MonkeyPatch) -> str:
    """What the C library says of a process that ends by the alarm; the stack is Python's."""
    return f"in {mpi._initialise.__name__}\n{signal_text('ALRM')}"


def signal_text(name: str) -> str:
    done = subprocess.run(
        ["bash", "-c", f"bash -c 'kill -{name} $$'; true"], capture_output=True, text=True, check=True
    )
    return done.stderr


def broken_gpu(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(torch, "ones", lambda *size, device: (_ for _ in ()).throw(RuntimeError("no kernel image")))
    return said_by(lambda: checked("cuda:0"))


def no_gpu(monkeypatch: pytest.MonkeyPatch) -> str:
    slot = {"slot": 0, "gpus": "auto", "trials_per_gpu": 1, "threads": 1, "n_cores": 1}
    return said_by(lambda: choose_device(**slot, visible=(), n_granted=4))


def no_compiler(monkeypatch: pytest.MonkeyPatch) -> str:
    said: list[str] = []
    monkeypatch.setattr(triton_available.log, "warning", lambda text, *values: said.append(text % values))
    assert not triton_available._compiles.__wrapped__("cuda:99")
    return said[0]


def no_kernel(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H100")
    monkeypatch.setattr(cache, "find", lambda kernel, architecture: None)
    return said_by(lambda: cache.use_kernels("cuda:0"))


def old_architecture(monkeypatch: pytest.MonkeyPatch) -> str:
    answer = SimpleNamespace(stdout="compute_75\ncompute_80\n")
    monkeypatch.setattr(build.subprocess, "run", lambda *command, **options: answer)
    return said_by(lambda: build._check_architectures(Path("/cuda"), [70]))


def no_scratch(monkeypatch: pytest.MonkeyPatch) -> str:
    return said_by(lambda: scratch_folder({"TMPDIR": "/dev/null"}).__enter__())


def requeued_often(monkeypatch: pytest.MonkeyPatch) -> str:
    script = "source slurm/launch.sh; max_requeues=20; requeue 75 20"
    job = {**os.environ, "SLURM_JOB_ID": "1"}
    done = subprocess.run(
        ["bash", "-c", f"cancelled=0; {script}"], cwd=ROOT, env=job, capture_output=True, text=True, check=True
    )
    return done.stdout


def no_worker(monkeypatch: pytest.MonkeyPatch) -> str:
    return last_words(Ending.NO_WORKERS, Tally(5), Path("results/mine"), False)


def already_there(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    (folder / "toy.py").write_text("def evaluate(params, seed, device): ...")
    (folder / "toy.yaml").write_text(
        "study: {name: toy}\nbudget: {trials: 3}\noptimizer: {name: sobol}\n"
        "trainer: {name: python, function: 'toy.py:evaluate'}\nspace: {x: {type: float, low: 0, high: 1}}\n"
    )
    fake_study.written(folder / "results" / "toy", 3)
    monkeypatch.chdir(folder)
    assert cli.main(["run", "toy.yaml"]) == 3
    return ""


SAYS: dict[str, Callable[[pytest.MonkeyPatch], str]] = {
    "the launcher started": wrong_launcher,
    "Open MPI's mpiexec": foreign_library,
    "mpi4py found": no_library,
    "Alarm clock": missing_rank,
    "cuda:0": broken_gpu,
    "Slurm granted": no_gpu,
    "networks are computed": no_compiler,
    "lava-dl's": no_kernel,
    "... does not know": old_architecture,
    "no temporary folder": no_scratch,
    "not finished": requeued_often,
    "stopped: no worker": no_worker,
}
ELSEWHERE = ("can't honor",)  # Open MPI's and Slurm's own words


@pytest.mark.parametrize("messages", quoted(), ids=lambda messages: messages[0])
def test_the_table_of_messages_has_the_words_that_are_said(
    messages: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if messages[0].startswith(ELSEWHERE):
        return
    if "holds a study" in messages[0]:
        said = already_there(monkeypatch, tmp_path) + caplog.text
    else:
        (says,) = (function for start, function in SAYS.items() if messages[0].startswith(start))
        said = says(monkeypatch)
    for message in messages:
        for part in message.split("..."):
            assert part.strip(" ,") in said


def test_every_message_that_can_be_said_has_its_place_in_the_table() -> None:
    starts = [messages[0] for messages in quoted()]
    assert all(any(start.startswith(known) for start in starts) for known in (*SAYS, *ELSEWHERE))
