"""Every experiment of ``configs/`` on small data: valid, ``check`` passes, two of its random trials run to an end."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from recording_files import write_all, write_digits

from snnhpo_mpi.config import StudyConfig, load_config
from snnhpo_mpi.study.build import build_optimizer, build_trainer
from snnhpo_mpi.study.check import describe
from snnhpo_mpi.trial import State

CONFIGS = Path(__file__).parents[2] / "configs"
STDP = ["mnist_stdp", "fashion_mnist_stdp", "mnist_latency_stdp", "gesture_stdp"]
SLAYER = ["mnist_slayer", "gesture_slayer", "nmnist_slayer", "shd_slayer"]
N_SEARCHED = {"gesture_stdp": 20, "shd_slayer": 14} | dict.fromkeys(SLAYER[:3], 17) | dict.fromkeys(STDP[:3], 19)
SMALL = [  # what exists of these is made smaller
    "space.epochs.high=2", "space.map_size.high=40", "space.batch_size.high=6", "space.hidden.high=20",
    "space.c1_filters.high=3", "space.c2_filters.high=3",
]  # fmt: skip
EXPERIMENTS = [pytest.param(name, marks=pytest.mark.stdp) for name in STDP]
EXPERIMENTS += [pytest.param(name, marks=pytest.mark.slayer) for name in SLAYER]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_all(root)
    write_digits(root, "MNIST/raw")
    write_digits(root, "FashionMNIST/raw")
    return root


def small(name: str, root: Path, monkeypatch: pytest.MonkeyPatch, train: int = 8, held_out: int = 4) -> StudyConfig:
    monkeypatch.setenv("SNNHPO_DATA", str(root))
    monkeypatch.setenv("SNNHPO_CACHE", str(root / "cache"))
    full = load_config(CONFIGS / f"{name}.yaml")
    assert len(full.space) == N_SEARCHED[name]
    changes = [text for text in SMALL if text.split(".")[1] in full.space]
    return load_config(
        CONFIGS / f"{name}.yaml", [f"trainer.dataset.train={train}", f"trainer.dataset.held_out={held_out}", *changes]
    )


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_passes_its_check_and_runs_two_trials(name: str, root: Path, monkeypatch) -> None:
    config = small(name, root, monkeypatch)
    lines = list(describe(config, import_function=False))
    assert any("8 training and 4 held-out samples" in line for line in lines)
    optimizer, trainer = build_optimizer(config), build_trainer(config, "cpu", lambda progress: None)
    for _ in range(2):
        trial = optimizer.ask().trial
        outcome = trainer.evaluate(trial)
        assert outcome.state in (State.COMPLETED, State.STOPPED)
        assert len(outcome.constraints) == len(config.constraint_names)
        assert (outcome.state is State.STOPPED) == (not outcome.feasible)
        optimizer.tell(outcome)


@pytest.mark.slayer
def test_real_recordings_are_learnt(tmp_path: Path, monkeypatch) -> None:
    packs = os.environ.get("SNNHPO_TEST_PACKS")
    if not packs or not (pack := Path(packs) / "nmnist_1100.tar.xz").is_file():
        pytest.skip("SNNHPO_TEST_PACKS names no folder with nmnist_1100.tar.xz")
    with tarfile.open(pack) as archive:
        archive.extractall(tmp_path, filter="data")
    config = small("nmnist_slayer", tmp_path, monkeypatch, train=200, held_out=100)
    params = {
        "epochs": 3, "batch_size": 10, "decoder": "max", "c1_filters": 6, "c2_filters": 8, "c1_k": 5, "c2_k": 4,
        "learning_rate": 0.005, "tau_grad": 0.1, "scale_grad": 1.0, "threshold": 1.0, "threshold_step": 0.05,
        "current_decay": 0.4, "voltage_decay": 0.1, "threshold_decay": 0.1, "refractory_decay": 0.5, "dropout": 0.02,
    }  # fmt: skip
    trial = build_optimizer(config).ask().trial
    outcome = build_trainer(config, "cpu", lambda progress: None).evaluate(type(trial)(0, params, 1))
    assert outcome.state is State.COMPLETED and outcome.objective is not None
    assert outcome.objective > 0.3


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from snnhpo_mpi.worker.outcomes import raised, ruins_process
from snnhpo_mpi.config import load_config
from snnhpo_mpi.study.build import build_trainer
from snnhpo_mpi.trial import Trial

config = load_config(Path(sys.argv[1]), sys.argv[2:])
trainer = build_trainer(config, "cpu", lambda progress: None)
if config.trainer.name == "slayer":
    import torch
    torch.optim.Adam([torch.zeros(1)])  # the first one imports more of torch, which is not what is short here
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
largest = {name: getattr(parameter, "high", None) or parameter.choices[0] for name, parameter in config.space.items()}
try:
    print(trainer.evaluate(Trial(3, largest, 1)))
except Exception as error:
    print(ruins_process(error), raised(3, error).error)
"""


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        pytest.param("gesture_stdp", "numpy.", "MemoryError: Unable to allocate", marks=pytest.mark.stdp),
        pytest.param("gesture_slayer", "RuntimeError: ", "can't allocate memory", marks=pytest.mark.slayer),
    ],
)
def test_a_gesture_network_without_enough_memory_fails_with_that_reason(
    name: str, error: str, reason: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(name, root, monkeypatch)
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(CONFIGS / f"{name}.yaml")]
    command += ["trainer.dataset.train=8", "trainer.dataset.held_out=4", "workers.threads=1"]
    said = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120
    )
    assert said.stdout.startswith(f"True {error}"), said.stdout + said.stderr
    assert reason in said.stdout.splitlines()[0]
