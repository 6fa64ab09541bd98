"""Which axis of what modules and networks put out is samples, time or classes.

Notation: B samples, T steps, K classes; n, the samples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


def first_tensor(returned: Any) -> Tensor | None:
    """The tensor itself, or the first one of a tuple, list or mapping; None where there is none."""
    if isinstance(returned, Tensor):
        return returned
    if isinstance(returned, Mapping):
        returned = tuple(returned.values())
    if isinstance(returned, tuple | list):
        return next((found for one in returned if (found := first_tensor(one)) is not None), None)
    return None


@dataclass(frozen=True, slots=True)
class Axis:
    """Where the samples are.

    Attributes:
        place: of the axis.
        is_merged: whether it holds samples and steps.
        time_first: of a merged axis, whether it goes through the samples of a step, and then to the next step.
    """

    place: int
    is_merged: bool = False
    time_first: bool = False

    def ordered(self, few: Tensor, more: Tensor, sizes: tuple[int, int]) -> Axis:
        """A merged axis with its order, from outputs of batches of which the one begins as the other."""
        return next(
            (
                one
                for one in (replace(self, time_first=False), replace(self, time_first=True))
                if torch.equal(one.samples_first(few, sizes[0]), one.samples_first(more, sizes[1])[: sizes[0]])
            ),
            self,
        )

    def samples_first(self, values: Tensor, n: int) -> Tensor:
        """``n x ...`` of an output; a merged axis becomes ``n x T``."""
        if not self.is_merged:
            return values.movedim(self.place, 0)
        split = (-1, n) if self.time_first else (n, -1)
        front = values.movedim(self.place, 0)
        apart = front.reshape(*split, *front.shape[1:])
        return apart.transpose(0, 1) if self.time_first else apart

    def counts(self, values: Tensor, n: int) -> Tensor:
        """``n`` sums of an output, one a sample."""
        apart = self.samples_first(values, n)
        return apart.sum(tuple(range(1, apart.dim()))) if apart.dim() > 1 else apart


def batch_axis(few: Sequence[int] | None, more: Sequence[int] | None, sizes: tuple[int, int]) -> Axis | None:
    """The axis that follows the samples, from the shapes of outputs for two batches; None where none does alone."""
    if few is None or more is None or len(few) != len(more):
        return None
    changed = [place for place, (one, other) in enumerate(zip(few, more, strict=True)) if one != other]
    if len(changed) != 1:
        return None
    (place,) = changed
    factors = few[place] / sizes[0], more[place] / sizes[1]
    if factors[0] != factors[1] or not factors[0].is_integer():
        return None
    return Axis(place, is_merged=factors[0] > 1)


@dataclass(frozen=True, slots=True)
class Readout:
    """How what a network returns is read as ``B x T x K``.

    Attributes:
        axis: of the samples.
        time: place of the steps among the axes but the samples', from 0; None where there is none, so that T = 1.
        classes: place of the classes likewise; None where K = 1 has no axis.
    """

    axis: Axis
    time: int | None
    classes: int | None

    def read(self, output: Tensor, n: int) -> Tensor:
        """``B x T x K`` of one output for ``n`` samples."""
        apart = self.axis.samples_first(output, n)
        kept = [1 + place for place in (self.time, self.classes) if place is not None]
        rest = [place for place in range(1, apart.dim()) if place not in kept]
        apart = apart.permute(0, *kept, *rest).flatten(1 + len(kept)).squeeze(-1) if rest else apart.permute(0, *kept)
        if self.time is None:
            apart = apart.unsqueeze(1)
        return apart.unsqueeze(-1) if self.classes is None else apart


def readout_of(few: Tensor, more: Tensor, sizes: tuple[int, int], n_classes: int, layout: str) -> Readout:
    """How outputs are read, from those of two batches, the one of which begins as the other.

    Args:
        few: output for the first batch.
        more: output for the second.
        sizes: samples of the batches.
        n_classes: K.
        layout: of the configuration, which tells time from classes where both axes have K.

    Raises:
        ValueError: no axis follows the samples, or none is of the classes.
    """
    axis = batch_axis(few.shape, more.shape, sizes)
    if axis is None:
        raise ValueError(
            f"what forward returns has no axis of the samples: it is {_sizes(few.shape)} for {sizes[0]} samples and "
            f"{_sizes(more.shape)} for {sizes[1]}"
        )
    axis = axis.ordered(few, more, sizes) if axis.is_merged else axis
    rest = axis.samples_first(more, sizes[1]).shape[1:]
    long = [place for place, size in enumerate(rest) if size > 1]
    if n_classes == 1 and len(long) <= 1:
        return Readout(axis, long[0] if long else None, None)
    if len(long) <= 2 and (of_classes := [place for place in long if rest[place] == n_classes]):
        classes = of_classes[0 if layout == "BNT" else -1]
        return Readout(axis, next((place for place in long if place != classes), None), classes)
    raise ValueError(
        f"what forward returns is {_sizes(more.shape)} for {sizes[1]} samples: besides them it needs an axis of "
        f"{n_classes}, the classes, and may have one of the time steps"
    )


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"
