"""What an evaluation returned or raised -> an outcome that may be sent, recorded and told. Pure decisions."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from snnhpo_mpi.comm.messages import MESSAGE_LIMIT
from snnhpo_mpi.trial import Curve, Outcome, State

ERROR_LIMIT = 20_000  # characters of a reason and traceback
METRICS_LIMIT = MESSAGE_LIMIT // 8  # bytes, as are the next two
CURVES_LIMIT = MESSAGE_LIMIT // 2
T = TypeVar("T")
_RUINOUS = ("CUDA", "cuDNN", "CUBLAS", "NCCL", "DefaultCPUAllocator")  # the last is torch without memory on a CPU
_SCORED = (State.COMPLETED, State.STOPPED)


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


def checked(returned: object, number: int, n_constraints: int) -> Outcome:
    """What a trainer returned as an outcome of plain Python numbers; failed, with the reason, where it is no answer."""
    if not isinstance(returned, Outcome):
        return failed(number, f"evaluate returned {type(returned).__name__}, not an Outcome")
    try:
        outcome = _plain(returned)
    except (TypeError, ValueError, AttributeError) as error:
        return failed(number, f"evaluate returned an Outcome that is not made of numbers: {error}")
    if (reason := _objection(outcome, number, n_constraints)) is not None:
        return fitted(replace(outcome, number=number, state=State.FAILED, objective=None, constraints=(), error=reason))
    return fitted(outcome if outcome.state in _SCORED else replace(outcome, objective=None, constraints=()))


def _objection(outcome: Outcome, number: int, n_constraints: int) -> str | None:
    if outcome.number != number:
        return f"evaluate returned the outcome of trial {outcome.number}"
    if outcome.state is State.LOST:
        return "evaluate returned the state lost, which is rank 0's to give"
    if outcome.state is State.FAILED:
        return None
    if outcome.objective is None or not math.isfinite(outcome.objective):
        return f"the objective is {outcome.objective}, not a finite number"
    if len(outcome.constraints) != n_constraints:
        return f"{n_constraints} constraints are configured, evaluate returned {len(outcome.constraints)}"
    if not all(map(math.isfinite, outcome.constraints)):
        return f"the constraints are {list(outcome.constraints)}, not all finite"
    return None


def _plain(outcome: Outcome) -> Outcome:
    """The same outcome without NumPy or torch scalars and arrays."""
    return Outcome(
        number=outcome.number,
        state=State(outcome.state),
        objective=None if outcome.objective is None else float(outcome.objective),
        constraints=tuple(float(value) for value in outcome.constraints),
        metrics={str(name): float(value) for name, value in outcome.metrics.items()},
        curves={str(name): _curve(values) for name, values in outcome.curves.items()},
        error=None if outcome.error is None else str(outcome.error),
    )


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
