"""Which configurations are trained again, in which order, and what is left after a cut."""

import pytest

from snnhpo_mpi.master.finalists import SLACK, Finalists
from snnhpo_mpi.trial import Asked, Ended, Event, Outcome, Repeat, Repeated, State, Trial, repeat_of, trial_seed


def story(scores: dict[int, float], seconds: float = 4.0, constraints: tuple[float, ...] = ()) -> list[Event]:
    asked: list[Event] = [Asked(Trial(n, {"x": float(n)}, n), 0.0) for n in scores]
    return asked + [
        Ended(Outcome(n, State.COMPLETED, {"accuracy": y}, constraints), 1, 0.0, seconds) for n, y in scores.items()
    ]


def noted(events: list[Event], count: int = 2, repeats: int = 2) -> Finalists:
    finalists = Finalists(count, repeats, study_seed=9)
    for event in events:
        finalists.note(event)
    return finalists


def sent(finalists: Finalists) -> list[tuple[int, int]]:
    return [repeat_of(trial.number) for trial in iter(finalists.take, None)]


def test_the_first_training_of_all_comes_before_the_second_of_any_and_each_is_sent_once() -> None:
    finalists = noted(story({0: 0.1, 1: 0.9, 2: 0.5, 3: 0.9}))
    assert sent(finalists) == [(1, 1), (3, 1), (1, 2), (3, 2)]
    assert finalists.take() is None and not finalists.done  # out, not recorded


def test_a_repeat_has_the_trials_hyperparameters_and_a_seed_of_its_own() -> None:
    trials = noted(story({4: 0.9}), count=1, repeats=3).left()
    assert [trial.params for trial in trials] == [{"x": 4.0}] * 3
    assert len({trial.seed for trial in trials} | {trial_seed(9, 4)}) == 4
    assert [trial.repeat for trial in trials] == [1, 2, 3]


@pytest.mark.parametrize("state", [State.STOPPED, State.PRUNED, State.FAILED])
def test_only_feasible_trials_are_trained_again(state: State) -> None:
    events = story({0: 0.9}, constraints=(0.1,))
    events += [Asked(Trial(1, {}, 1), 0.0), Ended(Outcome(1, state, {"accuracy": 0.9}), 1, 0.0, 1.0)]
    assert noted(events).done


def test_a_trial_that_ends_late_and_is_better_has_its_trainings_too() -> None:
    finalists = noted(story({0: 0.5, 1: 0.4}))
    assert sent(finalists)[:2] == [(0, 1), (1, 1)]
    for event in story({2: 0.6}):
        finalists.note(event)
    assert sent(finalists) == [(2, 1), (2, 2)]
    assert {repeat_of(trial.number)[0] for trial in finalists.left()} == {0, 2}


def test_after_a_cut_nothing_recorded_is_repeated_and_what_was_out_is_sent_again() -> None:
    events = story({0: 0.5, 1: 0.4})
    first = noted(events)
    trials = [first.take(), first.take(), first.take()]
    assert trials[0] is not None and trials[2] is not None
    done = [first.repeated(Outcome(t.number, State.COMPLETED, {"accuracy": 0.4}, n_scored=50), 2, 7.0, 3.0)
            for t in (trials[0], trials[2])]  # fmt: skip
    assert done[0] == Repeated(Repeat(0, trial_seed(9, 0, 1), "split 1", 0.4, 50), 2, 7.0, 3.0)
    assert sent(noted(events + done)) == [(1, 1), (1, 2)]


def test_a_training_that_fails_is_recorded_without_a_score_and_not_tried_again() -> None:
    finalists = noted(story({0: 0.5}), count=1, repeats=1)
    trial = finalists.take()
    assert trial is not None
    failed = finalists.repeated(Outcome(trial.number, State.FAILED, error="no"), 1, 0.0, 1.0)
    assert (failed.repeat.score, failed.repeat.state, failed.repeat.feasible) == (None, State.FAILED, False)
    stopped = Outcome(trial.number, State.STOPPED, {"accuracy": 0.2}, (0.1,), n_scored=7)
    assert finalists.repeated(stopped, 1, 0.0, 1.0).repeat.score is None  # what it had shown is no score
    finalists.note(failed)
    assert finalists.done


def test_the_time_they_take_is_that_of_the_longest_for_each_round_of_the_workers() -> None:
    finalists = noted([*story({0: 0.5}, seconds=4.0), *story({1: 0.4}, seconds=10.0), *story({2: 0.3}, seconds=99.0)])
    assert finalists.seconds(n_workers=3) == SLACK * (1 + 2) * 10.0
    assert finalists.seconds(n_workers=0) == SLACK * (1 + 4) * 10.0
    assert Finalists().seconds(3) == 0.0


def test_without_finalists_nothing_is_left() -> None:
    finalists = Finalists()
    for event in story({0: 0.5}):
        finalists.note(event)
    assert finalists.done and finalists.take() is None
