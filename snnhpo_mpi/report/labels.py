"""Text of the user's (names, choices, layers, folders) as labels of figures: no markup in it has any effect.

Matplotlib's mathematics is switched off for all text of a figure, see ``canvas.STYLE``. Jinja escapes the page's text.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from snnhpo_mpi.plain import plain

MOST_CHARACTERS = 40


def for_matplotlib(text: object, most: int = MOST_CHARACTERS) -> str:
    """As Matplotlib shows it: a legend leaves out what begins with an underscore, so a space comes before it."""
    label = shortened(text, most)
    return f" {label}" if label.startswith("_") else label


def for_plotly(text: object, most: int = MOST_CHARACTERS) -> str:
    """As plotly.js shows it, which reads simple HTML in its texts."""
    return escape(shortened(text, most))


def shortened(text: object, most: int = MOST_CHARACTERS) -> str:
    """One line of at most so many characters; the middle is what is left out."""
    line = " ".join(plain(str(text)).split()) or "''"  # a choice may be empty
    if len(line) <= most:
        return line
    tail = (most - 1) // 3
    return f"{line[: most - 1 - tail]}…{line[len(line) - tail :]}"


def some(names: Sequence[str], most: int = 12) -> str:
    """``a, b, c and 4 more``."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def ticks(choices: Sequence[str], most: int) -> list[int]:
    """Which of the choices are labelled, evenly spread from the first to the last where not all have room."""
    if len(choices) <= most:
        return list(range(len(choices)))
    return [int(place) for place in np.linspace(0, len(choices) - 1, most).round()]
