"""One tiny trial, run to its end in an evaluator as a search runs them: faults show before a job does."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace

from snnhpo_mpi.comm.messages import Goodbye, Result
from snnhpo_mpi.config import PythonSettings, StudyConfig
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.scratch import scratch_folder
from snnhpo_mpi.optim.sobol import SobolSearch
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.assignment import Assignment
from snnhpo_mpi.study.worker_rank import Place, prepare_evaluator
from snnhpo_mpi.trial import Outcome, State, Trial
from snnhpo_mpi.worker.evaluator import Evaluator, EvaluatorSettings, Phase

N_TRAIN, N_HELD_OUT = 64, 32
LOOK_S = 0.02


def try_out(config: StudyConfig) -> Iterator[str]:
    """Evaluate the first configuration of a Sobol search, and yield what it gave, line by line.

    A spiking network sees few samples in one epoch; a user's function is called as it is. Nothing is recorded.

    Raises:
        ConfigError: it fails; the message has the reason and its traceback.
    """
    trial = SobolSearch(Space(config.searched), config.study.seed).ask().trial
    if not isinstance(config.trainer, PythonSettings):
        config, trial = _tiny(config), replace(trial, params={**trial.params, "epochs": 1})
    params = "  ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
    yield textwrap.fill(params, 100, initial_indent="trial        ", subsequent_indent=" " * 13)
    outcome = yield from _evaluated(config, trial)
    if outcome.state is State.STOPPED:  # what comes after the training is to be tried too
        yield "again without early stopping:"
        unstopped = {"stopping": (), "saturation": (), "chance": None}
        yield from _evaluated(config.model_copy(update=unstopped), trial)


def _tiny(config: StudyConfig) -> StudyConfig:
    """The configuration with few samples, and monitors that have their say within them."""
    assert not isinstance(config.trainer, PythonSettings)
    dataset = config.trainer.dataset
    few = {"train": min(dataset.train, N_TRAIN), "held_out": min(dataset.held_out, N_HELD_OUT)}
    trainer = config.trainer.model_copy(update={"dataset": dataset.model_copy(update=few)})
    stopping = tuple(
        one.model_copy(update={"warm_up": 0, "check_every": one.check_every and min(one.check_every, N_TRAIN // 2)})
        for one in config.stopping
    )
    saturation = tuple(one.model_copy(update={"warm_up": 0}) for one in config.saturation)
    return config.model_copy(update={"trainer": trainer, "stopping": stopping, "saturation": saturation})


def _evaluated(config: StudyConfig, trial: Trial) -> Generator[str, None, Outcome]:
    with ExitStack() as until_the_end:
        results = until_the_end.enter_context(scratch_folder(os.environ))
        settings = prepare_evaluator(results, Place(1, 2, {}, until_the_end), Assignment(config).as_text())
        began = time.monotonic()
        result = _result(settings, trial)
        starting_s = time.monotonic() - began - result.seconds
    outcome = result.outcome
    if outcome.state is State.FAILED:
        raise ConfigError(f"the trial failed: {outcome.error}")
    end = {State.STOPPED: "stopped early"}.get(outcome.state, outcome.state.value)
    took = f"{end} in {result.seconds:.3g} s on {settings.device}"
    yield f"             {took}; an evaluator starts in {starting_s:.2g} s"
    yield from _findings(config, outcome)
    return outcome


def _findings(config: StudyConfig, outcome: Outcome) -> Iterator[str]:
    assert outcome.objective is not None
    tiny = "" if isinstance(config.trainer, PythonSettings) else "   (of so small a trial: no measure of anything)"
    yield f"objective    {outcome.objective:.6g}{tiny}"
    for name, value in zip(config.constraint_names, outcome.constraints, strict=True):
        yield f"constraint   {name} = {value:.6g}, {'kept' if value <= 0 else 'violated'} (kept if <= 0)"
    for name, value in outcome.metrics.items():
        yield f"metric       {name} = {value:.6g}"
    for note in outcome.notes:
        yield f"note         {note}"


def _result(settings: EvaluatorSettings, trial: Trial) -> Result:
    """What the trial gave in a new evaluator.

    Raises:
        ConfigError: the evaluator did not start.
    """
    evaluator = Evaluator(settings)
    try:
        while True:
            for message in evaluator.poll():
                if isinstance(message, Result):
                    return message
                if isinstance(message, Goodbye):
                    raise ConfigError(f"the evaluator did not start: {message.reason}")
            if evaluator.phase is Phase.IDLE:
                evaluator.run(trial)
            time.sleep(LOOK_S)
    finally:
        evaluator.end()


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
