"""Samples that a function of the user's returns: images, numbers, spikes or events, as arrays or as a ``Dataset``.

The function is called once a node, and what it returned is kept in the node's cache as every other data set. What the
axes of a sample mean follows from the encoding (``_SHAPES``).

Notation: N samples, C channels, H x W pixels, T steps, F features.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config import DatasetSettings, EncodingSettings, expanded, function_file
from snnhpo_mpi.errors import ConfigError, said
from snnhpo_mpi.snn.data.binned import binned
from snnhpo_mpi.snn.data.cache import key_of, staged
from snnhpo_mpi.snn.data.columns import events_of
from snnhpo_mpi.snn.data.part import Part, Source
from snnhpo_mpi.snn.data.recordings import sizes
from snnhpo_mpi.snn.user_code import user_code

NAME = "python"
MAX_FILES = 100_000  # below a folder, that a key is made of
_ANY = NDArray[Any]
_IMAGES = "N x F, N x H x W or N x C x H x W"
_SHAPES = {
    "none": "N x T x F, N x T x H x W or N x T x C x H x W",
    "direct": f"{_IMAGES}, or in time N x T x C x H x W",
}


def read_own(dataset: DatasetSettings, encoding: EncodingSettings, part: str) -> Part:
    """All samples of a part, by way of the node's cache.

    Args:
        dataset: of the name ``python``.
        encoding: that the samples are for.
        part: train or test.

    Returns:
        Samples as ``encode`` takes them: ``N x C x H x W`` uint8; for ``direct`` also float32, and ``... x T`` in time;
        for ``events`` and ``none`` bits, ``N x C x H x W x ceil(T / 8)``. Labels are ``N`` classes, or ``N x K``
        numbers.

    Raises:
        ConfigError: the function is not there, raises, or returns something else.
    """
    key, target = named_by(dataset, part)
    file = source_file(target, key)
    place = None if dataset.path is None else expanded(dataset.path, "trainer.dataset.path")
    files = [file, *(() if place is None else _below(place))]
    make = partial(_make, _Call(target, key, place), encoding, file)
    return staged(NAME, key_of([target, encoding.model_dump(mode="json")], files), make)


def named_by(dataset: DatasetSettings, part: str) -> tuple[str, str]:
    """The key of the configuration that names the function of a part, and that function."""
    name = "function" if part == "train" else "test_function"
    target = getattr(dataset, name)
    assert isinstance(target, str)  # validated
    return f"trainer.dataset.{name}", target


def source_file(target: str, key: str) -> Path:
    """The file that a function stands in; nothing of a ``path/to/file.py:function`` is run.

    Raises:
        ConfigError: there is none.
    """
    file = function_file(target, key)
    if file is None:
        source, _, _ = target.rpartition(":")
        if (folder := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, folder)
        try:
            spec = importlib.util.find_spec(source)
        except (ImportError, ValueError):
            spec = None
        if spec is None or spec.origin is None:
            raise ConfigError(f"{key}: there is no module {source} (seen from {Path.cwd()})")
        file = Path(spec.origin)
    if not file.is_file():
        raise ConfigError(f"{key}: there is no file {file} (seen from {Path.cwd()})")
    return file


def _below(place: Path) -> list[Path]:
    """What the samples may be made of: a file, or all files of a folder."""
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise ConfigError(f"trainer.dataset.path: there is no file or folder {place}")
    found = [path for path in sorted(place.rglob("*")) if path.is_file()]
    if len(found) > MAX_FILES:
        raise ConfigError(
            f"trainer.dataset.path: {len(found):,} files are below {place}, which the samples may be made of: name a "
            f"folder of at most {MAX_FILES:,}, or leave path out and let the function know its files"
        )
    return found


class _Call:
    """The function, and what it returned when it was called."""

    def __init__(self, target: str, key: str, place: Path | None) -> None:
        """Nothing is run yet.

        Args:
            target: as the configuration has it.
            key: of the configuration.
            place: the only argument of the function; None for none.
        """
        self.target, self._key = target, key
        self._arguments = () if place is None else (str(place),)

    def returned(self) -> tuple[list[Any] | _ANY, _ANY, Any]:
        """``N`` samples, an array or a list of them; their labels; what the function returned.

        Raises:
            ConfigError: the function is not there, raises, or returned something else.
        """
        function = user_code(self.target, self._key)
        if not callable(function):
            raise self.refusal("is no function")
        try:
            found = function(*self._arguments)
            samples, labels = self._taken_apart(found)
        except ConfigError:
            raise
        except (Exception, SystemExit) as error:  # of the user's code
            raise self.refusal(f"raised {said(error)}") from error
        if len(samples) != len(labels):
            raise self.refusal(f"returned {len(samples)} samples and {len(labels)} labels")
        if not len(samples):
            raise self.refusal("returned no samples")
        return samples, self._judged(labels), found

    def _taken_apart(self, found: Any) -> tuple[list[Any] | _ANY, _ANY]:
        if isinstance(found, tuple) and len(found) == 2 and not isinstance(found[0], tuple):
            samples, labels = found
            return (samples if isinstance(samples, list) else _array(samples)), _array(labels)
        if hasattr(found, "__getitem__") and hasattr(found, "__len__"):
            pairs = [found[index] for index in range(len(found))]
            for index, pair in enumerate(pairs):
                if not isinstance(pair, Sequence) or len(pair) != 2:
                    raise self.refusal(f"must give pairs of a sample and its label, item {index} is {_kind(pair)}")
            return [pair[0] for pair in pairs], np.array([_array(pair[1]) for pair in pairs])
        raise self.refusal(
            "must return a pair of arrays, samples and labels, or a torch.utils.data.Dataset of such pairs with a "
            f"length, found {_kind(found)}"
        )

    def _judged(self, labels: _ANY) -> _ANY:
        """``N`` classes as int64, or ``N x K`` numbers as float64.

        Raises:
            ConfigError: they are neither.
        """
        if labels.dtype.kind in "iub" and labels.ndim == 1:
            if (wrong := labels < 0).any():
                index = int(wrong.argmax())
                raise self.refusal(f"gave sample {index} the class {labels[index]}: classes are numbers from 0 on")
            return labels.astype(np.int64)
        if labels.dtype.kind != "f" or labels.ndim not in (1, 2):
            raise self.refusal(
                f"must give labels of N classes (integers) or of N or N x K numbers (floats), found {_kind(labels)}"
            )
        if not np.isfinite(labels).all():
            raise self.refusal("gave labels that are not finite")
        return labels.reshape(len(labels), -1).astype(np.float64)

    def refusal(self, fault: str) -> ConfigError:
        """Of what it is or did."""
        return ConfigError(f"{self._key}: {self.target} {fault}")


def _make(call: _Call, encoding: EncodingSettings, file: Path, path: Path) -> tuple[_ANY, tuple[Source, ...]]:
    """Write all samples into a file; their labels and where they come from."""
    samples, labels, found = call.returned()
    if encoding.name == "events":
        kept = _events(call, samples, getattr(found, "sensor_size", None), encoding)
    else:
        kept = _numbers(call, samples, encoding)
    with path.open("wb") as out:
        np.save(out, kept)
    digest = hashlib.sha256(f"{kept.dtype} {kept.shape} {labels.dtype} {labels.shape}".encode())
    for array in (kept, labels):
        digest.update(np.ascontiguousarray(array).data)
    content = file.read_bytes()
    of_file = Source(str(file.resolve()), len(content), hashlib.sha256(content).hexdigest(), "a file of yours")
    of_samples = Source(f"samples of {call.target}", kept.nbytes, digest.hexdigest(), f"{len(labels):,} samples")
    return labels, (of_file, of_samples)


def _numbers(call: _Call, samples: list[Any] | _ANY, encoding: EncodingSettings) -> _ANY:
    """Samples as an array that the encoding takes."""
    x = _stacked(call, samples) if isinstance(samples, list) else samples
    if x.dtype.kind not in "iufb":
        raise call.refusal(f"must give samples of numbers, found {_kind(x)}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise call.refusal("gave samples that are not finite")
    if encoding.name == "none":
        return _spikes(call, x, encoding.steps)
    if encoding.name == "direct" and x.ndim == 5:
        refuse_steps(call, x.shape[1], encoding.steps)
        return np.moveaxis(x, 1, -1).astype(np.float32)
    images = _with_axes(call, x, 1, _SHAPES.get(encoding.name, _IMAGES))
    if images.dtype == np.uint8:
        return images
    return images.astype(np.float32) if encoding.name == "direct" else _grey(call, images, encoding.name)


def _stacked(call: _Call, samples: list[Any]) -> _ANY:
    arrays = [_array(sample) for sample in samples]
    for index, one in enumerate(arrays):
        if one.shape != arrays[0].shape:
            raise call.refusal(f"gave samples of different shapes: {sizes(arrays[0])}, and sample {index} {sizes(one)}")
    return np.stack(arrays)


def _with_axes(call: _Call, x: _ANY, n_before: int, wanted: str) -> _ANY:
    """With three axes, C x H x W, behind the first ones."""
    if not 1 <= (n := x.ndim - n_before) <= 3:
        raise call.refusal(f"must give samples of {wanted}, found {sizes(x)}")
    return x.reshape(*x.shape[:n_before], *(1,) * (3 - n), *x.shape[n_before:])


def _grey(call: _Call, images: _ANY, encoding: str) -> _ANY:
    """Intensities from 0 to 1 as grey levels from 0 to 255, or whole numbers that are such levels already."""
    high = 255 if images.dtype.kind in "iu" else 1
    if images.min() < 0 or images.max() > high:
        raise call.refusal(
            f"gave numbers from {images.min():g} to {images.max():g}: the encoding {encoding} needs intensities from 0 "
            "to 1 (or integers from 0 to 255). encoding: {name: direct} takes any numbers, as the current at every step"
        )
    return (images if high == 255 else np.rint(images * 255.0)).astype(np.uint8)


def _spikes(call: _Call, x: _ANY, n_steps: int) -> _ANY:
    """Bits of spikes, ``N x C x H x W x ceil(T / 8)``."""
    trains = _with_axes(call, x, 2, _SHAPES["none"])
    refuse_steps(call, trains.shape[1], n_steps)
    if not ((trains == 0) | (trains == 1)).all():
        raise call.refusal(
            "gave other numbers than 0 and 1: encoding none takes spikes as they are. encoding: {name: direct} takes "
            "any numbers, N x T x C x H x W, as the current of each step"
        )
    return np.packbits(np.moveaxis(trains, 1, -1).astype(np.bool_), axis=-1)


def refuse_steps(call: _Call, found: int, n_steps: int) -> None:
    """Raise ``ConfigError`` where samples in time have another number of steps than the configuration."""
    if found != n_steps:
        raise call.refusal(f"gave samples of {found} steps, trainer.encoding.steps is {n_steps}")


def _events(call: _Call, samples: list[Any] | _ANY, sensor: Any, encoding: EncodingSettings) -> _ANY:
    """Recordings, binned as those of other data sets are.

    Args:
        call: for messages.
        samples: each with the fields ``t`` [us] and ``x``, ``y`` and ``p`` if it has such.
        sensor: ``W, H, C``, as tonic's data sets have it; None for as large as the events tell.
        encoding: of the name ``events``.
    """
    columns = [{name: _array(values) for name, values in _fields(call, i, one)} for i, one in enumerate(samples)]
    width, height, n_channels = _sensor(call, columns, sensor)
    factor = encoding.downsample
    shape = n_channels, -(-height // factor), -(-width // factor)
    bits = np.empty((len(columns), *shape, -(-encoding.steps // 8)), np.uint8)
    for index, one in enumerate(columns):
        nothing = np.zeros(len(one["t"]), np.int64)
        on_sensor = {
            "x": (one["x"], width),
            "y": (one.get("y", nothing), height),
            "polarity": (one.get("p", nothing), n_channels),
        }
        where = f"{call.target}, sample {index}"
        bits[index] = binned(events_of(where, on_sensor, one["t"], units_per_s=1e6), shape, encoding)
    return bits


def _fields(call: _Call, index: int, sample: Any) -> Iterator[tuple[str, Any]]:
    """The columns of a recording: of a structured array, as tonic has them, or of a mapping."""
    names = getattr(getattr(sample, "dtype", None), "names", None) or (tuple(sample) if hasattr(sample, "keys") else ())
    if not {"t", "x"} <= set(names):
        raise call.refusal(
            "must give recordings with the fields t (time in us) and x, y and p if they have such, as tonic does; "
            f"sample {index} is {_kind(sample)}. Samples in steps already go with encoding: {{name: none}}"
        )
    return ((name, sample[name]) for name in ("t", "x", "y", "p") if name in names)


def _sensor(call: _Call, columns: list[dict[str, _ANY]], given: Any) -> tuple[int, int, int]:
    if given is not None:
        try:
            width, height, n_channels = (int(size) for size in given)
        except (TypeError, ValueError):
            raise call.refusal(f"has a sensor_size that is not (W, H, C): {given!r:.80}") from None
        return width, height, n_channels

    def n_values(name: str) -> int:
        return 1 + max((int(one[name].max()) for one in columns if name in one and len(one[name])), default=0)

    return n_values("x"), n_values("y"), n_values("p")


def _array(values: Any) -> _ANY:
    """An array of whatever is one: of torch's tensors too, which may carry a gradient."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _kind(found: Any) -> str:
    if isinstance(found, np.ndarray):
        return f"{sizes(found)} of {found.dtype}"
    shape = f" of {' x '.join(map(str, found.shape))}" if hasattr(found, "shape") else ""
    return f"a {type(found).__name__}{shape}"
