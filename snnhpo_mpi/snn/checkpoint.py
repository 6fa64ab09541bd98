"""The training of a trial on the disk at every epoch's end, so that one cut by the end of a job goes on in the next.

A checkpoint holds everything that the rest of the training depends on, the state of every random generator included:
on a CPU the continued training is the uncut one bit for bit. What is read can run no code (``state_file``), since the
folder may be shared with others, and counts only where what was trained is the same: trial, network, data, monitors,
kind of device, versions of the libraries. Anything else in its place means that the trial begins anew.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.host.atomic_write import atomic_write
from snnhpo_mpi.snn.state_file import packed, unpacked
from snnhpo_mpi.trial import Trial

if TYPE_CHECKING:
    import torch

FOLDER = "checkpoints"
FORMAT = 4
_CHECKSUM_BYTES = 4  # CRC-32, little-endian, behind the state

log = logging.getLogger(__name__)


class Part(Protocol):
    """Something whose state goes into a checkpoint: tensors, numbers and text in dicts and lists."""

    def state_dict(self) -> Mapping[str, Any]:
        """The state, or references to it."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Take the state of another like this one."""


class Checkpoints:
    """The checkpoint files of a study; one for each running trial."""

    def __init__(self, folder: Path | None, config: StudyConfig, device: str) -> None:
        """Hand in where they are.

        Args:
            folder: made with the first checkpoint; None for no checkpoints.
            config: of the study.
            device: where trials train: ``cpu``, or as torch calls it.
        """
        self._folder = folder
        self._same = {
            "format": FORMAT,
            "versions": {library: _version(library) for library in ("numba", "numpy", "torch")},
            "device": device.partition(":")[0],
            "study_seed": config.study.seed,
            "trainer": config.trainer.model_dump(mode="json", exclude={"time_limit"}),
            **config.model_dump(mode="json", include={"stopping", "saturation", "chance"}),
            "fixed": dict(config.fixed),
        }

    def save(self, trial: Trial, parts: Mapping[str, Part]) -> None:
        """Replace the checkpoint of a trial; a disk that is full costs the checkpoint, not the trial."""
        if self._folder is None:
            return
        state = {name: dict(part.state_dict()) for name, part in parts.items()}
        content = packed({"of": self._of(trial), "state": state})
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # By many: a worker that was thought lost with this trial may be writing too.
            with atomic_write(self._path(trial), durable=True, by_many=True) as new, new.open("wb") as file:
                file.write(content)
                file.write(zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little"))
        except OSError as error:
            log.warning("no checkpoint of trial %d: %s", trial.number, error)

    def restore(self, trial: Trial, parts: Mapping[str, Part]) -> bool:
        """Bring the parts to where the trial's checkpoint left them; whether there is one that fits."""
        state = self._load(trial)
        if state is None or state.keys() != parts.keys():
            return False
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return True

    def _load(self, trial: Trial) -> dict[str, Any] | None:
        if self._folder is None:
            return None
        try:
            content = self._path(trial).read_bytes()
            body, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
            if zlib.crc32(body) != int.from_bytes(checksum, "little"):
                raise ValueError("its checksum is wrong")
            found = unpacked(body)
            of, state = found["of"], dict(found["state"])
        except FileNotFoundError:
            return None
        except Exception as error:  # of many kinds, where a file is damaged, foreign or holds code
            reason = str(error).partition("\n")[0]
            log.warning("the checkpoint of trial %d cannot be read, it begins anew: %s", trial.number, reason)
            return None
        if of != self._of(trial):
            log.warning("the checkpoint of trial %d is of another training, it begins anew", trial.number)
            return None
        return state

    def _of(self, trial: Trial) -> str:
        """What must be equal for a training to be the continuation of another."""
        facts = {"number": trial.number, "seed": trial.seed, "params": dict(trial.params)}
        return json.dumps(self._same | facts, sort_keys=True)

    def _path(self, trial: Trial) -> Path:
        assert self._folder is not None
        return self._folder / _name(trial.number)


class RandomState:
    """The state of every generator that a training draws from."""

    def __init__(self, spikes: torch.Generator) -> None:
        """Hand in the generator of spike trains, which is on the device; torch's global ones are there anyway."""
        self._spikes = spikes

    def state_dict(self) -> dict[str, torch.Tensor]:
        """A byte tensor a generator."""
        import torch

        states = {"global": torch.get_rng_state(), "spikes": self._spikes.get_state()}
        if self._spikes.device.type == "cuda":
            states["device"] = torch.cuda.get_rng_state(self._spikes.device)
        return states

    def load_state_dict(self, state: Mapping[str, torch.Tensor], /) -> None:
        """Draw what would have been drawn then."""
        import torch

        torch.set_rng_state(state["global"])
        self._spikes.set_state(state["spikes"])
        if self._spikes.device.type == "cuda":
            torch.cuda.set_rng_state(state["device"], self._spikes.device)


def remove(folder: Path, numbers: Iterable[int]) -> None:
    """Remove the checkpoints of trials that have ended."""
    for number in numbers:
        _remove(folder / _name(number))


def tidy(folder: Path, kept: Iterable[int]) -> None:
    """Remove what a run before left behind: half-written files, and checkpoints of other trials than those kept."""
    names = {_name(number) for number in kept}
    for path in folder.glob("trial_*"):
        if path.name not in names:
            _remove(path)


def _version(library: str) -> str | None:
    """None where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _name(number: int) -> str:
    return f"trial_{number:06d}.state"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be removed: %s", path, error)
