"""The numbers of a study: how far it is, what was found, what silence cost and what stopping early saved.

Everything is computed from a ``StudyData`` alone; n is the number of trials asked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.analysis.curves import incumbent
from snnhpo_mpi.analysis.edges import Edge, edges, n_ranges, used_up
from snnhpo_mpi.analysis.finalists import Finalist, by_score, finalists
from snnhpo_mpi.analysis.pace import busy_share, seconds_left
from snnhpo_mpi.analysis.repeats import Repeats, is_retraining, repeats
from snnhpo_mpi.analysis.score import n_scored, standard_error, with_error
from snnhpo_mpi.analysis.timeline import windows
from snnhpo_mpi.analysis.violations import Violation, violations
from snnhpo_mpi.plain_text import plain
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.trial import ACCURACY, ParamValue, State

HELD_OUT_ACCURACY = "held-out accuracy"


@dataclass(frozen=True, slots=True)
class Found:
    """A trial worth a look; ``n`` samples were scored, None where nobody knows; ``again``: what a finalist gave."""

    number: int
    objectives: Mapping[str, float]
    params: Mapping[str, ParamValue]
    n: int | None = None
    again: Finalist | None = None

    @property
    def objective(self) -> float:
        """The first objective."""
        return next(iter(self.objectives.values()))

    @property
    def standard_error(self) -> float | None:
        """Of the objective, by the number of samples alone."""
        return standard_error(self.objective, self.n)

    @property
    def worth(self) -> float:
        """Mean of the repeats of a finalist, the first objective of any other."""
        mean = self.again.repeats.mean if self.again else None
        return self.objective if mean is None else mean

    @property
    def searched(self) -> str:
        """The search's score: ``0.6300 ± 0.022``."""
        return with_error(self.objective, self.standard_error)

    @property
    def text(self) -> str:
        """The search's score; of a finalist, mean and standard deviation of its repeats."""
        return self.again.repeats.text if self.again and self.again.repeats.values else self.searched


@dataclass(frozen=True, slots=True)
class Baseline(Found):
    """The known configuration that was evaluated as trial 0; it was scored only if it was completed."""

    name: str = ""
    state: str = ""
    feasible: bool = False

    @property
    def scored(self) -> bool:
        """Whether its objective is one, and not what a network had when it was stopped."""
        return self.state == State.COMPLETED.value


@dataclass(frozen=True, slots=True)
class Summary:
    """A study in numbers.

    Attributes:
        state: ``running``, ``killed`` (ended without a word), or what the last run closed with.
        budget_trials: trials to be asked, None without such a budget.
        trials: trials asked; the sum of the six that follow and of those not sent out.
        feasible: completed trials that satisfy every constraint.
        best: the feasible trial with the largest objective, or the winner of the finalists; None in a retraining, where
            nothing may be picked.
        violations: of a search without a feasible trial: the constraints that were violated.
        finalists: what was trained again at the end of the budget, the winner first.
        edges: bounds of the search that the best lies at.
        n_ranges: hyperparameters that are numbers.
        used_up: how many configurations the space has, if all of them were asked.
        repeats: of a retraining: what each candidate gave.
        silent_share: stopped of completed, stopped and pruned; None before the first, and where nothing is stopped.
        busy_share: of the workers' time between the first dispatch and the last result of each run, what they spent
            evaluating.
        busy_share_of_runs: the same of all of the runs' time, which includes their start-up and end.
        objective_name: what the objective is, for people.
        stopped_as: what people call the trials stopped early.
        seconds: the runs lasted, breaks between them left out.
        evaluation_seconds: that the workers evaluated, all together.
        saved_seconds: that the stopped networks would have trained on.
        pruned_seconds: the same of the pruned ones.
        seconds_left: until the budget is used up at the recent pace, None if nobody can tell.
        incumbent: best feasible objective after each end of a trial, NaN before the first.
        updated_at: of the latest event [Unix s].
    """

    study: str
    state: str
    objective_name: str
    budget_trials: int | None
    trials: int
    completed: int
    stopped: int
    pruned: int
    failed: int
    lost: int
    running: int
    feasible: int
    best: Found | None
    violations: tuple[Violation, ...]
    finalists: tuple[Finalist, ...]
    edges: tuple[Edge, ...]
    n_ranges: int
    used_up: int | None
    repeats: tuple[Repeats, ...]
    baseline: Baseline | None
    silent_share: float | None
    busy_share: float | None
    busy_share_of_runs: float | None
    stopped_as: str
    seconds: float
    evaluation_seconds: float
    saved_seconds: float
    pruned_seconds: float
    seconds_left: float | None
    incumbent: tuple[float, ...]
    updated_at: float

    @property
    def ended(self) -> int:
        """Trials that ended, in whatever way."""
        return self.completed + self.stopped + self.pruned + self.failed + self.lost

    @property
    def infeasible(self) -> int:
        """Trials that completed and violate a constraint."""
        return self.completed - self.feasible

    @property
    def chosen_from(self) -> str:
        """What the best is the best of: ``best of 33 scores on 500 held-out samples``."""
        if self.best and self.best.again:
            return f"{self.best.again.repeats.spread}, the best of {len(self.finalists)} finalists; {self._in_search}"
        n = self.best.n if self.best else None
        samples = f" on {n:,} held-out samples" if n else ""
        return f"best of {self.feasible} scores{samples}" if self.feasible > 1 else f"the only score{samples}"

    @property
    def _in_search(self) -> str:
        return f"{self.best.searched if self.best else '-'} in the search"


def summarise(data: StudyData, *, now: float | None = None) -> Summary:
    """The numbers of a study at this moment, or at another while it runs [Unix s]."""
    if now is None:
        now = max(time.time(), data.updated_at) if data.live else data.updated_at
    runs = windows(data, now)
    counts = Counter(data.state.tolist())
    completed, stopped, pruned = (counts[state.value] for state in (State.COMPLETED, State.STOPPED, State.PRUNED))
    trained = completed + stopped + pruned
    best, saved, is_pruned = best_trials(data, 1), saved_seconds(data), data.state == State.PRUNED.value
    return Summary(
        study=data.name,
        state=_state(data),
        objective_name=objective_name(data),
        budget_trials=(data.config.get("budget") or {}).get("trials"),
        trials=data.n_trials,
        completed=completed,
        stopped=stopped,
        pruned=pruned,
        failed=counts[State.FAILED.value],
        lost=counts[State.LOST.value],
        running=counts["running"] if data.live else 0,
        feasible=int(data.feasible.sum()),
        best=best[0] if best else None,
        violations=() if data.feasible.any() else violations(data),
        finalists=tuple(finalists(data)),
        edges=edges(data, data.number.tolist().index(best[0].number)) if best else (),
        n_ranges=n_ranges(data),
        used_up=used_up(data),
        repeats=tuple(repeats(data)),
        baseline=_baseline(data),
        silent_share=stopped / trained if trained and stops_early(data) else None,
        busy_share=busy_share(data, runs),
        busy_share_of_runs=busy_share(data, runs, whole_runs=True),
        stopped_as=stopped_as(data.config),
        seconds=sum(window.seconds for window in runs),
        evaluation_seconds=float(np.nansum(data.seconds)),
        saved_seconds=float(np.nansum(saved[~is_pruned])),
        pruned_seconds=float(np.nansum(saved[is_pruned])),
        seconds_left=seconds_left(data, runs),
        incumbent=() if is_retraining(data) else tuple(incumbent(data).best.tolist()),
        updated_at=data.updated_at,
    )


def status_dict(summary: Summary) -> dict[str, Any]:
    """What ``status --json`` prints."""
    names = ["study", "state", "trials", "completed", "stopped", "pruned", "failed", "lost", "running", "feasible"]
    counts = {name: getattr(summary, name) for name in names}
    best = _found_dict(summary.best) if summary.best else None
    shares: dict[str, Any] = {name: getattr(summary, name) for name in ("silent_share", "busy_share", "seconds")}
    shares["saved_seconds"] = {"stopped": summary.saved_seconds, "pruned": summary.pruned_seconds}
    more = {"retrained": [_repeats_dict(one) for one in summary.repeats]} if summary.repeats else {}
    more |= {"finalists": [finalist_dict(one) for one in summary.finalists]} if summary.finalists else {}
    return counts | {"best": best} | shares | more


def best_dict(best: Sequence[Found]) -> dict[str, Any]:
    """What ``best --json`` prints."""
    return {"best": [_found_dict(found) for found in best]}


def best_trials(data: StudyData, k: int) -> list[Found]:
    """The k best feasible trials, the best first: the finalists, then those with the largest objective.

    None of a retraining: the largest of many scores on the test data would be too good.
    """
    if is_retraining(data):
        return []
    places = {int(data.number[row]): int(row) for row in by_score(data)}
    again = {one.number: one for one in finalists(data)}
    order = dict.fromkeys([*(number for number, one in again.items() if one.may_win), *places])
    return [replace(_found(data, places[number]), again=again.get(number)) for number in list(order)[:k]]


def saved_seconds(data: StudyData) -> NDArray[np.float64]:
    """n, seconds that each network that ended early would have trained on, at its own pace; NaN for the others."""
    absent = np.full(data.n_trials, np.nan)
    trained, seen, planned = (
        data.metrics.get(name, absent) for name in ("train_seconds", "n_samples", "n_samples_planned")
    )
    early = np.isin(data.state, [State.STOPPED.value, State.PRUNED.value]) & (np.nan_to_num(seen) > 0)
    saved = absent.copy()
    saved[early] = np.maximum(trained[early] * (planned[early] / seen[early] - 1.0), 0.0)
    return saved


def failures(data: StudyData) -> list[tuple[str, int]]:
    """Reasons of failures and how often each came, the most frequent first."""
    return Counter(reason(error) for error in data.errors().values()).most_common()


def reason(error: str) -> str:
    """One plain line of an error text: the last of a traceback, else the first."""
    lines = [line.strip() for line in plain(error).splitlines() if line.strip()]
    if not lines:
        return "no reason given"
    return (lines[-1] if lines[0].startswith("Traceback") else lines[0])[:200]


def is_own_function(data: StudyData) -> bool:
    """Whether the trials are calls of a function of the user's."""
    return (data.config.get("trainer") or {}).get("name") == "python"


def stops_early(data: StudyData) -> bool:
    """Whether trials may be stopped early; of a record without its configuration, whether some were."""
    rules = any(data.config.get(section) for section in ("stopping", "saturation", "chance"))
    return rules or bool((data.state == State.STOPPED.value).any())


def stopped_as(config: Mapping[str, Any]) -> str:
    """What people call the trials stopped early: ``silent`` only where nothing but silence stops one."""
    return "stopped" if config.get("saturation") or config.get("chance") else "silent"


def objective_name(data: StudyData) -> str:
    """What people call the objective of this study."""
    if is_own_function(data):
        name = data.objective_names[0]
        return "objective" if name == ACCURACY else name  # the default, which says nothing about a function
    measured_on = "test" if is_retraining(data) else "held-out"
    return f"{measured_on} {data.objective_names[0]}"


def _found_dict(found: Found) -> dict[str, Any]:
    score = {"number": found.number, "objective": found.objective, "objectives": dict(found.objectives)}
    again = {"repeats": finalist_dict(found.again)} if found.again else {}
    return score | {"params": dict(found.params), "standard_error": found.standard_error, "n": found.n} | again


def finalist_dict(one: Finalist) -> dict[str, Any]:
    """A finalist in JSON."""
    return _repeats_dict(one.repeats) | {"infeasible": one.n_infeasible, "posterior_mean": one.posterior}


def _repeats_dict(one: Repeats) -> dict[str, Any]:
    spread = {"mean": one.mean, "sd": one.sd, "n": len(one.values), "failed": one.n_failed}
    return {"number": one.number, "searched": one.searched} | spread


def _found(data: StudyData, row: int) -> Found:
    objectives = {name: float(values[row]) for name, values in data.objectives.items()}
    return Found(int(data.number[row]), objectives, data.trial(row).params, n_scored(data, row))


def _state(data: StudyData) -> str:
    if data.live:
        return "running"
    closed = data.sessions[-1].closed if data.sessions else None
    return closed.state if closed else "killed"


def scored_baseline(data: StudyData) -> Baseline | None:
    """The baseline if it was trained to its end."""
    baseline = _baseline(data)
    return baseline if baseline is not None and baseline.scored else None


def _baseline(data: StudyData) -> Baseline | None:
    settings = data.config.get("baseline")
    if not settings or data.n_trials == 0 or data.number[0] != 0:
        return None
    found, state = _found(data, 0), str(data.state[0])
    return Baseline(
        0, found.objectives, found.params, found.n, name=settings["name"], state=state, feasible=bool(data.feasible[0])
    )
