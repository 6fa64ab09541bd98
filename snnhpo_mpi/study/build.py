"""Which part has which name in a configuration: the optimizers and the trainers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from snnhpo_mpi.config import (
    PythonSettings,
    SlayerSettings,
    StdpSettings,
    StudyConfig,
    TorchSettings,
    expanded,
)
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.interfaces import Optimizer, PrunedAt, Report, Trainer
from snnhpo_mpi.record import Candidate, read
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, ParamValue, Trial, trial_seed

if TYPE_CHECKING:
    from snnhpo_mpi.snn.data import Split
    from snnhpo_mpi.snn.slayer.learner import SlayerTask
    from snnhpo_mpi.snn.stdp.learner import StdpTask
    from snnhpo_mpi.snn.torch.learner import TorchTask

RETRAIN_SEED = 2**31  # in the place of a trial's number, where no search has one


def build_optimizer(config: StudyConfig, again: Sequence[Candidate] = ()) -> Optimizer:
    """The optimizer that the configuration names.

    Args:
        config: of the study.
        again: what a retraining asks instead, over and over.

    Raises:
        ConfigError, RecordError: a study to replay is not there or has another search space.
    """
    space, seed = Space(config.searched), config.study.seed
    if again:
        return _retraining(again, config)
    match config.optimizer.name:
        case "scbo":
            from snnhpo_mpi.optim.scbo import ScboSearch
            from snnhpo_mpi.optim.settings import DEFAULTS

            settings = replace(DEFAULTS, engine=config.optimizer.engine)
            return ScboSearch(space, len(config.constraint_names), seed, config.optimizer.initial, settings)
        case "sobol":
            from snnhpo_mpi.optim.sobol import SobolSearch

            return SobolSearch(space, seed)
        case "random":
            from snnhpo_mpi.optim.sobol import RandomSearch

            return RandomSearch(space, seed)
        case "replay":
            from snnhpo_mpi.optim.replay import Replay

            return Replay(_replayed(config, space), seed)
        case "optuna_tpe" | "optuna_gp":
            from snnhpo_mpi.optim.optuna_search import OptunaSearch

            n_constraints = len(config.constraint_names)
            return OptunaSearch(config.optimizer.name, space, n_constraints, seed, config.optimizer.initial)
        case "python":
            return own_optimizer(config)
        case _:
            assert_never(config.optimizer.name)


def own_optimizer(config: StudyConfig) -> Optimizer:
    """The user's own optimizer, which runs its module's code.

    Raises:
        ConfigError: it is not there, or not one.
    """
    from snnhpo_mpi.optim.own_optimizer import OwnOptimizer
    from snnhpo_mpi.snn.user_code import user_code

    key, target = "optimizer.function", config.optimizer.function
    assert target is not None  # validated
    make = user_code(target, key, "class")
    return OwnOptimizer(make, Space(config.searched), config.constraint_names, config.study.seed, f"{key}: {target}")


def _retraining(candidates: Sequence[Candidate], config: StudyConfig) -> Optimizer:
    """Asks the candidates over and over, a round a repeat, with seeds that no trial of the search had."""
    from snnhpo_mpi.optim.replay import Replay

    assert config.budget.trials is not None
    params = [candidate.params for candidate in candidates]
    rounds = -(-config.budget.trials // len(params))
    return Replay(params * rounds, trial_seed(config.study.seed, RETRAIN_SEED))


def _replayed(config: StudyConfig, space: Space) -> list[dict[str, ParamValue]]:
    assert config.optimizer.study is not None  # validated
    past = read(expanded(config.optimizer.study, "optimizer.study"))
    always = set(space.names) - set(space.needs)
    if not always <= set(past.params) <= set(space.names):
        raise ConfigError(
            f"optimizer.study: {config.optimizer.study} searched {', '.join(sorted(past.params))}, "
            f"this study searches {', '.join(sorted(space.names))}"
        )
    trials = [past.trial(row).params for row in range(past.n_trials)]
    for number, params in enumerate(trials):
        if reason := space.unfit(params):
            raise ConfigError(f"optimizer.study: trial {number}: {reason}")
    if config.baseline is not None and dict(config.baseline.params) not in trials[:1]:
        trials = [dict(config.baseline.params), *trials]  # trial 0 of this study; the other's follow
    if config.budget.trials is None or config.budget.trials > len(trials):
        raise ConfigError(f"budget.trials: at most {len(trials)} trials can be replayed from {config.optimizer.study}")
    return [space.typed(params) for params in trials]


def build_trainer(
    config: StudyConfig,
    device: str,
    report: Report,
    checkpoints: Path | None = None,
    *,
    pruned_at: PrunedAt = lambda number: None,
    final: bool = False,
    networks: Path | None = None,
) -> Trainer:
    """The trainer that the configuration names; called in the evaluator process only.

    Args:
        config: of the study.
        device: where it trains.
        report: takes progress and interim results of the running trial.
        checkpoints: folder for them; None for none.
        pruned_at: says whether the running trial is to stop.
        final: train on all training data, and score on test data that no search has seen.
        networks: folder for the trained networks; None to forget them.

    Raises:
        ConfigError: what it needs is not there: data, library, function, a working device.
    """
    match config.trainer:
        case StdpSettings() | SlayerSettings() | TorchSettings():
            return _network_trainer(config, device, (report, pruned_at), checkpoints, final, networks)
        case PythonSettings():
            from snnhpo_mpi.worker.user_function import trainer_from

            trainer = trainer_from(config, device, report, pruned_at)
            if "torch" in sys.modules:  # the function works with it
                from snnhpo_mpi.snn.device import checked

                checked(device)
            return trainer
        case _:
            assert_never(config.trainer)


def _network_trainer(
    config: StudyConfig,
    device: str,
    line: tuple[Report, PrunedAt],
    checkpoints: Path | None,
    final: bool,
    networks: Path | None,
) -> Trainer:
    from snnhpo_mpi.snn.checkpoint import Checkpoints
    from snnhpo_mpi.snn.data import load, load_final, refuse_labels
    from snnhpo_mpi.snn.trainer import NetworkTrainer

    assert not isinstance(config.trainer, PythonSettings)
    data = config.trainer.dataset, config.study.seed, config.trainer.encoding
    if device != "cpu":  # a core needs no torch to train by STDP
        from snnhpo_mpi.snn.device import checked

        checked(device)
    kept = Checkpoints(checkpoints, config, device)

    def on(split: Split) -> Trainer:
        refuse_labels(data[0], split, config.objectives[0])
        task = _task(config, split, device)
        task.prepare()
        return NetworkTrainer(config, split, task.defaults, task.learner, device, *line, kept, networks)

    return _BySplit(on(load_final(*data) if final else load(*data)), lambda repeat: on(load(*data, repeat)))


@dataclass(frozen=True, slots=True)
class _BySplit:
    """Trains trials on the split of the search, and repeats of them each on another, of which it keeps none."""

    search: Trainer
    another: Callable[[int], Trainer]

    def evaluate(self, trial: Trial) -> Outcome:
        """See ``Trainer``."""
        return (self.another(trial.repeat) if trial.repeat else self.search).evaluate(trial)


def _task(config: StudyConfig, split: Split, device: str) -> StdpTask | SlayerTask | TorchTask:
    """What the trials of a study train; imports its library."""
    match config.trainer:
        case StdpSettings():
            from snnhpo_mpi.snn.stdp.learner import StdpTask

            return StdpTask(config, split, device)
        case SlayerSettings():
            from snnhpo_mpi.snn.slayer.learner import SlayerTask

            return SlayerTask(config, split, device)
        case _:
            from snnhpo_mpi.snn.torch.learner import TorchTask

            return TorchTask(config, split, device)
