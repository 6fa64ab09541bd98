"""A trained network from its file: reads the classes of images."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.snn.save_network import FORMAT
from snnhpo_mpi.trial import Params


class Reader(Protocol):
    """A trained network that reads the classes of images."""

    @property
    def encoding(self) -> EncodingSettings:
        """How images are shown to it."""
        ...

    def classify(self, images: NDArray[np.uint8], seed: int) -> NDArray[np.int64]:
        """``B x C x H x W`` -> ``B`` classes, negative where it has no answer; all that is random is the seed's."""
        ...


@dataclass(frozen=True, slots=True)
class SavedNetwork:
    """A network that was loaded.

    Attributes:
        params: its hyperparameters.
        input_shape: ``C x H x W`` of an image.
        n_classes: K.
    """

    params: Params
    input_shape: tuple[int, ...]
    n_classes: int
    _reader: Reader
    _device: torch.device

    def classify(self, images: ArrayLike, seed: int = 0) -> NDArray[np.int64]:
        """Read images.

        Args:
            images: ``B x C x H x W`` uint8, of the encoding ``direct`` also float32: an array, a tensor or samples of
                ``data``.
            seed: of the spike trains that stand for them, and of whatever else the network draws.

        Returns:
            ``B`` classes, -1 where the network gives no answer.

        Raises:
            ValueError: images of another shape or type.
        """
        shown = np.asarray(images.cpu() if isinstance(images, Tensor) else images)
        kinds = (np.uint8, np.float32) if self._reader.encoding.name == "direct" else (np.uint8,)
        if shown.dtype not in kinds or shown.shape[1:4] != self.input_shape:
            wanted = " x ".join(map(str, ("B", *self.input_shape)))
            of = " or ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"images must be {wanted} of {of}, found {shown.shape} of {shown.dtype}")
        if not len(shown):
            return np.zeros(0, dtype=np.int64)
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            return self._reader.classify(shown, seed)


def read_contents(path: Path | str, device: str = "cpu") -> dict[str, Any]:
    """What a file of ``save_network`` holds, by its keys.

    Raises:
        RecordError: the file is missing, damaged, or of another kind.
    """
    try:
        contents = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise RecordError(f"{path}: cannot be read as a saved network: {error}") from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise RecordError(f"{path}: not a network of this program, or of another version")
    return contents


def load_network(path: Path | str, device: str = "cpu") -> SavedNetwork:
    """Load a network that ``snnhpo retrain --save`` wrote.

    Raises:
        RecordError: the file is missing, damaged, or of another kind.
    """
    contents = read_contents(path, device)
    where = torch.device(device)
    if contents["trainer"] == "stdp":
        from snnhpo_mpi.snn.stdp import learner as stdp

        reader: Reader = stdp.reader_of(contents | {"state": _of_arrays(contents["state"])}, device)
    elif contents["trainer"] == "torch":
        from snnhpo_mpi.snn.torch import learner as torch_learner

        reader = torch_learner.reader_of(contents, where)
    else:
        from snnhpo_mpi.snn.slayer import learner as slayer

        reader = slayer.reader_of(contents, where)
    shape = tuple(contents["input_shape"])
    return SavedNetwork(contents["params"], shape, contents["n_classes"], reader, where)


def _of_arrays(state: Any) -> Any:
    """The state with arrays for tensors."""
    if isinstance(state, dict):
        return {name: _of_arrays(value) for name, value in state.items()}
    return state.cpu().numpy() if isinstance(state, Tensor) else state
