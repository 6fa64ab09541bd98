"""Which running trials cannot win, decided from the events of the record in their order, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

from snnhpo_mpi.optim.stopping import LearningCurves, PruningSettings, final_score, stops
from snnhpo_mpi.trial import Ended, Event, Interim, Outcome, Reported, State


class Pruner:
    """Decides after each report; a resumed study gives it the events of its record again, and it decides as before."""

    def __init__(self, settings: PruningSettings) -> None:
        self._settings, self._curves = settings, LearningCurves()
        self._latest: dict[int, int] = {}  # running trial -> position of its latest report
        self._stops_at: dict[int, int] = {}  # running trial -> position of the report after which it is to stop

    def note(self, event: Event) -> bool:
        """Take in the next event of the record; whether it is a report after which its trial is to stop."""
        if self._settings.rule == "none":
            return False
        match event:
            case Reported(interim):
                return self._note_report(interim)
            case Ended(outcome):
                self._curves.add(outcome)
                self._latest.pop(outcome.number, None)
                self._stops_at.pop(outcome.number, None)
        return False

    def as_told(self, outcome: Outcome) -> Outcome:
        """An outcome just noted, as the optimizer is told of it: a pruned one with its predicted score."""
        if outcome.state is not State.PRUNED or self._settings.rule == "none":
            return outcome
        final = final_score(self._curves, outcome.number, self._settings)
        return replace(outcome, predicted=None if final is None else final.mean)

    def _note_report(self, interim: Interim) -> bool:
        """A trial that was sent again repeats its reports: they are not judged again, and what was decided holds."""
        number, position = interim.number, interim.position
        if position > self._latest.get(number, -1):
            self._latest[number] = position
            self._curves.add(interim)
            if number not in self._stops_at and stops(self._curves, interim, self._settings):
                self._stops_at[number] = position
        return number in self._stops_at and position >= self._stops_at[number]
