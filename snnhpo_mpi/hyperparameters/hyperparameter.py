"""One hyperparameter of a network: its default, its meaning, and what it may be."""

from __future__ import annotations

from dataclasses import dataclass

from snnhpo_mpi.hyperparameters.ranges import Range
from snnhpo_mpi.trial import ParamValue


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One hyperparameter of a network: a number (its range: ``ranges``) or one of some words.

    Attributes:
        default: the library's value, used when it is neither searched nor fixed.
        what: meaning, for ``snnhpo check`` and error messages.
        range: of a number; None for words.
        choices: the allowed words.
    """

    default: ParamValue
    what: str
    range: Range | None = None
    choices: tuple[str, ...] = ()

    @property
    def is_integer(self) -> bool:
        """Whether only whole numbers are allowed."""
        return self.range is not None and self.range.kind is int

    def rejects(self, value: ParamValue) -> str | None:
        """Why ``value`` is not allowed, or None."""
        if self.range is None:
            allowed_words = f"{'one of' if len(self.choices) > 1 else 'only'} {', '.join(self.choices)}"
            return None if value in self.choices else f"{allowed_words} is allowed"
        allowed = (int,) if self.is_integer else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed):
            return f"{'an integer' if self.is_integer else 'a number'} is needed"
        unit = f" {self.range.unit}".rstrip()
        if not value >= self.range.low:
            return f"at least {self.range.low:.10g}{unit} is allowed"
        if not value <= self.range.high:
            return f"at most {self.range.high:.10g}{unit} is allowed"
        return None
