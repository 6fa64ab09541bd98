"""A study as a reader sees it: arrays with a row a trial, whatever the state of its files."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from snnhpo_mpi import codec
from snnhpo_mpi.errors import RecordError, refusal
from snnhpo_mpi.extras import require
from snnhpo_mpi.record import recovery, snapshot
from snnhpo_mpi.record.entries import Proposed
from snnhpo_mpi.record.lock import is_live
from snnhpo_mpi.record.recovery import Files, Finding
from snnhpo_mpi.record.replay import all_repeated
from snnhpo_mpi.record.retraining import Retraining, retraining_of
from snnhpo_mpi.record.table import METRICS, OBJECTIVES, PARAMS, Extras, SessionSpan, Table
from snnhpo_mpi.trial import (
    Ended,
    Event,
    ParamValue,
    Progress,
    Repeat,
    Repeated,
    Reported,
    Started,
    State,
    Trial,
)

if TYPE_CHECKING:
    import pandas as pd

LIVE_FILE = "live.json"
REPORTS = ("number", "position", "score", "n_scored", "n_planned", "seconds")  # columns that each report has
Floats = NDArray[np.float64]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """Where a worker rank ran last, by its own word, and since when [Unix s]."""

    rank: int
    host: str
    device: str
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class StudyData:
    """What is known of a study at some moment.

    Notation: n trials asked, in that order; d encoded columns; m constraints. Absent numbers are NaN, absent ranks -1.

    Attributes:
        folder: of the study's files.
        files: that it was read from.
        name, study_id, created_at: of the study; times are in Unix seconds.
        live: whether a run is going on.
        config_text, config: the YAML as given and the resolved settings, of the latest session.
        provenance: versions, commit, host, of the latest session.
        sessions: runs of the program on this study, in order.
        constraint_names: m.
        number: n.
        state: n, a ``State``'s value, or ``asked`` or ``running``.
        rank: n, the worker that has or had it.
        seed: n.
        x: ``n x d``.
        objective_names: k.
        objectives: name -> n, to be maximised.
        n_scored: n, samples that the objectives were measured on; -1 if nobody knows.
        constraints: ``n x m``.
        asked_at, started_at, ended_at: n, by the clock of rank 0.
        seconds: n, the worker's own measure.
        params: hyperparameter -> n values, of the type that was evaluated: a column of objects where they are choices,
            or integers of a hyperparameter that does not always exist. Where it does not, the value is NaN, among
            objects None; a hyperparameter that no trial had yet is left out.
        choices: categorical -> its choices, as configured, and whatever else was evaluated.
        metrics: name -> n.
        optimizer: diagnostic at the time of asking -> n, or n rows.
        reports: interim results of the trials in the order of their arrival, as columns of the group ``/reports``:
            ``number``, ``position``, ``score``, ``n_scored``, ``n_planned``, ``seconds``, ``silent_rate/<layer>``,
            ``spikes/<layer>``.
        repeated: further trainings of configurations, in the order of their arrival.
        progress: rank -> the latest news of its trial, while a run is going on.
        workers: rank -> where it is.
        updated_at: time of the latest event or news.
        notices: what was wrong with the files, for the user.
        losses: those of the notices that tell of something that no file makes up for.
    """

    folder: Path
    files: Files
    name: str
    study_id: str
    created_at: float
    live: bool
    config_text: str
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    sessions: tuple[SessionSpan, ...]
    constraint_names: tuple[str, ...]
    number: NDArray[np.int64]
    state: NDArray[np.object_]
    rank: NDArray[np.int64]
    seed: NDArray[np.int64]
    x: Floats
    objective_names: tuple[str, ...]
    objectives: Mapping[str, Floats]
    n_scored: NDArray[np.int64]
    constraints: Floats
    asked_at: Floats
    started_at: Floats
    ended_at: Floats
    seconds: Floats
    params: Mapping[str, NDArray[Any]]
    choices: Mapping[str, tuple[ParamValue, ...]]
    metrics: Mapping[str, Floats]
    optimizer: Mapping[str, Floats]
    reports: Mapping[str, NDArray[Any]]
    repeated: tuple[Repeated, ...]
    progress: Mapping[int, Progress]
    workers: Mapping[int, Worker]
    updated_at: float
    notices: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    _extras: Extras = field(default_factory=Extras, repr=False)

    @property
    def retraining(self) -> Retraining | None:
        """What the trials train again, if they were chosen by another study: there is no best among them."""
        return retraining_of(self.sessions[-1].began.retraining if self.sessions else None, self.config)

    @property
    def repeats(self) -> tuple[Repeat, ...]:
        """What further trainings of configurations gave, in the order of their arrival."""
        return tuple(one.repeat for one in self.repeated)

    @property
    def n_trials(self) -> int:
        """Trials asked."""
        return len(self.number)

    @property
    def objective(self) -> Floats:
        """n, the first objective."""
        return self.objectives[self.objective_names[0]]

    @property
    def ended(self) -> NDArray[np.bool_]:
        """n, whether a trial has ended, in whatever way."""
        return np.isin(self.state, [state.value for state in State])

    @property
    def completed(self) -> NDArray[np.bool_]:
        """n, whether a trial was trained to the end and scored."""
        return np.asarray(self.state == State.COMPLETED.value, dtype=np.bool_)

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """n, whether a trial completed and satisfies every constraint."""
        return np.asarray(self.completed & np.all(self.constraints <= 0, axis=1), dtype=np.bool_)

    def trial(self, row: int) -> Trial:
        """The trial in a row (rows are numbers unless numbers were left out)."""
        values = {name: _python(column[row]) for name, column in self.params.items()}
        params = {name: value for name, value in values.items() if value is not None and value == value}  # NaN is not
        return Trial(int(self.number[row]), params, int(self.seed[row]))

    def unfinished(self) -> list[Trial]:
        """Trials asked that have not ended, in the order asked: what a resumed run sends out again."""
        return [self.trial(int(row)) for row in np.flatnonzero(~self.ended)]

    def events(self) -> Iterator[Event]:
        """What happened to the trials, in the very order of recording: the replay that rebuilds an optimizer.

        A trial is asked once and ends at most once.

        Raises:
            RecordError: something is lost; the message says what and what can be done.
        """
        asked: set[int] = set()
        ended: set[int] = set()
        for entry in recovery.entries(self.files, recovery.load_base(self.files), _refuse_loss):
            match entry:
                case Proposed(event) if event.number not in asked:
                    asked.add(event.number)
                    yield event
                case Started() | Reported() if entry.number in asked and entry.number not in ended:
                    yield entry
                case Ended() if entry.number in asked and entry.number not in ended:
                    ended.add(entry.number)
                    yield entry
                case Repeated() if entry.number in asked:
                    yield entry

    def curves(self, number: int) -> dict[str, Floats]:
        """Curves of a trial by name, flat or rows of equal length; none if it has none."""
        if number in self._extras.curves:
            return {name: np.asarray(curve, np.float64) for name, curve in self._extras.curves[number].items()}
        if self.files.snapshot is not None:
            with contextlib.suppress(OSError, KeyError, ValueError):
                return snapshot.load_curves(self.files.snapshot, number)
        return {}

    def errors(self) -> dict[int, str]:
        """Reason and traceback of each failure, by number of trial."""
        stored: dict[int, str] = {}
        if self.files.snapshot is not None:
            with contextlib.suppress(OSError, KeyError, ValueError):
                stored = snapshot.load_errors(self.files.snapshot)
        return dict(sorted((stored | self._extras.errors).items()))

    def frame(self) -> pd.DataFrame:
        """A row a trial, a column a quantity: ``objective_*``, ``constraint_*``, ``params_*``, ``metrics_*``, ...

        Where a hyperparameter does not exist, its cell is missing, among integers of the type ``Int64`` too.
        """
        require("pandas", "frame()")
        import pandas as pd

        names = ["number", "state", "rank", "seed", "objective", "n_scored"]
        names += ["asked_at", "started_at", "ended_at", "seconds"]
        columns: dict[str, Any] = {name: getattr(self, name) for name in names}
        columns |= {f"objective_{name}": values for name, values in self.objectives.items()}
        columns |= {f"constraint_{name}": self.constraints[:, j] for j, name in enumerate(self.constraint_names)}
        for name, values in self.params.items():
            is_whole = values.dtype.kind == "O" and name not in self.choices
            columns[f"params_{name}"] = pd.array(values, dtype="Int64") if is_whole else values
        columns |= {f"metrics_{name}": values for name, values in self.metrics.items()}
        return pd.DataFrame(columns)


def _refuse_loss(finding: recovery.Finding) -> None:
    if finding.lost:
        raise RecordError(finding.text)


def read(path: Path | str) -> StudyData:
    """A study from its folder, or one file of a study alone, finished or going on, without touching anything.

    In a folder, the snapshot is taken up to where it goes and the journal from there on. If one of them is missing or
    damaged, the other is used, with a notice. Notices are logged as warnings too, which go to standard error unless
    logging is set up otherwise.

    Args:
        path: the folder, or a file such as a copy of ``study.h5``; a folder's own ``study.h5`` stands for the folder.

    Raises:
        RecordError: there is no study, or neither file can be read.
    """
    path = Path(path)
    try:
        files = Files.named(path)
        table, extras, findings = recovery.recover(files, recovery.load_base(files))
        live = files == Files.of(files.folder) and is_live(files.folder)
    except OSError as error:
        raise RecordError(refusal(error, path)) from error
    data = assemble(files, table, extras, findings, live=live)
    for notice in data.notices:
        log.warning("%s", notice)
    return data


def assemble(files: Files, table: Table, extras: Extras, findings: Sequence[Finding] = (), *, live: bool) -> StudyData:
    """The reader's view of a table."""
    remedies = [
        finding.remedy if not live else "the run that goes on puts it back when it ends" for finding in findings
    ]
    notices = [
        f"{one.text}; {remedy}" if one.lost else one.text for one, remedy in zip(findings, remedies, strict=True)
    ]
    latest = table.sessions[-1].began if table.sessions else None
    config = latest.config if latest else {}
    progress, updated_at = _progress(files.folder) if live else ({}, 0.0)
    n, m = table.n_trials, len(table.header.constraint_names)
    names = ("number", "rank", "seed", "n_scored", "asked_at", "started_at", "ended_at", "seconds")
    columns: dict[str, Any] = {name: table.column(f"trials/{name}") for name in names}
    event_times = table.column("events/at")
    return StudyData(
        folder=files.folder,
        files=files,
        name=table.header.name,
        study_id=table.header.study_id,
        created_at=table.header.at,
        live=live,
        config_text=latest.config_text if latest else "",
        config=config,
        provenance=latest.provenance if latest else {},
        sessions=table.sessions,
        objective_names=table.header.objective_names,
        objectives={name: table.column(f"{OBJECTIVES}{name}") for name in table.header.objective_names},
        constraint_names=table.header.constraint_names,
        state=table.column("trials/state").astype("U9").astype(object),
        x=_rows(table.column("trials/x"), n),
        constraints=_rows(table.column("trials/constraints"), n, m),
        params=_params(table, config),
        choices=table.choices,
        metrics=_group(table, METRICS),
        optimizer=_group(table, "optimizer/"),
        reports={name: table.column(f"reports/{name}") for name in REPORTS} | _group(table, "reports/"),
        repeated=tuple(all_repeated(table)),
        progress=progress,
        workers={w.rank: Worker(w.rank, w.host, w.device, w.at) for w in table.workers},
        updated_at=max(updated_at, float(event_times[-1]) if len(event_times) else table.header.at),
        notices=tuple(notices),
        losses=tuple(notice for notice, finding in zip(notices, findings, strict=True) if finding.lost),
        _extras=extras,
        **columns,
    )


def _rows(column: NDArray[Any], n: int, width: int | None = None) -> Floats:
    """``n x width``; as wide as it was recorded without ``width``."""
    if column.ndim == 1:
        return np.full((n, width or 0), np.nan)
    return np.asarray(column[:, :width], np.float64)


def _group(table: Table, prefix: str) -> dict[str, Floats]:
    return {name.removeprefix(prefix): c for name, c in sorted(table.columns.items()) if name.startswith(prefix)}


def _params(table: Table, config: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Hyperparameters in the order of the configuration, choices as they were evaluated."""
    recorded = [name.removeprefix(PARAMS) for name in table.columns if name.startswith(PARAMS)]
    order = list(config.get("space") or ())
    recorded.sort(key=lambda name: (order.index(name) if name in order else len(order), name))
    values: dict[str, NDArray[Any]] = {name: table.columns[f"{PARAMS}{name}"] for name in recorded}
    for name, column in values.items():
        is_conditional = bool((config.get("space") or {}).get(name, {}).get("when"))
        if name in table.choices or (is_conditional and column.dtype.kind == "i"):
            values[name] = np.empty(table.n_trials, dtype=object)
            values[name][:] = [table.param(name, row) for row in range(table.n_trials)]
    return values


def _python(value: object) -> Any:
    return value.item() if isinstance(value, np.generic) else value


class Live(TypedDict):
    """What ``live.json`` holds: the latest news by rank, and when they were written [Unix s]."""

    at: float
    progress: dict[int, Progress]


def _progress(folder: Path) -> tuple[dict[int, Progress], float]:
    """The latest news of each rank, and when they were written."""
    try:
        live = codec.read(Live, (folder / LIVE_FILE).read_bytes())
    except (OSError, ValueError):
        return {}, 0.0  # not there yet, or of another version: the record itself is not concerned
    return live["progress"], live["at"]
