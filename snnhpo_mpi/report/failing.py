"""Keeps one figure that cannot be drawn from costing the others."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def attempt(draw: Callable[[], T]) -> tuple[T | None, str]:
    """What a drawing gave, and no reason; or None and the reason in a line.

    Numbers near the ends of what a float holds overflow in margins and scales. That is no news for a user.

    Raises:
        OSError: the disk is full or not to be written; every other figure would fail too.
    """
    try:
        with np.errstate(all="ignore"):
            return draw(), ""
    except OSError:
        raise
    except Exception as error:
        return None, traceback.format_exception_only(error)[-1].strip()
