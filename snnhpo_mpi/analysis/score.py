"""How a score is written for people: digits that fit its scale, and how far chance alone can move it.

A classifier's score is a share of n samples, so its standard error is that of a binomial share: sqrt(p (1 - p) / n).
"""

from __future__ import annotations

import math

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.trial import ACCURACY


def score(value: float) -> str:
    """Four decimals where these say the number to half a percent, otherwise significant digits that do.

    ``0.8130``, ``-0.0034``, ``1.2e-05``, ``123.457``, ``9e+299``.
    """
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{value}"
    if abs(value) >= 10:
        return f"{value:.6g}"
    text = f"{value + 0.0:.4f}"
    return text if abs(float(text) - value) <= 0.005 * abs(value) else f"{value:.4g}"


def standard_error(value: float, n: int | None) -> float | None:
    """Of a share of n samples; None if n is not known or the value is no share."""
    if not n or not 0.0 <= value <= 1.0:
        return None
    return math.sqrt(value * (1.0 - value) / n)


def with_error(value: float, error: float | None) -> str:
    """``0.6300 ± 0.022``, or the score alone where no error is known.

    At 0 and 1 the formula gives 0, which would promise more than n samples can.
    """
    return f"{score(value)} ± {float(f'{error:.2g}'):.{_decimals(error)}f}" if error else score(value)


def _decimals(error: float) -> int:
    """That show two significant digits."""
    return max(1 - math.floor(math.log10(error)), 0)


def n_scored(data: StudyData, row: int) -> int | None:
    """Samples that a trial's score was measured on; None where nobody knows.

    A record of schema 1 does not tell: its searches scored networks on the held-out samples of the configuration.
    """
    if data.n_scored[row] >= 0:
        return int(data.n_scored[row])
    trainer = data.config.get("trainer") or {}
    is_share = data.objective_names[0] == ACCURACY
    if data.retraining or trainer.get("name") == "python" or not data.completed[row] or not is_share:
        return None
    n = (trainer.get("dataset") or {}).get("held_out")
    return n if isinstance(n, int) else None
