"""Stop a training whose samples saturate a layer; each watched layer gives one constraint.

A neuron saturates on a sample if it fires at ``limit`` or more of what its refractory period allows, and a layer if at
least ``share`` of its neurons do. At most a share ``beta`` of saturated samples is tolerated (rule: sequential).

Notation: B samples of a batch, N neurons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config import SaturationSettings
from snnhpo_mpi.snn.early_stopping.monitor import Events, LayerMonitors, Monitor, Sequential

Shares = NDArray[np.float64]


def saturation_monitors(settings: Sequence[SaturationSettings], n_epoch_samples: int) -> LayerMonitors:
    """The monitors of a configuration, in its order."""
    monitors = {one.layer: Monitor(Sequential(one.beta), one.warm_up) for one in settings}
    return LayerMonitors(monitors, n_epoch_samples)


def saturated_samples(
    settings: Sequence[SaturationSettings], fired: Mapping[str, NDArray[Any]], most: Mapping[str, int]
) -> dict[str, Events]:
    """Which samples saturate each watched layer.

    Args:
        settings: the monitors.
        fired: layer -> ``B x N`` spikes of each neuron on each sample.
        most: layer -> spikes that a neuron can fire on a sample.

    Returns:
        Layer -> ``B``.
    """
    return {one.layer: saturated_shares(one, fired[one.layer], most[one.layer]) >= one.share for one in settings}


def saturated_shares(settings: SaturationSettings, fired: NDArray[Any], most: int) -> Shares:
    """Share of a layer's neurons that fire at their limit: ``B x N`` spikes -> ``B``."""
    shares: Shares = (fired >= settings.limit * most).mean(1)
    return shares
