"""A training cut after an epoch and continued elsewhere is the uncut one; a file that does not fit is not used."""

import logging
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnhpo_mpi.config import ChanceSettings, SaturationSettings, StudyConfig
from snnhpo_mpi.snn import checkpoint
from snnhpo_mpi.snn.checkpoint import Checkpoints, RandomState
from snnhpo_mpi.snn.state_file import unpacked
from snnhpo_mpi.trial import State, Trial

SPACES = {
    "stdp": {"nu_pre": {"type": "float", "low": 1e-6, "high": 1}},
    "slayer": {"tau_grad": {"type": "float", "low": 0.1, "high": 1}},
}
FIXED = {
    "stdp": {"map_size": 20, "nu_post": 5e-3, "strength_exc": 100.0, "strength_inh": 250.0, "e_tc_decay": 100.0},
    "slayer": {"c1_filters": 2, "c1_k": 9, "c2_filters": 3, "c2_k": 5, "batch_size": 8, "threshold": 0.5},
}
PARAMS: dict[str, dict[str, Any]] = {"stdp": {"nu_pre": 1e-4}, "slayer": {"tau_grad": 0.1}}
LAYER = {"stdp": "excitatory", "slayer": "output"}


def config(name: str = "stdp", **fixed: Any) -> StudyConfig:
    dataset = {"name": "digits5000", "train": 30, "held_out": 10}
    return StudyConfig.model_validate(
        {
            "study": {"name": "small", "seed": 3},
            "budget": {"trials": 1},
            "trainer": {"name": name, "dataset": dataset, "encoding": {"steps": 12, "max_rate_hz": 512}},
            "stopping": [{"layer": LAYER[name], "alpha": 1, "beta": 0.99, "warm_up": 25}],
            "fixed": FIXED[name] | {"epochs": 3} | fixed,
            "space": SPACES[name],
        }
    )


def trainer(settings: StudyConfig, folder: Path | None) -> Any:
    from snnhpo_mpi.study.build import build_trainer

    return build_trainer(settings, "cpu", lambda progress: None, folder)


class JobEndError(Exception):
    """The end of the job."""


@pytest.mark.parametrize("n_epochs", [1, 3])
@pytest.mark.parametrize(
    "decoder", [pytest.param("2gram", marks=pytest.mark.stdp), pytest.param("rate", marks=pytest.mark.slayer)]
)
def test_a_training_cut_after_any_epoch_continues_to_the_very_same_outcome(
    decoder: str, n_epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "stdp" if decoder == "2gram" else "slayer"
    settings, trial = config(name, decoder=decoder), Trial(7, PARAMS[name], 11)
    uncut = trainer(settings, tmp_path / "uncut").evaluate(trial)
    saved = []

    def cut_after(self: Checkpoints, *arguments: Any) -> None:
        save(self, *arguments)
        saved.append(1)
        if len(saved) == n_epochs:
            raise JobEndError

    save = Checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", cut_after)
        with pytest.raises(JobEndError):
            trainer(settings, tmp_path / "cut").evaluate(trial)
    torch.manual_seed(99)  # another process, with another past
    resumed = trainer(settings, tmp_path / "cut").evaluate(trial)
    assert resumed.metrics["resumed_after_epoch"] == n_epochs
    assert (resumed.state, resumed.objective, resumed.constraints, resumed.curves) == (
        State.COMPLETED, uncut.objective, uncut.constraints, uncut.curves,
    )  # fmt: skip
    same = ("train_accuracy", "n_samples", "n_samples_planned")
    assert [resumed.metrics[key] for key in same] == [uncut.metrics[key] for key in same]
    assert "resumed_after_epoch" not in uncut.metrics
    assert bits_after_the_last_epoch(tmp_path / "cut") == bits_after_the_last_epoch(tmp_path / "uncut")


def bits_after_the_last_epoch(folder: Path) -> list[tuple[str, Any]]:
    """Weights, thresholds, moments, generators and counts of the only checkpoint, all but measured seconds and MB."""
    (path,) = folder.iterdir()
    found = unpacked(path.read_bytes()[:-4])
    assert found["state"]["log"]["epoch"] == 3
    return [leaf for leaf in leaves(found, "") if not leaf[0].endswith(("/seconds", "/peak_memory_mb"))]


def leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, f"{place}/{key}")
    else:
        yield place, value if isinstance(value, int | float | str | None) else np.asarray(value).tobytes()


class Number:
    """The smallest part there is."""

    def __init__(self, value: int) -> None:
        self.value = value

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = state["value"]


TRIAL = Trial(7, {"nu_pre": 0.1, "decoder": "all"}, 3)


def checkpoints(folder: Path, settings: StudyConfig | None = None) -> Checkpoints:
    return Checkpoints(folder, settings or config(), "cpu")


def restored(folder: Path, trial: Trial = TRIAL, settings: StudyConfig | None = None) -> int:
    part = Number(-1)
    assert checkpoints(folder, settings).restore(trial, {"n": part}) is (part.value != -1)
    return part.value


def test_a_checkpoint_counts_for_its_own_training_only(tmp_path: Path) -> None:
    checkpoints(tmp_path).save(TRIAL, {"n": Number(5)})
    assert restored(tmp_path) == 5
    assert restored(tmp_path, Trial(8, TRIAL.params, 3)) == -1
    assert restored(tmp_path, Trial(7, TRIAL.params, 4)) == -1
    assert restored(tmp_path, Trial(7, {"nu_pre": 0.2, "decoder": "all"}, 3)) == -1
    assert restored(tmp_path, settings=config(map_size=30)) == -1
    for rule in (
        {"saturation": (SaturationSettings(layer="inhibitory"),)},
        {"chance": ChanceSettings(after_epochs=2)},
        {"stopping": ()},
    ):
        assert restored(tmp_path, settings=config().model_copy(update=rule)) == -1  # counted by other rules
    other_budget = config().model_copy(update={"budget": config().budget.model_copy(update={"trials": 9})})
    assert restored(tmp_path, settings=other_budget) == 5


class Attack:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content + zlib.crc32(content).to_bytes(4, "little"))


@pytest.mark.parametrize("kind", ["pickle", "torch", "cut", "flipped", "empty", "tensor"])
def test_a_foreign_or_damaged_checkpoint_runs_no_code_and_the_trial_begins_anew(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints(tmp_path).save(TRIAL, {"n": Number(5)})
    (path,) = tmp_path.iterdir()
    whole, trap = path.read_bytes(), tmp_path / "trap"
    match kind:
        case "pickle":
            write(path, pickle.dumps(Attack(trap)))
        case "torch":
            torch.save({"of": "", "state": Attack(trap)}, path)
            write(path, path.read_bytes())
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "flipped":
            path.write_bytes(whole[:300] + bytes([whole[300] ^ 4]) + whole[301:])
        case "empty":
            path.write_bytes(b"")
        case "tensor":
            torch.save(torch.zeros(3), path)
            write(path, path.read_bytes())
    with caplog.at_level(logging.WARNING):
        assert restored(tmp_path) == -1
    assert "begins anew" in caplog.text
    assert not trap.exists()


def test_a_full_disk_costs_the_checkpoint_and_not_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = checkpoints(tmp_path)
    one.save(TRIAL, {"n": Number(5)})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("snnhpo_mpi.host.atomic_write.os.fsync", full)
    one.save(TRIAL, {"n": Number(6)})
    assert "No space left" in caplog.text
    assert restored(tmp_path) == 5  # the one before stays
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_run_before_left_behind_is_removed(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        checkpoints(tmp_path).save(Trial(number, {}, 0), {"n": Number(1)})
    (tmp_path / "trial_000002.host.17.new").touch()
    checkpoint.tidy(tmp_path, [2, 9])
    assert [path.name for path in tmp_path.iterdir()] == ["trial_000002.state"]
    checkpoint.remove(tmp_path, [2, 2])
    assert list(tmp_path.iterdir()) == []
    checkpoint.tidy(tmp_path / "absent", [])


def test_random_numbers_go_on_where_they_were() -> None:
    spikes = torch.Generator().manual_seed(5)
    torch.manual_seed(1)
    state = RandomState(spikes).state_dict()
    drawn = torch.rand(3), torch.rand(3, generator=spikes)
    other = torch.Generator().manual_seed(8)
    RandomState(other).load_state_dict(state)
    assert torch.equal(torch.rand(3), drawn[0])
    assert torch.equal(torch.rand(3, generator=other), drawn[1])
