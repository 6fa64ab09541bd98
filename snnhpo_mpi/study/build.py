"""Which part has which name in a configuration: the optimizers and the trainers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from snnhpo_mpi.config import (
    PythonSettings,
    SlayerSettings,
    StdpSettings,
    StudyConfig,
    expanded,
    misfit,
)
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.interfaces import Optimizer, PrunedAt, Report, Trainer
from snnhpo_mpi.record import Candidate, read
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import ParamValue, trial_seed

if TYPE_CHECKING:
    from snnhpo_mpi.snn.data import Split
    from snnhpo_mpi.snn.slayer.learner import SlayerTask
    from snnhpo_mpi.snn.stdp.learner import StdpTask

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
        case _:
            assert_never(config.optimizer.name)


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
        if reason := misfit(config.searched, params):
            raise ConfigError(f"optimizer.study: trial {number} {reason}")
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
        case StdpSettings() | SlayerSettings():
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
    from snnhpo_mpi.snn.data import load, load_final
    from snnhpo_mpi.snn.trainer import NetworkTrainer

    assert not isinstance(config.trainer, PythonSettings)
    split = (load_final if final else load)(config.trainer.dataset, config.study.seed, config.trainer.encoding)
    if device != "cpu":  # a core needs no torch to train by STDP
        from snnhpo_mpi.snn.device import checked

        checked(device)
    task = _task(config, split, device)
    task.prepare()
    kept = Checkpoints(checkpoints, config, device)
    return NetworkTrainer(config, split, task.defaults, task.learner, device, *line, kept, networks)


def _task(config: StudyConfig, split: Split, device: str) -> StdpTask | SlayerTask:
    """What the trials of a study train; imports its library."""
    if isinstance(config.trainer, StdpSettings):
        from snnhpo_mpi.snn.stdp.learner import StdpTask

        return StdpTask(config, split, device)
    from snnhpo_mpi.snn.slayer.learner import SlayerTask

    return SlayerTask(config, split, device)
