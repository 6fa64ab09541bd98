"""How a search stands, in one line of text: what a run says of itself, and ``status`` of a run."""

from __future__ import annotations

from snnhpo_mpi.analysis.durations import duration
from snnhpo_mpi.analysis.score import score

TIME_LEFT = "left "
LINE_WIDTH = 80  # columns of a terminal


def progress_line(
    *,
    ended: int,
    budget: int | None,
    feasible: int,
    stopped: int,
    pruned: int = 0,
    failed: int,
    running: int,
    best: tuple[float, int] | None,
    seconds_left: float | None,
    width: int = LINE_WIDTH,
    stopped_as: str = "silent",
    retraining: bool = False,
    repeats: tuple[int, int] = (0, 0),
) -> str:
    """``trials 12/80  feasible 5  silent 6  failed 1  best 0.7130 (trial 9)  left 3 min``.

    Args:
        ended: trials, in whatever state.
        budget: trials in all, None if only time is limited.
        feasible: trials completed within the constraints.
        stopped: trials stopped early.
        pruned: trials that were stopped because they could not win; said where there are any.
        failed: trials failed or lost.
        running: trials out.
        best: objective and number of the best feasible trial, None before there is one.
        seconds_left: None if nobody knows.
        width: columns at most; what matters least is left out where they are too few.
        stopped_as: what these are called (``summary.stopped_as``).
        retraining: nothing is searched, so there is no best, and nothing is silent or feasible.
        repeats: trainings of finalists that ended, and that are planned; said once there is one.
    """
    parts = {
        "trials": f"trials {ended}/{budget}" if budget else f"trials {ended}",
        "feasible": f"feasible {feasible}",
        "stopped": f"{stopped_as} {stopped}",
        **({"pruned": f"pruned {pruned}"} if pruned else {}),
        "failed": f"failed {failed}",
        "running": f"running {running}",
        "best": f"best {score(best[0])} (trial {best[1]})" if best else "best none yet",
    }
    if retraining:
        parts = {name: parts[name] for name in ("trials", "failed", "running")}
    if repeats[0]:
        parts["repeats"] = f"repeats {repeats[0]}/{max(repeats)}"
    if seconds_left is not None:
        parts["left"] = f"{TIME_LEFT}{duration(seconds_left)}"
    least = [
        "running",
        *(["failed"] if not failed else []),
        "stopped",
        "pruned",
        "feasible",
        "failed",
        "repeats",
        "best",
    ]
    while len(line := "  ".join(parts.values())) > width and least:
        parts.pop(least.pop(0), None)
    return line
