"""A study as files that other tools open: CSV, Parquet, and an Optuna storage for optuna-dashboard."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnhpo_mpi.analysis.repeats import candidate_of, is_retraining
from snnhpo_mpi.analysis.summary import objective_name, reason
from snnhpo_mpi.extras import require
from snnhpo_mpi.host.atomic_write import atomic_write
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.trial import ParamValue, State

if TYPE_CHECKING:
    import pandas as pd
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_MISSING = ("", "na", "n/a", "nan", "-nan", "null", "none")  # as pandas and R read it in a CSV, in any case
NEEDS = {"csv": ("pandas",), "parquet": ("pandas", "pyarrow"), "optuna": ("optuna",)}


def export(data: StudyData, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write the study in each format; the paths written.

    Raises:
        ConfigError: a package that a format needs is not installed.
        OSError: the disk is full or gone; files that were there are untouched.
    """
    for name in formats:
        for package in NEEDS[name]:
            require(package, f"--format {name}")
    folder.mkdir(parents=True, exist_ok=True)
    writers: dict[str, tuple[str, Callable[[StudyData, Path], None]]] = {
        "csv": ("trials.csv", _write_csv),
        "parquet": ("trials.parquet", _write_parquet),
        "optuna": ("optuna.log", _write_optuna),
    }
    written = []
    for name in formats:
        file, write = writers[name]
        try:
            with atomic_write(folder / file) as new:
                write(data, new)
        except OSError as error:  # such as a full disk, which does not say for which file
            error.filename = error.filename or str(folder / file)
            raise
        written.append(folder / file)
    return written


def trials_frame(data: StudyData, *, as_csv: bool = False) -> pd.DataFrame:
    """The study's frame with the reason of each failure, and choices as text, which every format takes.

    Where two choices would have the same text, and with ``as_csv`` where one would be read back as another or as
    missing, all choices of that hyperparameter are written as JSON: ``1`` and ``"1"``.
    """
    frame = data.frame()
    if is_retraining(data):  # whose trials are to be averaged, not picked from
        frame.insert(1, "candidate", candidate_of(data))
    for name, choices in data.choices.items():
        frame[f"params_{name}"] = _texts(data.params[name], choices, as_csv)
    reasons = {number: reason(error) for number, error in data.errors().items()}
    frame["error"] = [reasons.get(int(number), "") for number in data.number]
    for name in frame.columns:
        if frame[name].dtype.kind == "O":
            frame[name] = frame[name].astype(str)
    return frame


def _texts(values: Iterable[Any], choices: Sequence[ParamValue], as_csv: bool) -> list[str]:
    texts = [str(choice) for choice in choices]
    clear = len(set(texts)) == len(texts) and not (as_csv and any(map(_is_misread, texts)))
    return ["" if value is None else str(value) if clear else json.dumps(value, ensure_ascii=False) for value in values]


def _is_misread(text: str) -> bool:
    return text != text.strip() or not text.isprintable() or text.lower().strip("<>#") in _MISSING


def _write_csv(data: StudyData, path: Path) -> None:
    trials_frame(data, as_csv=True).to_csv(path, index=False)


def _write_parquet(data: StudyData, path: Path) -> None:
    trials_frame(data).to_parquet(path, index=False)


def _write_optuna(data: StudyData, path: Path) -> None:
    """A journal storage: one in SQLite takes fifty times as long to write.

    Trials that have not ended are left out, since nobody would ever end them there.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.create_study(study_name=data.name, storage=storage, direction="maximize")
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        study.set_metric_names([objective_name(data)])
    study.set_user_attr("constraints", list(data.constraint_names))
    distributions = _distributions(data)
    study.add_trials([_frozen(data, int(row), distributions) for row in np.flatnonzero(data.ended)])


def _distributions(data: StudyData) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for name, parameter in (data.config.get("space") or {}).items():
        if name not in data.params:
            continue
        match parameter["type"]:
            case "categorical":
                found[name] = CategoricalDistribution(data.choices[name])
            case "int":
                found[name] = IntDistribution(parameter["low"], parameter["high"], log=parameter["scale"] == "log")
            case _:
                found[name] = FloatDistribution(parameter["low"], parameter["high"], log=parameter["scale"] == "log")
    return found


def _frozen(data: StudyData, row: int, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """A trial as Optuna has it: pruned and stopped early are both pruned there, lost is failed.

    The attribute ``state`` tells them apart. Constraints go where Optuna's samplers and its dashboard both look for
    them, as a list.
    """
    from optuna.trial import FrozenTrial, TrialState

    early = dict.fromkeys((State.STOPPED.value, State.PRUNED.value), TrialState.PRUNED)
    states = {State.COMPLETED.value: TrialState.COMPLETE, **early}
    number, objective = int(data.number[row]), float(data.objective[row])
    params = {name: value for name, value in data.trial(row).params.items() if name in distributions}
    named = zip(data.constraint_names, data.constraints[row].tolist(), strict=True)
    constraints = [(name, value) for name, value in named if not np.isnan(value)]
    return FrozenTrial(
        number=number,
        trial_id=-1,
        state=states.get(str(data.state[row]), TrialState.FAIL),
        value=None if np.isnan(objective) else objective,
        datetime_start=_moment(float(data.started_at[row])) or _moment(float(data.ended_at[row])),
        datetime_complete=_moment(float(data.ended_at[row])),
        params=params,
        distributions={name: distributions[name] for name in params},
        user_attrs=_attributes(data, row, constraints),
        system_attrs={"constraints": [value for _, value in constraints]} if constraints else {},
        intermediate_values=_intermediate(data, number),
    )


def _intermediate(data: StudyData, number: int) -> dict[int, float]:
    """What a trial had reached on its way: by training samples where it reported, else its accuracy by epoch."""
    mine = (data.reports["number"] == number) & ~np.isnan(data.reports["score"])
    if mine.any():
        return dict(zip(data.reports["position"][mine].tolist(), data.reports["score"][mine].tolist(), strict=True))
    accuracy = np.ravel(data.curves(number).get("train_accuracy", np.empty(0))).tolist()
    return dict(enumerate(accuracy, start=1))


def _attributes(data: StudyData, row: int, constraints: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """The trial's own facts, then constraints and metrics; whatever has a name that is taken goes by another."""
    found: dict[str, Any] = {"seed": int(data.seed[row]), "rank": int(data.rank[row]), "state": str(data.state[row])}

    def add(name: str, value: float, kind: str) -> None:
        while name in found:
            name = f"{kind} {name}"
        found[name] = value

    for name, value in constraints:
        add(f"constraint {name}", value, "constraint")
    for name, values in data.metrics.items():
        if not np.isnan(values[row]):
            add(name, float(values[row]), "metric")
    return found


def _moment(at: float) -> datetime | None:
    return None if np.isnan(at) else datetime.fromtimestamp(at)
