"""What each column of ``study.h5`` holds and in which unit, for its attributes: the file explains itself.

A unit is ``1`` where there is none, and absent where only the user knows it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from snnhpo_mpi.hyperparameters.networks import hyperparameters
from snnhpo_mpi.record.table import NO_INT, PARAMS

_UNIX = "s since 1970-01-01 00:00:00 UTC"
# Place -> unit, meaning.
_COLUMNS = {
    "trials/number": ("1", "number of the trial, from 0 in the order asked"),
    "trials/rank": ("1", "worker rank that has or had the trial; -1 before it was sent"),
    "trials/seed": ("1", "seeds everything random in the evaluation"),
    "trials/state": ("1", "completed, stopped, pruned, failed or lost; asked or running before the end"),
    "trials/x": ("1", "encoded hyperparameters in [0, 1], as the optimizer sees them"),
    "trials/n_scored": ("samples", "samples that the objectives were measured on; -1 if nobody knows"),
    "trials/n_told": ("1", "outcomes that the proposal follows from; -1 if nobody proposed the trial"),
    "trials/constraints": ("1", "a column a constraint, in the order of constraint_names; feasible if all are <= 0"),
    "trials/asked_at": (_UNIX, "when the optimizer proposed the trial"),
    "trials/started_at": (_UNIX, "when the trial was last sent to a worker"),
    "trials/ended_at": (_UNIX, "when the outcome arrived"),
    "trials/seconds": ("s", "of the evaluation, by the worker's own clock"),
    "trials/stopped_at": ("samples", "training samples seen when the trial was stopped early"),
    "reports/number": ("1", "number of the trial that reported"),
    "reports/position": ("samples", "training samples seen by then, over all epochs"),
    "reports/score": ("1", "what the trial reached by then, larger is better"),
    "reports/n_scored": ("samples", "samples that the score was measured on; -1 if nobody knows"),
    "reports/n_planned": ("samples", "training samples if the trial runs to its end; -1 if nobody knows"),
    "reports/seconds": ("s", "spent on the trial by then, by the worker's own clock"),
    "repeats/number": ("1", "number of the trial whose configuration was trained again"),
    "repeats/seed": ("1", "seeds everything random in the training"),
    "repeats/split": ("1", "samples that the score was measured on, such as test"),
    "repeats/score": ("1", "first objective, larger is better"),
    "repeats/n_scored": ("samples", "samples that the score was measured on; -1 if nobody knows"),
    "repeats/state": ("1", "how the training ended: completed, stopped, failed or lost"),
    "repeats/feasible": ("1", "1 if it came to its end and satisfies every constraint, else 0"),
    "repeats/seconds": ("s", "of the training and scoring, by the worker's own clock"),
    "events/kind": ("1", "what happened"),
    "events/number": (
        "1",
        "number of the trial; row of /reports or /repeats; place in /sessions or /workers",
    ),
    "events/at": (_UNIX, "when it happened, by the clock of rank 0"),
    "events/rank": ("1", "worker rank; -1 if none has to do with it"),
    "optimizer/length": ("1", "side of the trust region in the unit cube"),
    "optimizer/restarts": ("1", "restarts of the search so far"),
    "optimizer/lengthscales": ("1", "lengthscales of the model that shapes the region, one an encoded hyperparameter"),
    "optimizer/fit_seconds": ("s", "that the fits in use took"),
    "optimizer/ask_seconds": ("s", "that the proposal took"),
    "optimizer/hurried": ("1", "whether workers waited for the proposal"),
    "optimizer/behind": ("1", "outcomes told that the models in use had not seen"),
}
# Of the program's own trainers.
_METRICS = {
    "accuracy": ("1", "share of the held-out samples that were classified rightly"),
    "train_accuracy": ("1", "share of the last epoch's samples that were predicted rightly while it was trained"),
    "train_seconds": ("s", "of the training"),
    "score_seconds": ("s", "of the scoring"),
    "n_samples": ("samples", "training samples seen, over all epochs"),
    "n_samples_planned": ("samples", "training samples of a training to its end"),
    "stopped_at": ("samples", "training samples seen when the trial was stopped early"),
    "peak_memory_mb": ("MiB", "most memory of the GPU, or of the process on a CPU"),
    "resumed_after_epoch": ("1", "epoch of the checkpoint that the training went on from"),
}
_PREFIXES = {
    "trials/objectives/": ("objective, to be maximised", None),
    "trials/metrics/": ("metric of the evaluation", None),
    PARAMS: ("hyperparameter", None),
    "optimizer/": ("figure of the optimizer when it asked the trial", None),
    "reports/silent_rate/": ("share of silent samples in the layer", "1"),
    "reports/spikes/": ("mean spikes of a sample in the layer", "1"),
}


def attributes(name: str, config: Mapping[str, Any]) -> dict[str, str]:
    """``description`` and, where it is known, ``units`` of a column.

    Args:
        name: place of the column in the file.
        config: resolved settings of the study, as far as they are known.
    """
    unit, text = _COLUMNS.get(name) or _of_network(name, config) or _of_group(name)
    if name.startswith(PARAMS) and (parameter := (config.get("space") or {}).get(name.removeprefix(PARAMS), {})):
        text += _where_absent(parameter)
    return {"description": text} | ({} if unit is None else {"units": unit})


def _where_absent(parameter: Mapping[str, Any]) -> str:
    """Where a hyperparameter exists, and what its column holds elsewhere; nothing of one that always does."""
    if not parameter.get("when"):
        return ""
    each = [f"{other} is {' or '.join(map(str, values))}" for other, values in parameter["when"].items()]
    absent = {"int": NO_INT, "float": "NaN"}.get(parameter["type"], -1)
    return f"; exists only when {' and '.join(each)}, else {absent}"


def _of_network(name: str, config: Mapping[str, Any]) -> tuple[str | None, str] | None:
    """Of what the program's own trainers take and measure; under the same names a user's function may have anything."""
    trainer = config.get("trainer") or {}
    if trainer.get("name", "python") == "python":
        return None
    if name.startswith("trials/metrics/spikes_"):
        return "1", f"mean spikes of a sample in the layer {name.removeprefix('trials/metrics/spikes_')}"
    if name.startswith("trials/metrics/"):
        return _METRICS.get(name.removeprefix("trials/metrics/"))
    if name.startswith(PARAMS):
        with contextlib.suppress(KeyError):  # of a network, or of hyperparameters, that this version does not know
            known = hyperparameters(trainer["name"], trainer["network"])[name.removeprefix(PARAMS)]
            return (known.range.unit if known.range else "") or "1", known.what
    return None


def _of_group(name: str) -> tuple[str | None, str]:
    for prefix, (text, unit) in _PREFIXES.items():
        if name.startswith(prefix):
            return unit, f"{text}: {name.removeprefix(prefix)}"
    raise ValueError(f"column {name!r} has no place in the file")
