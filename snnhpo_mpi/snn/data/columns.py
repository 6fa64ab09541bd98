"""The numbers of a recording, checked one by one before they are taken for events.

One event at a wrong time moves all others: a recording is divided into steps between its first and its last event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.events import Events, in_order

Column = NDArray[Any]
LONGEST_S = 86_400  # a day; the longest recordings of these data sets last half a minute


def events_of(where: str, sizes: Mapping[str, tuple[Column, int]], time: Column, units_per_s: float) -> Events:
    """Events in order of time, all of them on the sensor.

    Args:
        where: the recording's name, for messages.
        sizes: what an event has besides its time, in the order x, y, channel: name -> ``E`` numbers, and how many
            values there are.
        time: ``E``.
        units_per_s: of the time.

    Raises:
        ConfigError: there are none, or names the first event that is none, and what is wrong with it.
    """
    for name, (values, size) in sizes.items():
        if len(values) != len(time):
            raise ConfigError(f"{where}: has {len(time)} times, but {name} of {len(values)} events: damaged")
        with np.errstate(invalid="ignore"):
            is_wrong = ~((values >= 0) & (values < size) & (values == np.floor(values)))
        if is_wrong.any():
            raise ConfigError(
                f"{where}: {name} of event {_first(is_wrong, values)}: whole numbers from 0 to {size - 1} are possible"
            )
    if not len(time):
        raise ConfigError(f"{where}: holds no events: damaged")
    with np.errstate(invalid="ignore"):
        time_s = time.astype(np.float64) / units_per_s
        is_wrong = ~((time_s >= 0) & (time_s <= LONGEST_S))
    if is_wrong.any():
        raise ConfigError(f"{where}: time of event {_first(is_wrong, time_s)} s: 0 to {LONGEST_S} s are possible")
    t_us = time.astype(np.float64) * (1e6 / units_per_s)
    x, y, channel = (values.astype(np.int64) for values, _ in sizes.values())
    return in_order(Events(x, y, channel, t_us.astype(np.int64)))


def _first(is_wrong: NDArray[np.bool_], values: Column) -> str:
    index = int(is_wrong.argmax())
    return f"{index} is {values[index]:g}"
