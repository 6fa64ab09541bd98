from collections.abc import Callable, Iterator

import numpy as np
import pytest

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.interfaces import Learnt
from snnhpo_mpi.snn.early_stopping.stopping import EarlyStopping
from snnhpo_mpi.snn.training_log import TrainingLog, confusion
from snnhpo_mpi.trial import Progress, State

CONFIG = StudyConfig.model_validate(
    {
        "study": {"name": "test"},
        "budget": {"trials": 1},
        "trainer": {
            "name": "slayer",
            "dataset": {"name": "digits5000", "train": 8, "held_out": 4},
            "encoding": {"steps": 10, "max_rate_hz": 128},
        },
        "stopping": [{"layer": "output", "alpha": 1, "beta": 0.5}],
        "space": {"tau_grad": {"type": "float", "low": 0.1, "high": 1}},
    }
)
LABELS = np.array([0, 1, 0, 1])
SPIKES = {"output": np.array([3, 0, 1, 2])}


def clock(*seconds: float) -> Callable[[], float]:
    ticks: Iterator[float] = iter(seconds)
    return lambda: next(ticks)


def log_of(reports: list[Progress], now: Callable[[], float] = lambda: 0.0) -> TrainingLog:
    stopping = EarlyStopping(CONFIG, n_epoch_samples=8, n_classes=2)
    return TrainingLog(5, stopping, 16, "cpu", reports.append, now)


def learnt(*right: int) -> Learnt:
    return Learnt(SPIKES, np.array(right) if right else None, {})


SILENT = {"output": np.zeros(4, dtype=np.int64)}


def test_running_accuracy_by_hand_over_two_epochs() -> None:
    log = log_of([])
    log.start_epoch()
    assert log.accuracy is None
    log.observe(learnt(), LABELS)
    assert log.accuracy is None
    log.observe(learnt(1, 0, 0, 0), LABELS)
    assert log.accuracy == 1 / 4
    log.start_epoch()
    assert log.accuracy == 1 / 4  # of the epoch before
    log.observe(learnt(1, 1, 1, 0), LABELS)
    log.observe(learnt(1, 1, 0, 0), LABELS)
    assert log.accuracy == 5 / 8
    log.end_training()
    assert list(log.completed(LABELS, LABELS, 2).curves["train_accuracy"]) == [1 / 4, 5 / 8]


def test_progress_is_reported_once_a_second_and_not_with_every_batch() -> None:
    reports: list[Progress] = []
    # The clock is read at the start, with each batch, and again to remember when the report went out.
    log = log_of(reports, clock(0.0, 0.4, 1.1, 1.1, 1.9, 2.2, 2.2))
    log.start_epoch()
    for flags in ((1, 1, 1, 1), (0, 0, 0, 0), (1, 1, 0, 0), (1, 1, 1, 1)):
        log.observe(learnt(*flags), LABELS)
    assert [report.n_samples for report in reports] == [8, 16]
    assert reports[0] == Progress(5, 1, 8, 16, accuracy=0.5, silent_rate={"output": 0.25}, spikes={"output": 1.5})


def test_a_completed_training_has_the_held_out_accuracy_as_its_objective() -> None:
    log = log_of([], clock(10.0, 10.5, 13.0, 17.0))  # start, one batch, end of training, end of scoring
    log.start_epoch()
    log.observe(learnt(1, 0, 1, 0), LABELS)
    log.end_training()
    outcome = log.completed(np.array([0, 1, 1, 1]), LABELS, 2)
    assert (outcome.number, outcome.state, outcome.objectives) == (5, State.COMPLETED, {"accuracy": 0.75})
    assert outcome.n_scored == 4
    assert outcome.constraints == (0.25 - 0.5,)
    peak_memory_mb = outcome.metrics["peak_memory_mb"]
    assert peak_memory_mb > 1
    assert outcome.metrics == {
        "accuracy": 0.75,
        "train_accuracy": 0.5,
        "train_seconds": 3.0,
        "score_seconds": 4.0,
        "n_samples": 4.0,
        "n_samples_planned": 16.0,
        "peak_memory_mb": peak_memory_mb,
        "spikes_output": 1.5,
    }
    assert set(outcome.curves) == {"train_accuracy", "silent_rate_output", "spikes_output", "confusion"}


def test_the_confusion_matrix_has_a_row_a_true_class_and_a_column_for_no_answer() -> None:
    table = confusion(np.array([0, 2, -1, 2, 1]), np.array([0, 2, 2, 0, 1]), 3)
    assert table.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 1]]


def test_a_stopped_training_has_its_running_accuracy_as_its_objective_and_no_score() -> None:
    log = log_of([])
    log.start_epoch()
    log.observe(Learnt(SILENT, np.array([1, 0, 0, 0]), {}), LABELS)
    log.end_training()
    outcome = log.stopped()
    assert (outcome.state, outcome.objectives, outcome.constraints) == (State.STOPPED, {"accuracy": 0.25}, (0.5,))
    assert outcome.n_scored == 4
    assert outcome.metrics["stopped_at"] == 4
    assert outcome.metrics["score_seconds"] == 0
    assert "accuracy" not in outcome.metrics


def test_a_training_stopped_before_any_prediction_has_the_objective_zero() -> None:
    log = log_of([])
    log.start_epoch()
    log.observe(Learnt(SILENT, None, {}), LABELS)
    log.end_training()
    assert (log.stopped().objective, log.stopped().n_scored) == (0, 0)


def test_the_running_accuracy_of_an_epoch_before_has_that_epochs_number_of_samples() -> None:
    log = log_of([])
    log.start_epoch()
    log.observe(learnt(1, 1, 1, 0), LABELS)
    log.observe(learnt(0, 0, 0, 0), LABELS)
    log.start_epoch()
    log.observe(learnt(), LABELS)
    resumed = log_of([])
    resumed.load_state_dict(log.state_dict())
    for one in (log, resumed):
        one.end_training()
        assert (one.stopped().objective, one.stopped().n_scored) == (3 / 8, 8)


def test_peak_memory_is_not_that_of_the_trial_before() -> None:
    hungry = log_of([])
    block = np.ones(60_000_000)
    hungry.start_epoch()
    hungry.end_training()
    hungry_mb = hungry.stopped().metrics["peak_memory_mb"]
    del block
    frugal = log_of([])
    frugal.start_epoch()
    frugal.end_training()
    if (frugal_mb := frugal.stopped().metrics["peak_memory_mb"]) == hungry_mb:
        pytest.skip("this kernel does not let a process restart its peak")
    assert frugal_mb < hungry_mb - 400
