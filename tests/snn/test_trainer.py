"""The training loop, with a learner that only notes what it is asked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnhpo_mpi.config import ChanceSettings, StudyConfig
from snnhpo_mpi.interfaces import Ints, Learnt
from snnhpo_mpi.snn.checkpoint import Checkpoints
from snnhpo_mpi.snn.data import Split
from snnhpo_mpi.snn.data.part import Rows
from snnhpo_mpi.snn.early_stopping.stopping import EarlyStopping
from snnhpo_mpi.snn.interim import InterimReports
from snnhpo_mpi.snn.trainer import NetworkTrainer
from snnhpo_mpi.trial import Interim, Outcome, Params, Progress, State, Trial

N_TRAIN, K = 10, 2
CLASSES = np.arange(N_TRAIN) % K


class Noting:
    """Learns nothing, in batches of two samples, of which monitors see two at once."""

    batch_size, look_every = 2, 4
    pruned_at, word_comes = 0, 0  # position of the report that decides, and samples when rank 0 has answered

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


def config(beta: float = 0.2, pruning: str = "none", **rule: Any) -> StudyConfig:
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
            "pruning": {"rule": pruning},
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

    def report(news: Progress | Interim) -> None:
        learner.told.append(news if isinstance(news, Interim) else news.n_samples)

    def pruned_at(number: int) -> int | None:
        assert number == 3
        shown = [told.position for told in learner.told if isinstance(told, Interim)]
        return learner.pruned_at if learner.pruned_at in shown and learner.n_seen >= learner.word_comes else None

    kept = Checkpoints(folder, study, "cpu")
    return NetworkTrainer(study, split, defaults, build, "cpu", report, pruned_at, kept, networks)


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


def reports(learner: Noting) -> list[Interim]:
    return [told for told in learner.told if isinstance(told, Interim)]


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """First report after 3 samples, the next ones after 6, 12, 24."""
    monkeypatch.setattr("snnhpo_mpi.snn.interim.FIRST", 3)
    monkeypatch.setattr("snnhpo_mpi.snn.interim.GROWTH", 2.0)


def test_interim_results_come_at_growing_positions_with_the_score_since_the_one_before(early: None) -> None:
    learner = Noting([])
    outcome = trained(learner, pruning="gain")
    # Parts end at 4, 8, 10, 14, 18, 20 samples; of each two rows one is right. The end itself is not reported.
    assert [(one.position, one.score, one.n_scored) for one in reports(learner)] == [
        (4, 0.5, 4),
        (8, 0.5, 4),
        (14, 0.5, 6),
    ]
    assert {one.number for one in reports(learner)} == {3}
    assert reports(learner)[0].silent_rate == {"excitatory": 0.0} and reports(learner)[0].spikes == {"excitatory": 1.0}
    assert [one.seconds for one in reports(learner)] == sorted(one.seconds for one in reports(learner))
    assert outcome.state is State.COMPLETED


def test_nothing_is_reported_where_nothing_is_pruned(early: None) -> None:
    learner = Noting([])
    trained(learner, pruning="none")
    assert reports(learner) == []


def test_a_long_training_can_be_judged_after_two_thousand_samples() -> None:
    sent: list[Interim] = []
    one = InterimReports(0, 96_000, sent.append, lambda number: None)  # type: ignore[arg-type]
    stopping = EarlyStopping(config(), N_TRAIN, K)
    for n_samples in range(32, 96_001, 32):
        if one.is_due(n_samples):
            one.report(n_samples, 0.0, stopping)
    positions = [interim.position for interim in sent]
    assert positions[:7] == [256, 384, 512, 736, 1024, 1440, 2016] and len(positions) == 18
    assert sent[0].score is None and sent[0].n_scored is None


@pytest.mark.parametrize("word_comes", [0, 18])
def test_a_pruned_training_ends_as_of_the_report_that_decided_whenever_the_word_comes(
    early: None, word_comes: int, tmp_path: Path
) -> None:
    learner = Noting([], silent_from=13)
    learner.pruned_at, learner.word_comes = 8, word_comes
    outcome = trained(learner, tmp_path, beta=0.5, pruning="gain", rule="published", check_every=9)
    assert outcome.state is State.PRUNED
    assert outcome.metrics["stopped_at"] == max(8, word_comes)
    assert "end of training" not in learner.told and "accuracy" not in outcome.metrics
    assert (outcome.objectives, outcome.n_scored) == ({"accuracy": 0.5}, 4)
    assert outcome.constraints == (0.0 - 0.5,)


def test_an_epoch_that_pruning_cuts_is_not_judged_as_a_whole(early: None) -> None:
    learner = Noting([])
    learner.pruned_at = 14
    study = config(pruning="gain").model_copy(update={"chance": ChanceSettings(after_epochs=2)})
    one = replace(trainer(learner, None, None), config=study)
    outcome = one.evaluate(Trial(3, {"norm": 1.5}, 7))
    assert (outcome.state, len(outcome.constraints)) == (State.PRUNED, 2)


def test_a_silent_network_is_stopped_and_not_pruned(early: None) -> None:
    learner = Noting([], silent_from=0)
    learner.pruned_at = 4
    assert trained(learner, beta=0.0, pruning="gain").state is State.STOPPED


def test_a_training_that_goes_on_reports_what_the_uncut_one_does(early: None, tmp_path: Path) -> None:
    uncut, cut, resumed = Noting([]), Noting([]), Noting([])
    trained(uncut, pruning="gain")

    def die(samples: Ints) -> Any:
        raise KeyboardInterrupt

    learn, cut.learn = cut.learn, lambda rows: die(rows) if cut.n_seen >= 14 else learn(rows)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trained(cut, tmp_path, pruning="gain")
    trained(resumed, tmp_path, pruning="gain")

    def shown(learner: Noting) -> list[tuple[int, float | None, int | None]]:
        return [(one.position, one.score, one.n_scored) for one in reports(learner)]

    assert shown(cut) == shown(uncut)
    assert shown(resumed) == shown(uncut)[2:]  # after its checkpoint, at the end of the first epoch
