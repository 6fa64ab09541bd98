"""How likely networks are feasible along a hyperparameter: what the report draws of the constraints' models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Along:
    """The feasible probability along one hyperparameter.

    Attributes:
        position: g, places in its range on the scale of the search, in [0, 1]; of a categorical one a choice.
        anywhere: g, with the other hyperparameters at random.
        near_best: g, with the others as in the best feasible trials; NaN where there are none.
    """

    name: str
    position: Floats
    anywhere: Floats
    near_best: Floats
