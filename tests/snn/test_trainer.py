"""The training loop, with a learner that only notes what it is asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.interfaces import Ints, Learnt
from snnhpo_mpi.snn.checkpoint import Checkpoints
from snnhpo_mpi.snn.data import Split
from snnhpo_mpi.snn.data.part import Rows
from snnhpo_mpi.snn.trainer import NetworkTrainer
from snnhpo_mpi.trial import Outcome, Params, Progress, State, Trial

N_TRAIN, K = 10, 2
CLASSES = np.arange(N_TRAIN) % K


class Noting:
    """Learns nothing, in batches of two samples, of which monitors see two at once."""

    batch_size, look_every = 2, 4

    def __init__(self, told: list[Any], silent_from: int = 10**6, dead: bool = False) -> None:
        self.told, self._silent_from, self._dead = told, silent_from, dead
        self.n_seen = 0

    def order(self, epoch: int) -> Ints:
        self.told.append(f"epoch {epoch}")
        return np.arange(N_TRAIN)[::-1]

    def learn(self, rows: Ints) -> Learnt:
        self.told.append(rows.tolist())
        self.n_seen += len(rows)
        spikes = np.full(len(rows), int(self.n_seen < self._silent_from))
        return Learnt({"excitatory": spikes}, (rows % 2 == 0).astype(np.int64), {})

    def refuse_divergence(self) -> None:
        if self._dead:
            raise FloatingPointError("training diverged")

    def end_epoch(self) -> None:
        self.told.append("end of epoch")

    def end_training(self) -> None:
        self.told.append("end of training")

    def predict(self, samples: Rows) -> Ints:
        return np.zeros(len(samples), np.int64)

    def saved(self) -> dict[str, Any]:
        return {"w": np.ones(2)}

    def state_dict(self) -> dict[str, Any]:
        return {"n_seen": self.n_seen}

    def load_state_dict(self, state: Any, /) -> None:
        self.n_seen = state["n_seen"]


def config(beta: float = 0.2, **rule: Any) -> StudyConfig:
    return StudyConfig.model_validate(
        {
            "study": {"name": "test"},
            "budget": {"trials": 1},
            "trainer": {
                "name": "stdp",
                "dataset": {"name": "digits5000", "train": N_TRAIN, "held_out": 4},
                "encoding": {"steps": 5, "max_rate_hz": 100},
            },
            "stopping": [{"layer": "excitatory", "alpha": 1, "beta": beta, **rule}],
            "fixed": {"epochs": 2},
            "space": {"norm": {"type": "float", "low": 1, "high": 2}},
        }
    )


def trained(learner: Noting, folder: Path | None = None, networks: Path | None = None, **rule: Any) -> Outcome:
    return trainer(learner, folder, networks, **rule).evaluate(Trial(3, {"norm": 1.5}, 7))


def trainer(learner: Noting, folder: Path | None, networks: Path | None, **rule: Any) -> NetworkTrainer:
    images = np.zeros((N_TRAIN, 1, 2, 2), np.uint8)
    held = Rows(images, np.arange(4))
    split, study = Split(Rows(images, np.arange(N_TRAIN)), CLASSES, held, CLASSES[:4], K), config(**rule)
    defaults = {"norm": 1.0, "epochs": 9, "map_size": 5}

    def build(params: Params, seed: int) -> Noting:
        learner.told.append((dict(params), seed))
        return learner

    def report(progress: Progress) -> None:
        learner.told.append(progress.n_samples)

    return NetworkTrainer(study, split, defaults, build, "cpu", report, Checkpoints(folder, study, "cpu"), networks)


EPOCH = [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0], "end of epoch"]


def test_all_samples_are_learnt_part_by_part_in_the_learners_order_and_then_it_is_scored() -> None:
    learner = Noting([])
    outcome = trained(learner)
    built = ({"norm": 1.5, "epochs": 2, "map_size": 5}, 7)  # the trial's before the fixed before the defaults
    assert learner.told == [built, "epoch 1", *EPOCH, "epoch 2", *EPOCH, "end of training"]
    assert (outcome.state, outcome.objective) == (State.COMPLETED, 0.5)
    assert outcome.metrics["n_samples"] == outcome.metrics["n_samples_planned"] == 20
    assert outcome.curves["train_accuracy"] == (0.5, 0.5)


def test_a_part_ends_where_a_check_of_the_published_rule_is_due() -> None:
    learner = Noting([])
    trained(learner, rule="published", check_every=5)
    assert learner.told[2:6] == [[9, 8, 7, 6], [5, 4], [3, 2], [1, 0]]  # 5 is due with the batch that holds it


def test_a_silent_network_stops_after_the_part_that_showed_it_and_is_not_scored() -> None:
    learner = Noting([], silent_from=12)
    outcome = trained(learner, beta=0.0)
    assert learner.told[-2:] == ["epoch 2", [9, 8, 7, 6]]
    assert (outcome.state, outcome.metrics["stopped_at"]) == (State.STOPPED, 14)
    assert "accuracy" not in outcome.metrics


@pytest.mark.parametrize("silent_from", [0, 100])
def test_a_network_that_is_not_finite_fails_and_is_not_taken_for_silent(silent_from: int) -> None:
    with pytest.raises(FloatingPointError, match="diverged"):
        trained(Noting([], silent_from, dead=True), beta=0.0)


def test_progress_is_reported_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnhpo_mpi.snn.training_log.REPORT_EVERY_S", 0.0)
    learner = Noting([])
    trained(learner)
    assert [told for told in learner.told if isinstance(told, int)] == [4, 8, 10, 14, 18, 20]


def test_a_training_goes_on_after_the_epoch_of_its_checkpoint(tmp_path: Path) -> None:
    first, second = Noting([]), Noting([])
    uncut = trained(first, tmp_path)
    resumed = trained(second, tmp_path)  # after its last epoch: only the score is missing
    assert second.told[1:] == ["end of training"] and second.n_seen == 20
    assert resumed.metrics["resumed_after_epoch"] == 2
    assert (resumed.objective, resumed.curves) == (uncut.objective, uncut.curves)


def test_a_network_is_kept_where_there_is_a_place_for_it(tmp_path: Path) -> None:
    trained(Noting([]), networks=tmp_path / "networks")
    (file,) = (tmp_path / "networks").iterdir()
    assert file.name == "trial_003.pt"
    saved = torch.load(file, weights_only=True)
    assert (saved["n_classes"], saved["params"]["norm"], saved["state"]["w"].tolist()) == (K, 1.5, [1.0, 1.0])
