"""Searches for a tabulated network with a rule that stops trials, in virtual time; rows of pruning.md.

    python results/reference/pruning_search.py --rule none gain asha --seeds 10 --out searches.csv
    python results/reference/pruning_search.py --rule gain --earliest 0 --unknown --out searches.csv
    python results/reference/pruning_search.py --rule hyperband --problem snn_slayer --out searches.csv

``hyperband`` is the rival: Optuna's multivariate TPE with its Hyperband pruner, by its own ask and tell. It gets the
same constraints, the same reports, and as many random trials at the start as our design has.

Workers report as real ones do, at the table's positions from 250 samples on. Proposals are hurried ones, which cost a
tenth. At the end the best five are trained three times more, and the winner's expected score counts.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from snnhpo_mpi.analysis.finalists import posterior_means
from snnhpo_mpi.bench.snn import N_INITIAL, SnnProblem, Training
from snnhpo_mpi.bench.tabulated import FIRST_POSITION, n_train
from snnhpo_mpi.optim.optuna_search import OptunaSearch
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.optim.stopping import RULES, PruningSettings, Rule
from snnhpo_mpi.snn.early_stopping.silence import monitor_of
from snnhpo_mpi.snn.interim import FIRST as FIRST_REPORT
from snnhpo_mpi.study.pruning import Pruner
from snnhpo_mpi.trial import Ended, Interim, Outcome, Proposal, Reported, State, Trial, trial_seed

N_FINALISTS, N_REPEATS = 5, 3
RESEED = 77  # of the luck of durations
KEYS = ("problem", "rule", "budget", "pending", "earliest", "seed", "told")
FOUND = ("score", "pruned", "feasible", "seconds")


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


class Ours:
    """The search of the program, with one of its rules."""

    def __init__(self, problem: SnnProblem, seed: int, settings: PruningSettings, predicts: bool) -> None:
        config = problem.table.config
        self._asker = ScboSearch(problem.table.space, len(config.constraint_names), seed, N_INITIAL)
        self._pruner, self._predicts = Pruner(settings), predicts

    def ask(self) -> Proposal:
        """The next trial."""
        return self._asker.ask(hurried=True)

    def stops(self, report: Interim) -> bool:
        """Whether a trial is to stop after a report."""
        return self._pruner.note(Reported(report, 0, 0.0))

    def tell(self, outcome: Outcome) -> None:
        """Learn from the end of a trial."""
        self._pruner.note(Ended(outcome, 0, 0.0, 0.0))
        self._asker.tell(self._pruner.as_told(outcome) if self._predicts else outcome)


class Hyperband(OptunaSearch):
    """Optuna's TPE and Hyperband as a user of Optuna has them: one sampler, and trials that report."""

    def __init__(self, problem: SnnProblem, seed: int) -> None:
        table = problem.table
        super().__init__("optuna_tpe", table.space, len(table.config.constraint_names), seed, N_INITIAL)
        longest = int(table.positions[-1])
        pruner = self._optuna.pruners.HyperbandPruner(min_resource=FIRST_REPORT, max_resource=longest)
        self._study = self._optuna.create_study(
            study_name=f"seed {seed}", direction="maximize", sampler=self._sampler(seed), pruner=pruner
        )  # the name decides which bracket a trial is in
        self._running: dict[int, Any] = {}

    def ask(self, hurried: bool = False) -> Proposal:
        """The next trial."""
        asked = self._study.ask(self._distributions)
        self._running[asked.number] = asked
        params = self._space.typed({name: self._mirrored(name, asked.params[name]) for name in self._space.names})
        return Proposal(Trial(asked.number, params, trial_seed(self._seed, asked.number)), 0)

    def stops(self, report: Interim) -> bool:
        """Whether a trial is to stop after a report."""
        asked = self._running[report.number]
        asked.report(report.score, report.position)
        return bool(asked.should_prune())

    def tell(self, outcome: Outcome, seconds: float = math.nan) -> None:
        """Learn from the end of a trial: a silent one is infeasible, with the running score that it had."""
        asked, states = self._running.pop(outcome.number), self._optuna.trial.TrialState
        for i, value in enumerate(outcome.constraints):
            asked.set_constraint(f"c{i}", value)
        if outcome.state is State.PRUNED:
            self._study.tell(asked, state=states.PRUNED)
        else:
            self._study.tell(asked, outcome.objective)


class Search:
    """One seed's search."""

    def __init__(self, problem: SnnProblem, seed: int, asker: Ours | Hyperband, reports: bool) -> None:
        self._problem, self._seed, self._asker, self._reports = problem, seed, asker, reports
        self._rng = np.random.default_rng([seed, RESEED])
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
        trial = self._asker.ask().trial
        training, expected = self._problem.train(trial), self._problem.expected(trial.params)
        luck = math.exp(self._problem.luck.seconds * self._rng.standard_normal())
        beyond = np.maximum(training.samples - FIRST_POSITION, 0.0)
        at = now + luck * (expected.start_seconds + beyond * expected.sample_seconds)
        end, seen = max(now + luck * training.seconds, float(at[-1])), training.outcome.metrics["n_samples"]
        reports = []
        if self._reports:
            reports = [(float(at[j]), j) for j, s in enumerate(training.samples) if FIRST_REPORT <= s < seen]
        one = Running(end, trial.number, trial, training, now, end, reports)
        one.go_on()
        heapq.heappush(self._out, one)

    def _next_end(self) -> tuple[Running, Outcome]:
        while True:
            one = heapq.heappop(self._out)
            if not one.reports:
                return one, one.training.outcome
            _, row = one.reports.pop(0)
            if self._stops(one, row):
                score = float(one.training.scores[row])
                constraints = self._constraints(one.training, row)
                return one, Outcome(one.number, State.PRUNED, {"accuracy": score}, constraints)
            one.go_on()
            heapq.heappush(self._out, one)

    def _stops(self, one: Running, row: int) -> bool:
        score = float(one.training.scores[row])
        if not math.isfinite(score):
            return False
        planned = int(one.training.outcome.metrics["n_samples_planned"])
        position = int(one.training.samples[row])
        return self._asker.stops(Interim(one.number, position, one.due - one.begin, score, n_planned=planned))

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


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rule", nargs="+", choices=(*RULES, "hyperband"), default=["gain"])
    parser.add_argument("--problem", choices=("snn_stdp", "snn_slayer"), default="snn_stdp")
    parser.add_argument("--earliest", type=float, default=PruningSettings().earliest)
    parser.add_argument("--unknown", action="store_true", help="pruned trials show no score, not a predicted one")
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--pending", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="rows that are there stay")
    return parser.parse_args()


def read(path: Path) -> list[dict[str, str]]:
    """The rows that are there; none without a file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """A row for each seed and rule, seed by seed; a second call goes on behind the rows that are there."""
    args = arguments()
    problem, done = SnnProblem(args.problem), {tuple(row[key] for key in KEYS) for row in read(args.out)}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for rule in args.rule:
            is_gain = rule == "gain"
            about = (args.problem, rule, args.budget, args.pending, args.earliest if is_gain else "", seed)
            told = "constraints" if args.unknown or rule in ("none", "hyperband") else "prediction"
            key = tuple(map(str, (*about, told)))
            if key in done:
                continue
            found = search(problem, rule, seed, args)
            with args.out.open("a", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                if not file.tell():
                    writer.writerow((*KEYS, *FOUND))
                writer.writerow((*key, *(found[name] for name in FOUND)))


def search(problem: SnnProblem, rule: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """What a search found, see ``Search.run``."""
    asker: Ours | Hyperband
    if rule == "hyperband":
        asker = Hyperband(problem, seed)
    else:
        asker = Ours(problem, seed, PruningSettings(cast(Rule, rule), earliest=args.earliest), not args.unknown)
    return Search(problem, seed, asker, rule != "none").run(args.budget, args.pending)


if __name__ == "__main__":
    main()
