"""The range that makes sense for every number of a configuration: one table, by the name of its key.

Settings and hyperparameters both take their bounds from here, so that a key of one name has one range. The ranges are
generous: outside of them lie slips of the keyboard, and values with which a trial could not end or not be computed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from snnhpo_mpi.trial import MOST_REPEATS

EXACT = 2**53  # whole numbers up to here are exact as floating-point numbers
DAY_S = 86400.0
MAX_STEPS = 100_000  # time steps of a sample; a refractory period beyond them would last for ever


@dataclass(frozen=True, slots=True)
class Range:
    """What a number may be.

    Attributes:
        kind: float or int; an int is accepted for a float.
        low: smallest allowed value.
        high: largest allowed value.
        unit: physical, for messages; empty for counts, shares and factors.
        below: whether ``high`` itself is not allowed.
    """

    kind: type[float] | type[int]
    low: float
    high: float
    unit: str = ""
    below: bool = False


def _count(high: int, low: int = 1, unit: str = "") -> Range:
    return Range(int, low, high, unit)


_DURATION = Range(float, 1e-3, 3650 * DAY_S, "s")
_SHARE = Range(float, 1e-9, 1)
_TIME_CONSTANT = Range(float, 1e-6, 1e12, "ms")
_POTENTIAL = Range(float, -1e6, 1e6, "mV")
_RATE = Range(float, 0, 1e6)
_REFRACTORY = _count(MAX_STEPS, low=0, unit="ms")

RANGES: Mapping[str, Range] = MappingProxyType(
    {
        # Study, budget, workers, record.
        "seed": _count(2**63 - 1, low=0),
        "trials": _count(1_000_000),
        "wall_time": _DURATION,
        "stop_before_end": _DURATION,
        "time_limit": _DURATION,
        "heartbeat_timeout": _DURATION,
        "flush_every": _DURATION,
        "max_failures": _count(1_000_000, low=0),
        "initial": _count(1_000_000),
        "gpus": _count(1024, low=0),
        "trials_per_gpu": _count(1024),
        "threads": _count(4096),
        # Data and encoding.
        "train": _count(1_000_000_000),
        "held_out": _count(1_000_000_000),
        "steps": _count(MAX_STEPS),
        "dt_ms": Range(float, 1e-3, 1e3, "ms"),
        "readout_samples": _count(1_000_000_000),
        "max_rate_hz": Range(float, 1e-6, 1e6, "Hz"),
        "max_probability": _SHARE,
        "fields": _count(64, low=3),
        "window_ms": Range(float, 1e-3, 1e9, "ms"),
        "denoise_ms": Range(float, 0, 1e9, "ms"),
        "downsample": _count(10_000),
        "output": _count(100, low=0),
        # Monitors.
        "alpha": _count(10**9),
        "beta": Range(float, 0, 1, below=True),
        "check_every": _count(1_000_000_000),
        "warm_up": _count(1_000_000_000, low=0),
        "limit": _SHARE,
        "share": _SHARE,
        "after_epochs": _count(100_000),
        "spare": Range(float, 0, 1, below=True),
        # Finalists.
        "count": _count(1000),
        "repeats": _count(MOST_REPEATS - 1),
        # The search space's own bounds.
        "integer": Range(int, -EXACT, EXACT),
        "real": Range(float, -sys.float_info.max, sys.float_info.max),
        # Hyperparameters of all networks.
        "epochs": _count(100_000),
        "batch_size": _count(1_000_000),
        # Diehl & Cook networks.
        "map_size": _count(1_000_000, low=2),
        "nu_pre": Range(float, 0, 1e3),
        "nu_post": Range(float, 0, 1e3),
        "strength_exc": _RATE,
        "strength_inh": _RATE,
        "norm": Range(float, 0, 1e9),
        "e_thresh": _POTENTIAL,
        "e_rest": _POTENTIAL,
        "e_reset": _POTENTIAL,
        "e_refrac": _REFRACTORY,
        "theta_plus": Range(float, 0, 1e6, "mV"),
        "tc_theta_decay": _TIME_CONSTANT,
        "e_tc_decay": _TIME_CONSTANT,
        "e_tc_trace": _TIME_CONSTANT,
        "x_tc_trace": _TIME_CONSTANT,
        "i_thresh": _POTENTIAL,
        "i_rest": _POTENTIAL,
        "i_reset": _POTENTIAL,
        "i_refrac": _REFRACTORY,
        "i_tc_decay": _TIME_CONSTANT,
        "reset_interval": _count(MAX_STEPS),
        # SLAYER's networks; their neurons' stand in ``neurons``.
        "learning_rate": Range(float, 0, 1e3),
        # Of somebody's own network.
        "momentum": Range(float, 0, 1),
        "weight_decay": Range(float, 0, 1e3),
        "gradient_clipping": Range(float, 0, 1e9),
        "label_smoothing": Range(float, 0, 1),
        # SLAYER's again.
        "c1_filters": _count(100_000),
        "c2_filters": _count(100_000),
        "c1_k": _count(10_000),
        "c2_k": _count(10_000),
        "hidden": _count(1_000_000),
        "dropout": Range(float, 0, 0.99),
    }
)
