"""A polite wait: short after something happened, longer the longer nothing does."""

from __future__ import annotations

LONGEST_PAUSE_S = 0.05  # of whoever waits for a message; it has waited three times as long when it comes to that


class Pause:
    """Length of the next sleep [s]: about a third of the wait so far."""

    def __init__(self, longest_s: float = LONGEST_PAUSE_S, shortest_s: float = 0.0002, growth: float = 1.3) -> None:
        self._longest_s, self._shortest_s, self._growth = longest_s, shortest_s, growth
        self._next_s = shortest_s

    def after(self, something_happened: bool) -> float:
        """How long to sleep at the end of a turn of the loop; 0 if something happened in it."""
        if something_happened:
            self._next_s = self._shortest_s
            return 0.0
        length_s = self._next_s
        self._next_s = min(self._longest_s, length_s * self._growth)
        return length_s
