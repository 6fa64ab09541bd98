"""``snnhpo bench stopping``: what a rule that stops trials saves and loses, replayed on learning curves.

The curves are of trials that ran to their ends. W workers take them in their order, in simulated time; a report arrives
at the end of each epoch, and the rule decides by the reports that have arrived. A stopped trial frees its worker.
Infeasible trials are those that another monitor stops: they run to the end of their rows, whatever the rule says.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snnhpo_mpi.arguments import positive
from snnhpo_mpi.bench.curve_table import Curve, read_curves
from snnhpo_mpi.optim.stopping import RULES, LearningCurves, PruningSettings, stops
from snnhpo_mpi.trial import Interim, Outcome, State

NEAR_BEST = 1e-3  # a final score so close to the best counts as the best


@dataclass(frozen=True, slots=True)
class Replay:
    """What happened to each trial, in their order.

    Attributes:
        seconds: spent on it.
        finished: whether it ran to its end.
        ended_at: simulated time of its end [s].
    """

    seconds: list[float]
    finished: list[bool]
    ended_at: list[float]


def replay(curves: Sequence[Curve], settings: PruningSettings, n_workers: int) -> Replay:
    """Run all trials under a rule."""
    n = len(curves)
    done = Replay([0.0] * n, [True] * n, [0.0] * n)
    seen = LearningCurves()
    arrivals: list[tuple[float, int, int]] = []  # time, number of the trial, row of its curve
    for number in range(min(n, n_workers)):
        heapq.heappush(arrivals, (curves[number].seconds[0], number, 0))
    n_started = len(arrivals)
    while arrivals:
        now, number, row = heapq.heappop(arrivals)
        curve, is_last = curves[number], row + 1 == len(curves[number].epochs)
        done.seconds[number] += curve.seconds[row]
        report = Interim(number, curve.epochs[row], done.seconds[number], curve.scores[row])
        seen.add(report)
        if is_last:
            state = State.COMPLETED if curve.feasible else State.STOPPED
            seen.add(Outcome(number, state, {"score": curve.scores[row]}))
        elif not (curve.feasible and stops(seen, report, settings)):
            heapq.heappush(arrivals, (now + curve.seconds[row + 1], number, row + 1))
            continue
        done.finished[number], done.ended_at[number] = is_last, now
        if n_started < n:
            heapq.heappush(arrivals, (now + curves[n_started].seconds[0], n_started, 0))
            n_started += 1
    return done


def measure(curves: Sequence[Curve], settings: PruningSettings, n_workers: int = 15) -> dict[str, object]:
    """The keys of the command's JSON; what cannot be said of these curves is None."""
    full = replay(curves, PruningSettings(rule="none"), n_workers)
    kept = replay(curves, settings, n_workers)
    scored = [number for number, curve in enumerate(curves) if math.isfinite(curve.final)]
    best = sorted(scored, key=lambda number: -curves[number].final)
    best_kept = [number for number in best if kept.finished[number]]
    feasible = [number for number, curve in enumerate(curves) if curve.feasible]
    spent, whole = (sum(run.seconds[number] for number in feasible) for run in (kept, full))
    return {
        "rule": settings.rule,
        "spare": settings.spare,
        "trials": len(curves),
        "pruned": kept.finished.count(False),
        "share_of_time": spent / whole if whole else None,
        "best_full": curves[best[0]].final if best else None,
        "best_kept": curves[best_kept[0]].final if best_kept else None,
        "top10_kept": sum(kept.finished[number] for number in best[:10]),
        "time_to_best_ratio": _ratio(_time_to_best(curves, kept, best), _time_to_best(curves, full, best)),
    }


def _time_to_best(curves: Sequence[Curve], run: Replay, best: Sequence[int]) -> float | None:
    """Simulated time until a final score as good as the best is there; None if it never is."""
    near = [number for number in best if curves[number].final >= curves[best[0]].final - NEAR_BEST]
    return min((run.ended_at[number] for number in near if run.finished[number]), default=None)


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    shipped = PruningSettings()
    parser.add_argument(
        "--curves",
        type=Path,
        required=True,
        metavar="FILE.csv",
        help="columns trial, epoch, score, seconds (of that epoch) and, if some trials are not, feasible (0 or 1); "
        "trials in the order in which they were proposed",
    )
    parser.add_argument("--rule", choices=RULES, default="gain", help="default gain")
    parser.add_argument("--workers", type=positive, default=15, metavar="W", help="default 15")
    parser.add_argument(
        "--spare",
        type=_share,
        default=shipped.spare,
        metavar="SHARE",
        help=f"of the trials, which always finish (default {shipped.spare:g})",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"a number from 0 to 1 is needed, found {text[:60]}")
    return value


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    settings = PruningSettings(rule=args.rule, spare=args.spare)
    result = measure(read_curves(args.curves), settings, args.workers)
    if args.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return 0
    for key, value in result.items():
        sys.stdout.write(f"{key:20}{'-' if value is None else value}\n")
    return 0


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description="A rule that stops trials, on learning curves.")
    add_arguments(_parser)
    sys.exit(main(_parser.parse_args()))
