"""The numbers of a study as text for people."""

from __future__ import annotations

import json
from collections.abc import Sequence

from snnhpo_mpi.analysis.summary import Found, Summary
from snnhpo_mpi.config import as_yaml
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.trial import ParamValue


def percent(share: float | None) -> str:
    """A share as ``12 %``; ``-`` if it is not known."""
    if share is None:
        return "-"
    return f"{share:.1%}".replace("%", " %") if 0 < share < 0.0995 else f"{share:.0%}".replace("%", " %")


def figure(value: ParamValue | None) -> str:
    """A hyperparameter's or another value with four significant digits; ``-`` if there is none.

    A text that would pass for a number, for nothing or for another text stands in quotes.
    """
    if value is None:
        return "-"
    if isinstance(value, str):
        return value if _is_word(value) else json.dumps(value, ensure_ascii=False)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_word(text: str) -> bool:
    if not text or text == "-" or text != text.strip() or not text.isprintable():
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def rounded(value: float) -> str:
    """Two significant digits, for the ticks of an axis: ``140``, ``3.2e-05``."""
    return f"{float(f'{value:.2g}'):g}"


def bound(value: float) -> str:
    """A bound of a range, for a tick: as it was configured where that is short."""
    return f"{value:.10g}" if len(f"{value:.10g}") <= 6 else f"{value:.3g}"


def busy(summary: Summary) -> str:
    """How busy the workers were: ``98 % of the time (92 % with the start-up)``."""
    if summary.busy_share is None:
        return "-"
    share, of_runs = percent(summary.busy_share), percent(summary.busy_share_of_runs)
    return f"{share} of the time" + (f" ({of_runs} with the start-up)" if of_runs != share else "")


def as_table(best: Sequence[Found]) -> str:
    """Trials side by side, a line for each hyperparameter that one of them has."""
    rows = [["trial", *(str(found.number) for found in best)]]
    rows.append(["objective", *(found.searched for found in best)])
    if any(found.again for found in best):
        rows.append(["repeats", *(found.text if found.again else "-" for found in best)])
    names = dict.fromkeys(name for found in best for name in found.params)
    rows += [[name, *(figure(found.params.get(name)) for found in best)] for name in names]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    padded = (
        [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        for row in rows
    )
    return "\n".join("  ".join(row).rstrip() for row in padded)


def as_fixed_block(data: StudyData, found: Found) -> str:
    """A trial's hyperparameters, and the ones that the study held fixed, as the ``fixed:`` block of a configuration."""
    values = {**(data.config.get("fixed") or {}), **found.params}
    again = f", {found.text} in its repeats" if found.again else ""
    said = f"# trial {found.number} of {data.name}: objective {found.objective:.6g}{again}"
    return f"{said}\n{as_yaml({'fixed': values})}"


def violated(summary: Summary) -> list[str]:
    """The constraints that keep trials from being feasible.

    ``silent_hidden > 0 in 4 of 5 trials; smallest 0.31 (feasible: at most 0)``
    """
    return [
        f"{one.name} > 0 in {one.n} of {one.of} trials; smallest {figure(one.least)} (feasible: at most 0)"
        for one in summary.violations
    ]
