"""The numbers of a study as text for people."""

from __future__ import annotations

import json
from collections.abc import Sequence

from snnhpo_mpi.config import as_yaml
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report.score import score
from snnhpo_mpi.report.summary import Found
from snnhpo_mpi.trial import ParamValue

TIME_LEFT = "left "
LINE_WIDTH = 80  # columns of a terminal


def duration(seconds: float) -> str:
    """Seconds as people say them: ``42 s``, ``3 min 20 s``, ``5 h 10 min``, ``2 d 3 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 and seconds != whole else f"{whole} s"
    for unit, size, below, small in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86400, "h", 3600)):
        if whole < {"min": 3600, "h": 86400, "d": 10**12}[unit]:
            rest = (whole % size) // small
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    raise AssertionError


def progress_line(
    *,
    ended: int,
    budget: int | None,
    feasible: int,
    stopped: int,
    failed: int,
    running: int,
    best: tuple[float, int] | None,
    seconds_left: float | None,
    width: int = LINE_WIDTH,
    retraining: bool = False,
) -> str:
    """``trials 12/80  feasible 5  silent 6  failed 1  best 0.7130 (trial 9)  left 3 min``.

    Args:
        ended: trials, in whatever state.
        budget: trials in all, None if only time is limited.
        feasible: trials completed within the constraints.
        stopped: trials stopped early.
        failed: trials failed or lost.
        running: trials out.
        best: objective and number of the best feasible trial, None before there is one.
        seconds_left: None if nobody knows.
        width: columns at most; what matters least is left out where they are too few.
        retraining: nothing is searched, so there is no best, and nothing is silent or feasible.
    """
    parts = {
        "trials": f"trials {ended}/{budget}" if budget else f"trials {ended}",
        "feasible": f"feasible {feasible}",
        "silent": f"silent {stopped}",
        "failed": f"failed {failed}",
        "running": f"running {running}",
        "best": f"best {score(best[0])} (trial {best[1]})" if best else "best none yet",
    }
    if retraining:
        parts = {name: parts[name] for name in ("trials", "failed", "running")}
    if seconds_left is not None:
        parts["left"] = f"{TIME_LEFT}{duration(seconds_left)}"
    least = ["running", *(["failed"] if not failed else []), "silent", "feasible", "failed", "best"]
    while len(line := "  ".join(parts.values())) > width and least:
        parts.pop(least.pop(0), None)
    return line


def rough_duration(seconds: float) -> str:
    """Seconds in one unit: ``42 s``, ``3.3 min``, ``20 min``, ``5.2 h``, ``2.1 d``."""
    unit, name = time_unit(seconds / 0.6)
    amount = seconds / unit
    return f"{amount:.1f} {name}" if 0 < amount < 10 else f"{amount:.0f} {name}"


def time_unit(longest_s: float) -> tuple[float, str]:
    """A unit in which spans of time up to this one are handy numbers: its seconds and its name."""
    for seconds, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if longest_s >= 3 * seconds:
            return seconds, name
    return 1.0, "s"


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


def as_table(best: Sequence[Found]) -> str:
    """Trials side by side, a line a hyperparameter."""
    rows = [["trial", *(str(found.number) for found in best)]]
    rows.append(["objective", *(found.text for found in best)])
    rows += [[name, *(figure(found.params.get(name)) for found in best)] for name in best[0].params] if best else []
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    padded = (
        [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        for row in rows
    )
    return "\n".join("  ".join(row).rstrip() for row in padded)


def as_fixed_block(data: StudyData, found: Found) -> str:
    """A trial's hyperparameters, and the ones that the study held fixed, as the ``fixed:`` block of a configuration."""
    values = {**(data.config.get("fixed") or {}), **found.params}
    return f"# trial {found.number} of {data.name}: objective {found.objective:.6g}\n{as_yaml({'fixed': values})}"
