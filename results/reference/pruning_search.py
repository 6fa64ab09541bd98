"""Searches for the tabulated STDP network with a rule that stops trials, in virtual time; rows of pruning.md.

    python results/reference/pruning_search.py --rule gain --seeds 10
    python results/reference/pruning_search.py --rule gain --earliest 0 --unknown

Workers report as real ones do, at the table's positions from 250 samples on. Proposals are hurried ones, which cost a
tenth. At the end the best five are trained three times more, and the winner's expected score counts.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnhpo_mpi.analysis.finalists import posterior_means
from snnhpo_mpi.bench.snn import N_INITIAL, SnnProblem, Training
from snnhpo_mpi.bench.tabulated import FIRST_POSITION, n_train
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.optim.stopping import RULES, LearningCurves, PruningSettings, final_score, stops
from snnhpo_mpi.snn.early_stopping.silence import monitor_of
from snnhpo_mpi.trial import Interim, Outcome, State, Trial, trial_seed

FIRST_REPORT, N_FINALISTS, N_REPEATS = 250, 5, 3
RESEED = 77  # of the luck of durations


@dataclass(order=True)
class Running:
    """A trial that is out: when its next report, or its end, is due, and the reports that are left."""

    due: float
    number: int
    trial: Trial = field(compare=False)
    training: Training = field(compare=False)
    begin: float = field(compare=False)
    end: float = field(compare=False)
    reports: list[tuple[float, int]] = field(compare=False)

    def go_on(self) -> None:
        """To the next report, or to the end."""
        self.due = self.reports[0][0] if self.reports else self.end


class Search:
    """One seed's search."""

    def __init__(self, problem: SnnProblem, seed: int, settings: PruningSettings, predicts: bool) -> None:
        config = problem.table.config
        self._asker = ScboSearch(problem.table.space, len(config.constraint_names), seed, N_INITIAL)
        self._problem, self._seed, self._settings, self._predicts = problem, seed, settings, predicts
        self._rng, self._curves = np.random.default_rng([seed, RESEED]), LearningCurves()
        self._out: list[Running] = []
        self._done: list[tuple[float, Trial]] = []

    def run(self, budget: int, pending: int) -> dict[str, Any]:
        """The winner's expected score, seconds of all workers, and counts."""
        spent_s, now, n_pruned, n_asked = 0.0, 0.0, 0, 0
        for _ in range(budget):
            while len(self._out) < pending and n_asked < budget:
                self._launch(now)
                n_asked += 1
            one, outcome = self._next_end()
            now, spent_s = one.due, spent_s + one.due - one.begin
            n_pruned += outcome.state is State.PRUNED
            self._asker.tell(outcome)
            if outcome.feasible and outcome.objective is not None:
                self._done.append((outcome.objective, one.trial))
        counts = {"pruned": n_pruned, "feasible": len(self._done), "seconds": round(spent_s, 1)}
        return {"score": self._winner(), **counts}

    def _launch(self, now: float) -> None:
        trial = self._asker.ask(hurried=True).trial
        training, expected = self._problem.train(trial), self._problem.expected(trial.params)
        luck = math.exp(self._problem.luck.seconds * self._rng.standard_normal())
        beyond = np.maximum(training.samples - FIRST_POSITION, 0.0)
        at = now + luck * (expected.start_seconds + beyond * expected.sample_seconds)
        end, seen = max(now + luck * training.seconds, float(at[-1])), training.outcome.metrics["n_samples"]
        reports = []
        if self._settings.rule != "none":
            reports = [(float(at[j]), j) for j, s in enumerate(training.samples) if FIRST_REPORT <= s < seen]
        one = Running(end, trial.number, trial, training, now, end, reports)
        one.go_on()
        heapq.heappush(self._out, one)

    def _next_end(self) -> tuple[Running, Outcome]:
        while True:
            one = heapq.heappop(self._out)
            if not one.reports:
                self._curves.add(one.training.outcome)
                return one, one.training.outcome
            _, row = one.reports.pop(0)
            if self._stops(one, row):
                return one, self._pruned(one, row)
            one.go_on()
            heapq.heappush(self._out, one)

    def _stops(self, one: Running, row: int) -> bool:
        score = float(one.training.scores[row])
        if not math.isfinite(score):
            return False
        planned = int(one.training.outcome.metrics["n_samples_planned"])
        position = int(one.training.samples[row])
        report = Interim(one.number, position, one.due - one.begin, score, n_planned=planned)
        self._curves.add(report)
        return stops(self._curves, report, self._settings)

    def _pruned(self, one: Running, row: int) -> Outcome:
        final = final_score(self._curves, one.number, self._settings) if self._predicts else None
        score, constraints = float(one.training.scores[row]), self._constraints(one.training, row)
        predicted = None if final is None else final.mean
        outcome = Outcome(one.number, State.PRUNED, {"accuracy": score}, constraints, predicted=predicted)
        self._curves.add(outcome)
        return outcome

    def _constraints(self, training: Training, row: int) -> tuple[float, ...]:
        """As the monitors would have them after the samples of a report, all of one epoch."""
        config, ends = self._problem.table.config, training.samples[: row + 1]
        n_epoch, windows = n_train(config), np.diff(np.concatenate([[0.0], ends]))
        n = int((ends[-1] - 1) % n_epoch + 1)
        values = []
        for one in config.stopping:
            share = float(windows @ training.silent[one.layer][: row + 1]) / float(ends[-1])
            values.append(float(monitor_of(one, n_epoch).rule.constraint(round(share * n), n)))
        return tuple(values)

    def _winner(self) -> float:
        top = [trial for _, trial in sorted(self._done, key=lambda one: -one[0])[:N_FINALISTS]]
        scores, repeated = [], []
        for trial in top:
            again = [trial_seed(self._seed, trial.number, repeat) for repeat in range(1, N_REPEATS + 1)]
            outcomes = [self._problem.train(Trial(trial.number, trial.params, seed)).outcome for seed in again]
            values = [one.objective for one in outcomes if one.feasible and one.objective is not None]
            if 2 * len(values) >= N_REPEATS:
                scores.append(values)
                repeated.append(trial)
        if not scores:
            return self._problem.expected(top[0].params).score if top else math.nan
        posterior, means = posterior_means(scores, self._problem.table.n_held_out), [np.mean(own) for own in scores]
        won = max(range(len(scores)), key=lambda i: (posterior[i], means[i]))
        return self._problem.expected(repeated[won].params).score


def main() -> None:
    """A JSON line a seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rule", choices=RULES, default="gain")
    parser.add_argument("--earliest", type=float, default=PruningSettings().earliest)
    parser.add_argument("--unknown", action="store_true", help="pruned trials show no score, not a predicted one")
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--pending", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    problem, settings = SnnProblem("snn_stdp"), PruningSettings(args.rule, earliest=args.earliest)
    for seed in range(args.seeds):
        found = Search(problem, seed, settings, not args.unknown).run(args.budget, args.pending)
        sys.stdout.write(json.dumps({"rule": args.rule, "seed": seed, **found}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
