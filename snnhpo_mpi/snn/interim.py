"""What a training shows on its way, so that a trial that cannot win is stopped.

Reports come at positions that grow geometrically, so that a long training is judged early and a report costs nothing.
The score is the share of right ones among the samples that were predicted since the report before, *before* they
changed the network or while they did: it needs no further presentation, and the first samples, of which nothing was
learnt yet, do not hold it back. A training never waits for an answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from snnhpo_mpi.interfaces import Learnt, PrunedAt, Report
from snnhpo_mpi.snn.early_stopping.stopping import EarlyStopping
from snnhpo_mpi.trial import ACCURACY, Interim, Outcome

FIRST = 250  # training samples before the first report
GROWTH = math.sqrt(2.0)


class InterimReports:
    """Those of one training."""

    def __init__(self, number: int, n_planned: int, send: Report, pruned_at: PrunedAt) -> None:
        """Hand in the line to rank 0.

        Args:
            number: of the trial.
            n_planned: training samples over all epochs; nothing is reported when all have been seen.
            send: takes the reports.
            pruned_at: says whether the trial is to stop, and as of which report.
        """
        self._number, self._n_planned, self._send, self._pruned_at = number, n_planned, send, pruned_at
        self._n_due = 0  # reports that were due so far
        self._n_right = self._n_predicted = 0  # since the latest report
        self._sent: dict[int, tuple[Interim, tuple[float, ...]]] = {}  # position -> report, constraints

    def observe(self, learnt: Learnt) -> None:
        """Count the predictions of some samples."""
        if learnt.right is not None:
            self._n_right += int(learnt.right.sum())
            self._n_predicted += len(learnt.right)

    def is_due(self, n_samples: int) -> bool:
        """Whether the training has come so far that it is to report, and is not at its end."""
        return round(FIRST * GROWTH**self._n_due) <= n_samples < self._n_planned

    def report(self, n_samples: int, seconds: float, stopping: EarlyStopping) -> None:
        """Send what the training shows after so many samples."""
        interim = Interim(
            number=self._number,
            position=n_samples,
            seconds=seconds,
            score=self._n_right / self._n_predicted if self._n_predicted else None,
            n_scored=self._n_predicted or None,
            silent_rate=stopping.silence.rates,
            spikes=stopping.silence.mean_spikes,
            n_planned=self._n_planned,
        )
        self._sent[n_samples] = interim, stopping.constraints
        self._n_right = self._n_predicted = 0
        while self.is_due(n_samples):
            self._n_due += 1
        self._send(interim)

    @property
    def pruned(self) -> bool:
        """Whether the trial is to stop, as it cannot win."""
        return self._pruned_at(self._number) is not None

    def as_decided(self, outcome: Outcome) -> Outcome:
        """The outcome of a pruned training with score and constraints as of the report that decided."""
        position = self._pruned_at(self._number)
        decisive = None if position is None else self._sent.get(position)
        if decisive is None or (score := decisive[0].score) is None:
            return outcome
        interim, constraints = decisive
        return replace(outcome, objectives={ACCURACY: score}, n_scored=interim.n_scored, constraints=constraints)

    def state_dict(self) -> dict[str, Any]:
        """What is due and counted, for a checkpoint."""
        return {"n_due": self._n_due, "n_right": self._n_right, "n_predicted": self._n_predicted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._n_due, self._n_right, self._n_predicted = state["n_due"], state["n_right"], state["n_predicted"]
