"""The winner of the finalists, by hand-computed posterior means, and where it is shown."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.analysis.finalists import finalists, posterior_means
from snnhpo_mpi.analysis.pace import busy_share
from snnhpo_mpi.analysis.summary import best_dict, best_trials, status_dict, summarise
from snnhpo_mpi.analysis.timeline import lanes, windows
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report import conclusion, terminal, text
from snnhpo_mpi.report.page import render_page
from snnhpo_mpi.study.retrain import Wish, _candidates
from snnhpo_mpi.trial import Asked, Ended, Event, Outcome, Repeat, Repeated, Started, State


def test_means_are_drawn_together_by_the_share_of_their_spread_that_is_noise() -> None:
    # Means 2 and 6, variance within 2, so of a mean 1; the means' own is 8, of which 7 is real: 4 -+ 7/8 of 2.
    assert posterior_means([[1.0, 3.0], [5.0, 7.0]]) == pytest.approx([2.25, 5.75])


def test_one_training_each_has_the_noise_of_its_samples() -> None:
    # Variances of the shares: 0.25 / 100 and 0.09 / 100, in the mean 0.0017; of the means 0.08.
    share = (0.08 - 0.0017) / 0.08
    assert posterior_means([[0.5], [0.9]], n=100) == pytest.approx([0.7 - 0.2 * share, 0.7 + 0.2 * share])
    assert posterior_means([[0.5], [0.9]]) == [0.5, 0.9]  # nobody knows: taken as they are


def test_equal_repeats_are_no_surer_than_their_samples() -> None:
    drawn = posterior_means([[0.5, 0.5], [0.6, 0.6]], n=50)
    assert 0.5 < drawn[0] < drawn[1] < 0.6
    assert posterior_means([[0.5, 0.5], [0.6, 0.6]]) == [0.5, 0.6]


def test_fewer_repeats_are_drawn_further_and_a_finalist_alone_not_at_all() -> None:
    scores = [[0.50, 0.52, 0.48], [0.59, 0.61, 0.60], [0.72]]
    drawn = posterior_means(scores)
    moved = np.abs(np.array(drawn) - [np.mean(own) for own in scores])
    assert moved[2] > moved[0] and drawn[0] > 0.50 and drawn[2] < 0.72
    assert posterior_means([[0.5, 0.7]]) == [0.6]


def test_the_choice_of_the_largest_is_less_too_good_than_its_mean() -> None:
    draw = np.random.default_rng(1)
    bias = {"mean": 0.0, "posterior": 0.0}
    for _ in range(2000):
        worth = 0.9 - draw.exponential(0.02, 80)
        top = np.argsort(-(worth + draw.normal(0, 0.01, 80)))[:5]
        scores = worth[top, None] + draw.normal(0, 0.01, (5, 3))
        drawn = posterior_means(scores.tolist())
        won = int(np.argmax(drawn))
        bias["mean"] += (scores.mean(axis=1)[won] - worth[top[won]]) / 2000
        bias["posterior"] += (drawn[won] - worth[top[won]]) / 2000
    assert abs(bias["posterior"]) < 0.3 * bias["mean"]


CONFIG = fake_study.config(finalists={"count": 2, "repeats": 2}, fixed={})


def story(scores: Sequence[float], repeats: Sequence[Repeat]) -> list[Event]:
    trials = [fake_study.trial(n) for n in range(len(scores))]
    t0 = fake_study.T0
    events: list[Event] = []
    for trial, y in zip(trials, scores, strict=True):
        outcome = Outcome(trial.number, State.COMPLETED, {"accuracy": y}, (-0.1, -0.1), n_scored=500)
        events += [Asked(trial, t0), Started(trial.number, 1, t0), Ended(outcome, 1, t0 + 10.0, 10.0)]
    return events + [Repeated(one, 2, t0 + 20.0 + i, 1.0) for i, one in enumerate(repeats)]


def written(folder: Path, scores: Sequence[float], repeats: Sequence[Repeat]) -> StudyData:
    clock = fake_study.Clock(fake_study.T0)
    with fake_study.at(clock):
        record = fake_study.create(folder, CONFIG)
        record.append(*story(scores, repeats))
        clock.at += 60.0
        record.close("complete")
    return read(folder)


def repeat(number: int, score: float | None, **more: object) -> Repeat:
    return replace(Repeat(number, number, "split 1", score, 500, feasible=score is not None), **more)


SCORES = [0.60, 0.80, 0.78, 0.70]
REPEATS = [repeat(1, 0.70), repeat(2, 0.76), repeat(1, 0.72), repeat(2, 0.78)]


@pytest.fixture
def data(tmp_path: Path) -> StudyData:
    return written(tmp_path / "s", SCORES, REPEATS)


def test_the_winner_is_the_best_and_shown_by_its_repeats(data: StudyData) -> None:
    assert [one.number for one in best_trials(data, 4)] == [2, 1, 3, 0]
    best = best_dict(best_trials(data, 1))["best"][0]
    assert best["number"] == 2 and best["objective"] == 0.78
    assert best["repeats"]["mean"] == pytest.approx(0.77) and best["repeats"]["sd"] == pytest.approx(0.0141, abs=1e-4)
    assert best["repeats"]["n"] == 2 and 0.74 < best["repeats"]["posterior_mean"] < 0.77
    status = status_dict(summarise(data))
    json.dumps(status)
    assert [one["number"] for one in status["finalists"]] == [2, 1] and status["best"]["number"] == 2
    for shown in (terminal.as_text(data, 100), conclusion.conclusion(data), conclusion.last_words(data)):
        assert "0.7700 ± 0.0141" in shown and "the best of 2 finalists" in shown and "retrain" not in shown
    assert "trial 1  0.8000  0.7100  0.0141        2" in conclusion.conclusion(data)
    table = text.as_table(best_trials(data, 3))
    assert table.splitlines()[1].split()[1:3] == ["0.7800", "±"] and "0.7100 ± 0.0141" in table
    assert "0.7700 ± 0.0141 in its repeats" in text.as_fixed_block(data, best_trials(data, 1)[0])
    page = render_page(data)
    assert "The finalists" in page and "posterior mean" in page
    assert [one.number for one in _candidates(data, Wish(data.folder, top=2))] == [2, 1]


def test_the_searchs_scores_choose_the_finalists_and_take_no_further_part(tmp_path: Path) -> None:
    first, second = (
        finalists(written(tmp_path / name, scores, REPEATS))
        for name, scores in (("a", SCORES), ("b", [0.6, 0.99, 0.78, 0.7]))
    )
    assert [one.posterior for one in first] == [one.posterior for one in second]


def test_before_all_of_the_best_are_trained_again_the_searchs_score_decides(tmp_path: Path) -> None:
    cut = written(tmp_path / "s", SCORES, REPEATS[:1])
    assert finalists(cut) == [] and best_trials(cut, 1)[0].number == 1
    assert "finalists" not in status_dict(summarise(cut))
    larger = written(tmp_path / "l", [*SCORES, 0.9], REPEATS)  # the search went on
    assert finalists(larger) == [] and best_trials(larger, 1)[0].number == 4


def test_a_finalist_that_is_mostly_infeasible_does_not_win(tmp_path: Path) -> None:
    bad = [repeat(2, 0.95, feasible=False), repeat(2, None, state=State.STOPPED)]
    data = written(tmp_path / "s", SCORES, [repeat(1, 0.70), *bad])
    found = finalists(data)
    assert [(one.number, one.may_win, one.n_infeasible) for one in found] == [(1, True, 0), (2, False, 2)]
    assert [one.number for one in best_trials(data, 2)] == [1, 2]
    assert "1 of 2 (2 infeasible)" in conclusion.conclusion(data)
    none = written(tmp_path / "n", SCORES, [repeat(n, None, state=State.FAILED) for n in (1, 2)])
    assert not any(one.may_win for one in finalists(none)) and best_trials(none, 1)[0].number == 1
    assert "- of" not in terminal.as_text(none)


def test_the_workers_are_busy_while_finalists_are_trained(data: StudyData) -> None:
    found = {lane.rank: lane for lane in lanes(data)}
    assert found[2].again.shape == (4, 2) and not len(found[2].row) and len(found[1].again) == 0
    np.testing.assert_allclose(np.diff(found[2].again), 1.0)
    alone = replace(data, repeated=())
    assert busy_share(data, windows(data)) != busy_share(alone, windows(alone))
