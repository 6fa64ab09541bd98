"""What is decided after each event of a record, and that nothing but the record decides."""

import random
from dataclasses import replace

import pytest

from snnhpo_mpi.optim.stopping import PruningSettings
from snnhpo_mpi.study.pruning import Pruner
from snnhpo_mpi.trial import Asked, Ended, Event, Interim, Outcome, Reported, Started, State, Trial

MEDIAN = PruningSettings("median", spare=0.0, first=2)


def reported(number: int, position: int, score: float | None) -> Reported:
    return Reported(Interim(number, position, 1.0, score), rank=1, at=1e9)


def ended(number: int, score: float, state: State = State.COMPLETED) -> Ended:
    return Ended(Outcome(number, state, {"accuracy": score}), rank=1, at=1e9, seconds=1.0)


def finished(number: int, score: float) -> list[Event]:
    return [reported(number, 1, score / 2), reported(number, 2, score), ended(number, score)]


# Means up to position 1 and 2: 0.4 and 0.6, 0.3 and 0.45; so their medians are 0.35 and 0.525.
TWO = [*finished(0, 0.8), *finished(1, 0.6)]


def decisions(events: list[Event], settings: PruningSettings = MEDIAN) -> list[bool]:
    pruner = Pruner(settings)
    return [pruner.note(event) for event in events]


def test_a_report_that_shows_a_hopeless_trial_is_said_so() -> None:
    asked = Asked(Trial(2, {"x": 1.0}, 5), 1e9)
    events = [*TWO, asked, Started(2, 1, 1e9), reported(2, 1, 0.4), reported(2, 2, 0.6), reported(3, 1, 0.3)]
    assert decisions(events) == [False] * 10 + [True]


def test_the_first_trials_finish_and_no_rule_prunes_nothing() -> None:
    assert not any(decisions([*TWO, reported(2, 1, 0.1)], PruningSettings("median", 0.0, first=3)))
    assert not any(decisions([*TWO, reported(2, 1, 0.1)], PruningSettings("none", 0.0, first=2)))


def test_a_decision_holds_until_the_trial_ends_even_when_it_is_sent_again() -> None:
    again: list[Event] = [
        reported(2, 1, 0.4),
        reported(2, 2, 0.1),
        reported(2, 1, 0.4),
        reported(2, 2, 0.1),
        reported(2, 3, 0.9),
    ]
    pruned: list[Event] = [ended(2, 0.1, State.PRUNED), reported(2, 4, 0.9)]
    assert decisions([*TWO, *again, *pruned])[6:] == [False, True, False, True, True, False, False]


def test_a_report_that_comes_twice_is_not_judged_by_what_was_learnt_in_between() -> None:
    better = [*finished(3, 0.95), *finished(4, 0.95)]
    assert decisions([*TWO, reported(2, 1, 0.4), *better, reported(2, 1, 0.4)])[-1] is False
    assert decisions([*TWO, reported(2, 1, 0.4), *better, reported(2, 2, 0.4)])[-1] is True


def test_clocks_and_speeds_of_the_ranks_decide_nothing() -> None:
    """One rank's clock stands an hour ahead and another's goes backwards; the order of the journal is what counts."""
    draw = random.Random(4)
    events: list[Event] = []
    for step in range(200):
        number, position = divmod(step, 5)
        events.append(reported(number, position + 1, draw.random()))
        if position == 4:
            events.append(ended(number, draw.random()))
    clocks: list[Event] = []
    for event in events:
        rank, moment = draw.randrange(1, 5), draw.uniform(-1e10, 1e10)
        match event:
            case Reported(interim):
                clocks.append(Reported(replace(interim, seconds=draw.uniform(0.0, 1e6)), rank, moment))
            case Ended(outcome):
                clocks.append(Ended(outcome, rank, moment, seconds=draw.uniform(0.0, 1e6)))
    for rule in ("gain", "asha", "median"):
        said = decisions(events, PruningSettings(rule))
        assert any(said) and decisions(clocks, PruningSettings(rule)) == said


def test_the_optimizer_is_told_what_a_pruned_trial_would_have_reached() -> None:
    pruner = Pruner(MEDIAN)
    for event in [*TWO, reported(2, 1, 0.1)]:
        pruner.note(event)
    pruned, completed = ended(2, 0.1, State.PRUNED), ended(3, 0.5)
    pruner.note(pruned)
    told = pruner.as_told(pruned.outcome)
    assert told.predicted is not None and 0.1 < told.predicted < 0.6
    assert told.objectives == {"accuracy": 0.1}
    pruner.note(completed)
    assert pruner.as_told(completed.outcome) is completed.outcome
    assert Pruner(PruningSettings("none")).as_told(pruned.outcome) is pruned.outcome


@pytest.mark.parametrize("rule", ["gain", "asha", "median"])
def test_a_resumed_study_decides_as_the_uncut_one(rule: str) -> None:
    draw = random.Random(3)
    events: list[Event] = []
    for number in range(60):
        best = draw.random()
        events += [reported(number, 2**step, best * (1 - 0.5**step)) for step in range(1, 6)]
        events.append(ended(number, best))
    for number in range(0, 60, 5):  # some are sent again
        at = events.index(
            ended(
                number, next(e.outcome.objective or 0.0 for e in events if isinstance(e, Ended) and e.number == number)
            )
        )
        events[at:at] = [event for event in events[:at] if isinstance(event, Reported) and event.number == number]
    settings = PruningSettings(rule)  # type: ignore[arg-type]
    uncut = decisions(events, settings)
    assert any(uncut) and not all(uncut)
    for cut in (1, 57, 200, len(events) - 1):
        pruner = Pruner(settings)
        for event in events[:cut]:
            pruner.note(event)
        assert [pruner.note(event) for event in events[cut:]] == uncut[cut:]
