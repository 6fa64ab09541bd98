"""What an evaluation returned or raised -> an outcome that may be sent, recorded and told. Pure decisions."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from snnhpo_mpi.comm.messages import MESSAGE_LIMIT
from snnhpo_mpi.trial import ACCURACY, Curve, Outcome, State
from snnhpo_mpi.worker.numbers import MOST_NOTES, NotANumberError, as_float, metrics_of, shown

ERROR_LIMIT = 20_000  # characters of a reason and traceback
NOTE_LIMIT = 300  # characters
METRICS_LIMIT = MESSAGE_LIMIT // 8  # bytes, as are the next two
CURVES_LIMIT = MESSAGE_LIMIT // 2
T = TypeVar("T")
_RUINOUS = ("CUDA", "cuDNN", "CUBLAS", "NCCL", "DefaultCPUAllocator")  # the last is torch without memory on a CPU
_SCORED = (State.COMPLETED, State.STOPPED, State.PRUNED)


def failed(number: int, reason: str, detail: str = "") -> Outcome:
    """The outcome of a failure; the first line of its error is the reason."""
    return Outcome(number, State.FAILED, error=shortened(f"{reason}\n\n{detail}" if detail else reason))


def raised(number: int, error: BaseException) -> Outcome:
    """The outcome of an evaluation that raised."""
    reason = traceback.format_exception_only(error)[-1].strip()
    return failed(number, reason, "".join(traceback.format_exception(error)))


def ruins_process(error: BaseException) -> bool:
    """Whether an evaluator should not go on after this error: memory is short, or its CUDA context is poisoned."""
    link: BaseException | None = error
    while link is not None:
        name = type(link).__name__  # by name: nothing here imports torch
        if isinstance(link, MemoryError) or name in ("OutOfMemoryError", "AcceleratorError"):
            return True
        if isinstance(link, RuntimeError) and any(word in str(link) for word in _RUINOUS):
            return True
        link = link.__cause__ or link.__context__
    return False


def checked(returned: object, number: int, n_constraints: int, objectives: Sequence[str] = (ACCURACY,)) -> Outcome:
    """What a trainer returned as an outcome of plain Python numbers; failed, with the reason, where it is no answer.

    Metrics and curves that are no numbers are left out with a note: they cost the trial nothing.
    """
    if not isinstance(returned, Outcome):
        return failed(number, f"evaluate returned {type(returned).__name__}, not an Outcome")
    metrics, odd_metrics = metrics_of(returned.metrics)
    curves, odd_curves = _curves(returned.curves)
    notes = tuple(shortened(note, NOTE_LIMIT) for note in (*returned.notes, *odd_metrics, *odd_curves))
    kept = Outcome(number, State.FAILED, metrics=metrics, curves=curves, notes=notes[:MOST_NOTES])
    try:
        if (reason := _objection(returned, number, n_constraints, objectives)) is not None:
            return fitted(replace(kept, error=reason))
        return fitted(_scored(kept, returned, objectives))
    except (TypeError, ValueError, AttributeError) as error:
        return fitted(replace(kept, error=f"evaluate returned an Outcome that is not made of numbers: {error}"))


def _objection(outcome: Outcome, number: int, n_constraints: int, objectives: Sequence[str]) -> str | None:
    """Why this is no answer; None for an answer, and for a failure that a trainer reports itself."""
    state = State(outcome.state)
    if outcome.number != number:
        return f"evaluate returned the outcome of trial {outcome.number}"
    if state is State.LOST:
        return "evaluate returned the state lost, which is rank 0's to give"
    if state is State.FAILED:
        return None
    if set(outcome.objectives) != set(objectives):
        found = ", ".join(map(str, outcome.objectives)) or "none"
        return f"the objectives of this study are {', '.join(objectives)}; evaluate returned {found}"
    for name, value in outcome.objectives.items():
        what = "the objective" if len(objectives) == 1 else f"the objective {name}"
        try:
            if not math.isfinite(as_float(value)):
                return f"{what} is {value}, not a finite number"
        except NotANumberError as reason:
            return f"{what} is {reason}"
    if len(outcome.constraints) != n_constraints:
        configured = "1 constraint is" if n_constraints == 1 else f"{n_constraints or 'no'} constraints are"
        return f"{configured} configured, evaluate returned {len(outcome.constraints) or 'none'}"
    try:
        values = [as_float(value) for value in outcome.constraints]
    except NotANumberError as reason:
        return f"one of the constraints is {reason}"
    if not all(map(math.isfinite, values)):
        return f"the constraints are {values}, not all finite"
    return None


def _scored(kept: Outcome, returned: Outcome, objectives: Sequence[str]) -> Outcome:
    """What is kept of an answer with its objectives and constraints, or of a failure with its reason."""
    if returned.state not in _SCORED:
        return replace(kept, error=None if returned.error is None else str(returned.error))
    return replace(
        kept,
        state=State(returned.state),
        objectives={name: as_float(returned.objectives[name]) for name in objectives},
        constraints=tuple(as_float(value) for value in returned.constraints),
        error=None if returned.error is None else str(returned.error),
        n_scored=None if returned.n_scored is None else int(returned.n_scored),
    )


def _curves(given: Mapping[str, Any]) -> tuple[dict[str, Curve], list[str]]:
    """The curves that are series of numbers, and a note for each of the others."""
    curves: dict[str, Curve] = {}
    notes: list[str] = []
    for name, values in given.items():
        try:
            curves[str(name)] = _curve(values)
        except (TypeError, ValueError, OverflowError):
            notes.append(f"curves[{shown(name)}] is no series of numbers: it is not recorded")
    return curves, notes


def _curve(values: Iterable[Any]) -> Curve:
    rows = values.tolist() if hasattr(values, "tolist") else list(values)
    if rows and isinstance(rows[0], Iterable):
        return [[float(value) for value in row] for row in rows]
    return [float(value) for value in rows]


def fitted(outcome: Outcome) -> Outcome:
    """The outcome cut to what a message holds: a long error loses its middle, the longest curves and metrics go.

    What was cut is noted in the metrics ``curves_cut`` and ``metrics_cut``, as their number.
    """
    curves = _shortest(outcome.curves, CURVES_LIMIT)
    metrics = _shortest(outcome.metrics, METRICS_LIMIT)
    notes = {
        "curves_cut": float(len(outcome.curves) - len(curves)),
        "metrics_cut": float(len(outcome.metrics) - len(metrics)),
    }
    metrics |= {name: n for name, n in notes.items() if n}
    error = None if outcome.error is None else shortened(outcome.error)
    return replace(outcome, metrics=metrics, curves=curves, error=error)


def _shortest(items: Mapping[str, T], limit: int) -> dict[str, T]:
    """As many of the shortest items as fit into ``limit`` bytes of JSON, in their own order."""
    sizes = {name: len(json.dumps({name: value})) for name, value in items.items()}
    kept: set[str] = set()
    for name in sorted(sizes, key=sizes.__getitem__):
        limit -= sizes[name]
        if limit < 0:
            break
        kept.add(name)
    return {name: value for name, value in items.items() if name in kept}


def shortened(text: str, limit: int = ERROR_LIMIT) -> str:
    """The text without its middle if it is long."""
    if len(text) <= limit:
        return text
    head, tail = limit // 4, limit - limit // 4
    return f"{text[:head]}\n[... {len(text) - limit} characters cut ...]\n{text[-tail:]}"
