"""A trial from question to answer: what is evaluated, what it gave, and the events of its life.

Sign, once for the whole program: objectives are maximised; a trial is feasible iff every constraint is <= 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

ParamValue = float | int | str
Params = Mapping[str, ParamValue]
Curve = Sequence[float] | Sequence[Sequence[float]]
MOST_REPEATS = 1000  # of one configuration, this number not included
ACCURACY = "accuracy"  # the objective where a configuration names none, and of every record of schema 1


class State(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"  # trained to the end and scored on held-out data
    STOPPED = "stopped"  # stopped early by a monitor; its objective is its running training accuracy
    PRUNED = "pruned"  # stopped because it could not win: not infeasible, and what it had shown is not its value
    FAILED = "failed"  # raised, ran out of memory or time, was killed, or returned nonsense
    LOST = "lost"  # its worker was lost as often as a trial is sent


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration to evaluate.

    Attributes:
        number: position in the study, from 0; negative of one more training of a trial (``repeat_number``).
        params: value of every *searched* hyperparameter, in the user's units.
        seed: seeds everything random in the evaluation; a function of study seed and number.
    """

    number: int
    params: Params
    seed: int

    @property
    def repeat(self) -> int:
        """Which further training of its configuration this is, from 1, each on a split of its own; 0 of the search."""
        return repeat_of(self.number)[1]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trial that an optimizer proposes.

    Attributes:
        trial: what to evaluate.
        n_told: outcomes that the optimizer took into account, of those it was told, in order.
        diagnostics: how it came about, for a reader; nothing follows from them.
    """

    trial: Trial
    n_told: int
    diagnostics: Mapping[str, float | Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the evaluation of a trial gave.

    Attributes:
        number: number of the trial.
        state: how it ended.
        objectives: name -> value, to be maximised, in the order of the study's names; empty when failed or lost.
        constraints: one value a constraint, feasible iff <= 0; empty when failed or lost.
        metrics: further scalars (``train_seconds``, ``stopped_at`` in samples, ...).
        curves: further series, flat or rows of equal length (``train_accuracy`` per epoch, ...).
        error: reason and traceback of a failure.
        notes: what of the answer could not be used, in words; said once, not recorded.
        n_scored: samples that the objectives were measured on; None if nobody knows.
        predicted: of a pruned trial, the first objective that it would have had at its end; follows from the reports of
            the record, and is not in it.
    """

    number: int
    state: State
    objectives: Mapping[str, float] = field(default_factory=dict)
    constraints: tuple[float, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    error: str | None = None
    notes: tuple[str, ...] = ()
    n_scored: int | None = None
    predicted: float | None = None

    @property
    def objective(self) -> float | None:
        """The first objective, for readers that show one number; None where there is none."""
        return next(iter(self.objectives.values()), None)

    @property
    def feasible(self) -> bool:
        """Whether the trial was trained to the end and satisfies every constraint."""
        return self.state is State.COMPLETED and all(c <= 0 for c in self.constraints)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running trial is; all but ``number`` as of the last report of its trainer.

    Attributes:
        epoch: from 1.
        n_samples: training samples seen so far, over all epochs.
        n_samples_planned: training samples if it runs to the end.
        accuracy: running training accuracy in [0, 1], None before the first estimate.
        silent_rate: share of silent samples in the epoch so far, per monitored layer.
        spikes: mean spikes of a sample in the epoch so far, per monitored layer.
    """

    number: int
    epoch: int
    n_samples: int
    n_samples_planned: int
    accuracy: float | None = None
    silent_rate: Mapping[str, float] = field(default_factory=dict)
    spikes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """The optimizer proposed a trial.

    Attributes:
        trial: what to evaluate.
        at: when [Unix s].
        optimizer: diagnostics of that moment, for a reader.
        n_told: outcomes that the proposal follows from (``Proposal.n_told``); None of a trial that nobody proposed.
    """

    trial: Trial
    at: float
    optimizer: Mapping[str, float | Sequence[float]] = field(default_factory=dict)
    n_told: int | None = None

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self.trial.number


@dataclass(frozen=True, slots=True)
class Started:
    """A trial was sent to a worker rank; ``at`` in Unix seconds."""

    number: int
    rank: int
    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial's outcome arrived; ``seconds`` is the worker's own measure of the evaluation."""

    outcome: Outcome
    rank: int
    at: float
    seconds: float

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self.outcome.number


@dataclass(frozen=True, slots=True)
class Interim:
    """What a running trial shows at a checkpoint; decisions follow from it.

    Attributes:
        number: of the trial.
        position: training samples seen so far, over all epochs.
        score: what it reaches there, larger is better: on a part of the held-out samples, or its running training
            accuracy; None before the first.
        n_scored: samples that the score was measured on; None if nobody knows.
        silent_rate: share of silent samples, per monitored layer.
        spikes: mean spikes of a sample, per monitored layer.
        seconds: spent on it so far, by the worker's own clock.
        n_planned: training samples if it runs to the end; None if nobody knows.
    """

    number: int
    position: int
    seconds: float
    score: float | None = None
    n_scored: int | None = None
    silent_rate: Mapping[str, float] = field(default_factory=dict)
    spikes: Mapping[str, float] = field(default_factory=dict)
    n_planned: int | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """A running trial's interim results arrived; ``at`` in Unix seconds."""

    interim: Interim
    rank: int
    at: float

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self.interim.number


@dataclass(frozen=True, slots=True)
class Repeat:
    """One more training of a configuration of the study.

    Attributes:
        number: of the trial whose configuration it is.
        seed: of this training.
        split: the samples that it was scored on, such as ``test``.
        score: the first objective; None of a training that did not come to its end.
        n_scored: samples that it was measured on; None if nobody knows.
        state: how the training ended.
        feasible: whether it came to its end and satisfies every constraint.
    """

    number: int
    seed: int
    split: str
    score: float | None
    n_scored: int | None = None
    state: State = State.COMPLETED
    feasible: bool = True


@dataclass(frozen=True, slots=True)
class Repeated:
    """A repeat arrived; ``seconds`` is the worker's own measure."""

    repeat: Repeat
    rank: int
    at: float
    seconds: float

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self.repeat.number


Event = Asked | Started | Reported | Ended | Repeated


def trial_seed(study_seed: int, number: int, repeat: int = 0) -> int:
    """Seed of a trial, or of a repeat of it, in [0, 2**32), so that NumPy's and torch's generators both take it."""
    key = (number, repeat) if repeat else (number,)
    return int(np.random.SeedSequence(study_seed, spawn_key=key).generate_state(1, np.uint32)[0])


def repeat_number(number: int, repeat: int) -> int:
    """What stands in the place of a trial's number while a repeat of it is out: of no trial and of no other repeat.

    Args:
        number: of the trial.
        repeat: from 1, below ``MOST_REPEATS``.
    """
    return -(number * MOST_REPEATS + repeat)


def repeat_of(number: int) -> tuple[int, int]:
    """The trial's number and the repeat behind a number; repeat 0 of the trial itself."""
    return (number, 0) if number >= 0 else divmod(-number, MOST_REPEATS)
