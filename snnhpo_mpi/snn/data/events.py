"""Recordings of event cameras and silicon cochleas as arrays: denoised, down-sampled, binned, in whole arrays at once.

Results equal tonic's ``Denoise``, ``Downsample`` (of whole pixels) and ``ToFrame`` with binary frames; the first of
these walks over the events one by one in Python.

Notation: E events of a recording, C channels (polarities), H x W pixels, T steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Events:
    """One recording, in order of time; ``E`` each.

    Attributes:
        x: column.
        y: row.
        channel: polarity, 0 for sensors without.
        t_us: time [us].
    """

    x: Ints
    y: Ints
    channel: Ints
    t_us: Ints

    def __len__(self) -> int:
        return len(self.t_us)

    def __getitem__(self, kept: NDArray[np.bool_] | Ints) -> Events:
        return Events(self.x[kept], self.y[kept], self.channel[kept], self.t_us[kept])


def in_order(events: Events) -> Events:
    """Sorted by time; equal times stay in their order."""
    if np.all(events.t_us[1:] >= events.t_us[:-1]):
        return events
    return events[np.argsort(events.t_us, kind="stable")]


def denoise(events: Events, filter_us: int) -> Events:
    """Drop events without another one at one of their four neighbours in the ``filter_us`` before them.

    Source: the background-activity filter of tonic, ``functional.denoise_numpy``; like there, a neighbour that never
    had an event counts as having had one at time 0.
    """
    if not len(events):
        return events
    width, height = int(events.x.max()) + 1, int(events.y.max()) + 1
    n, order = len(events), np.arange(len(events))
    pixel = events.x * height + events.y
    keys = np.sort(pixel * n + order)  # each pixel's events in order of time
    kept = np.zeros(n, dtype=bool)
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        x, y = events.x + dx, events.y + dy
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        neighbour = x * height + y
        before = keys[np.maximum(np.searchsorted(keys, neighbour * n + order) - 1, 0)]
        has_fired = (before // n == neighbour) & (before < neighbour * n + order)
        last = np.where(has_fired, events.t_us[before % n], 0)
        kept |= inside & (last + filter_us > events.t_us)
    return events[kept]


def downsample(events: Events, factor: int) -> Events:
    """Merge squares of ``factor x factor`` pixels."""
    if factor == 1:
        return events
    return Events(events.x // factor, events.y // factor, events.channel, events.t_us)


def bin_steps(events: Events, shape: tuple[int, int, int], n_steps: int, window_us: int | None) -> NDArray[np.uint8]:
    """Binary frames as bits: whether a pixel had an event in a step.

    Args:
        events: of pixels inside ``shape``.
        shape: ``C x H x W``.
        n_steps: T.
        window_us: length of a step; None for T equal parts of the recording. What lies behind the last is dropped.

    Returns:
        ``C x H x W x ceil(T / 8)``, the first step in the most significant bit.
    """
    frames = np.zeros((*shape, n_steps), dtype=bool)
    if len(events):
        start = int(events.t_us[0])
        if window_us is None:
            window_us = (int(events.t_us[-1]) - start) // n_steps  # whole microseconds, as tonic's
        step = (events.t_us - start) // max(window_us, 1)
        inside = events[step < n_steps]
        frames[inside.channel, inside.y, inside.x, step[step < n_steps]] = True
    return np.packbits(frames, axis=-1)
