"""Rules that stop trials: rungs computed by hand, and what a decision may depend on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhpo_mpi.optim.stopping import (
    RULES,
    LearningCurves,
    PruningSettings,
    Rule,
    curves_of,
    final_score,
    is_spare,
    stops,
)
from snnhpo_mpi.trial import Interim, Outcome, State

Event = Interim | Outcome
NO_SPARE = PruningSettings(spare=0.0)


def report(number: int, position: int, score: float | None) -> Interim:
    return Interim(number, position, seconds=1.0, score=score)


def outcome(number: int, score: float, state: State = State.COMPLETED) -> Outcome:
    return Outcome(number, state, {"accuracy": score})


def with_rule(rule: Rule, **changes: float) -> PruningSettings:
    return replace(NO_SPARE, rule=rule, **changes)  # type: ignore[arg-type]


def finished(number: int, scores: Sequence[float], feasible: bool = True) -> list[Event]:
    """A trial that reported at positions 1, 2, ... and ended."""
    reports = [report(number, position, score) for position, score in enumerate(scores, 1)]
    return [*reports, outcome(number, scores[-1], State.COMPLETED if feasible else State.STOPPED)]


def decision(events: Sequence[Event], latest: Interim, rule: PruningSettings) -> bool:
    return stops(curves_of([*events, latest]), latest, rule)


def decisions(events: Sequence[Event], rule: PruningSettings) -> list[bool]:
    """What the rule says after each event, of the trial that reported."""
    curves, said = LearningCurves(), []
    for event in events:
        curves.add(event)
        said.append(isinstance(event, Interim) and stops(curves, event, rule))
    return said


def test_median_compares_the_best_so_far_with_the_mean_scores_of_the_finished() -> None:
    past = [event for number in range(12) for event in finished(number, [0.1 * number, 0.1 * number + 0.2])]
    rule = with_rule("median")
    # at position 2 the means of the finished are 0.1, 0.2, ..., 1.2: their median is 0.65
    assert decision([*past, report(20, 1, 0.1)], report(20, 2, 0.64), rule)
    assert not decision([*past, report(20, 1, 0.1)], report(20, 2, 0.66), rule)
    assert not decision([*past, report(20, 1, 0.7)], report(20, 2, 0.1), rule)  # its best counts


def test_asha_lets_the_best_quarter_pass_a_rung() -> None:
    rule = with_rule("asha", first=0)
    past: list[Event] = [report(number, 1, 0.1 * number) for number in range(1, 8)]
    # eight scores on the rung at 1: two pass
    assert not decision(past, report(8, 1, 0.65), rule)
    assert decision(past, report(8, 1, 0.55), rule)
    # between the rungs at 1 and 4 it goes on, whatever it reports
    assert not decision([*past, report(8, 1, 0.9)], report(8, 2, 0.0), rule)
    assert not decision([*past, report(8, 1, 0.9)], report(8, 3, 0.0), rule)


def test_asha_rungs_are_at_powers_of_eta() -> None:
    rule = with_rule("asha", first=0)
    past: list[Event] = [report(1, position, 0.9) for position in range(1, 17)]
    for position, is_rung in [(1, True), (2, False), (3, False), (4, True), (5, False), (15, False), (16, True)]:
        before = [report(2, p, 1.0) for p in range(1, position)]
        assert decision([*past, *before], report(2, position, 0.5), rule) is is_rung


def test_asha_takes_the_first_report_from_a_rung_on_where_none_is_exactly_there() -> None:
    rule = with_rule("asha", first=0, unit=1000.0)
    past: list[Event] = [report(1, 1000, 0.3), report(1, 4500, 0.8)]
    assert decision([*past, report(2, 1000, 0.4)], report(2, 6000, 0.7), rule)
    assert not decision([*past, report(2, 1000, 0.4)], report(2, 6000, 0.81), rule)
    assert not decision(past, report(2, 500, 0.0), rule)  # before the first rung


def test_gain_adds_what_the_finished_gained_and_compares_with_the_best() -> None:
    """Everybody gained 0.3 from position 1 on: without errors there is no spread, and the bar is the best, 0.9."""
    past = [event for number in range(13) for event in finished(number, [0.05 * number] + [0.05 * number + 0.3] * 9)]
    assert decision(past, report(60, 1, 0.599), with_rule("gain"))
    assert not decision(past, report(60, 1, 0.601), with_rule("gain"))


def test_gain_follows_a_line_where_low_scores_gain_more() -> None:
    """The final score is 0.5 + score / 2 for all, up to 0.95 for 0.9; one of 0.85 would end at 0.925."""
    past = [
        event for number in range(19) for event in finished(number, [0.05 * number] + [0.5 + 0.025 * number] * 9)
    ]  # fmt: skip
    assert decision(past, report(60, 1, 0.85), with_rule("gain"))
    assert not decision(past, report(60, 1, 0.91), with_rule("gain"))


def test_gain_stops_by_the_chance_of_the_spread() -> None:
    """Half of the trials gain 0.1 and half 0.3, whatever their score; the best ends at 1.

    So the mean gain is 0.2 and its standard deviation about 0.1. At the first of ten positions a trial stops if its
    chance is below 0.13 x 0.9, which is 1.19 standard deviations: below 1 - 0.2 - 0.12 = 0.68, and not before.
    """
    starts = [0.3 + 0.4 * number / 29 for number in range(30)]
    ends = [start + 0.1 + 0.2 * (number % 2) for number, start in enumerate(starts)]
    past = [event for number in range(30) for event in finished(number, [starts[number]] + [ends[number]] * 9)]
    said = [decision(past, report(60, 1, 0.3 + step / 100), with_rule("gain")) for step in range(60)]
    assert 0.66 <= 0.3 + said.count(True) / 100 <= 0.70
    assert said == sorted(said, reverse=True)


def test_gain_asks_less_of_a_trial_that_is_nearly_paid_for() -> None:
    """Nobody gains anything; at the end a trial may be at the eighth place (1 + int(9 x 0.81)), at the start not."""
    past = [event for number in range(20) for event in finished(number, [0.04 * number] * 10)]
    for position, least in [(1, 0.76), (9, 0.48)]:
        reports = [report(60, p, least) for p in range(1, position)]
        assert not decision([*past, *reports], report(60, position, least), with_rule("gain"))
        assert decision([*past, *reports], report(60, position, least - 0.001), with_rule("gain"))


def test_gain_lets_a_trial_go_on_that_is_above_the_bar_though_scores_fall() -> None:
    past = [event for number in range(20) for event in finished(number, [0.9, 0.9, 0.5])]
    assert not decision(past, report(60, 1, 0.55), with_rule("gain"))
    assert decision(past, report(60, 1, 0.45), with_rule("gain"))


def test_gain_tells_a_late_bloomer_by_its_slope() -> None:
    """Two kinds have the same score at position 4: those that rise end at 0.9, the others stay where they are."""
    rng = np.random.default_rng(0)
    past: list[Event] = []
    for number in range(40):
        rising = [0.1, 0.2, 0.3, 0.5, 0.8, 0.9] if number % 2 else [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
        past += finished(number, (np.array(rising) + rng.normal(0, 0.005, 6)).tolist())
    for scores, stopped in [([0.1, 0.2, 0.3, 0.5], False), ([0.5, 0.5, 0.5, 0.5], True)]:
        reports = [report(60, p, score) for p, score in enumerate(scores, 1)]
        assert decision([*past, *reports[:-1]], reports[-1], with_rule("gain")) is stopped


@pytest.mark.parametrize(("factor", "shift"), [(100.0, 0.0), (1e-6, -3e-6), (1e60, 1e61), (3.0, -2.0)])
@pytest.mark.parametrize("rule", ["gain", "asha", "median"])
def test_a_decision_does_not_depend_on_the_unit_of_the_score(rule: Rule, factor: float, shift: float) -> None:
    rng = np.random.default_rng(1)
    curves = [np.sort(rng.uniform(0, 1, 6)) for _ in range(60)]
    plain = [event for number, one in enumerate(curves) for event in finished(number, one.tolist())]
    other = [event for number, one in enumerate(curves) for event in finished(number, (one * factor + shift).tolist())]
    said = decisions(plain, with_rule(rule))
    assert any(said) and said == decisions(other, with_rule(rule))


@pytest.mark.parametrize("rule", RULES)
def test_the_first_dozen_and_the_spare_ones_go_on(rule: Rule) -> None:
    past = [event for number in range(40) for event in finished(number, [0.9, 0.95])]
    for number in range(12):
        assert not decision(past, report(number, 1, 0.0), with_rule(rule))
    spare = next(number for number in range(50, 90) if is_spare(number, 0.05))
    assert not decision(past, report(spare, 1, 0.0), PruningSettings(rule=rule))
    assert decision(past, report(spare, 1, 0.0), with_rule(rule)) is (rule != "none")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_spare_trials_are_spread_evenly(share: float) -> None:
    chosen = [number for number in range(2000) if is_spare(number, share)]
    assert abs(len(chosen) - 2000 * share) <= 2
    for eighth in range(8):  # the optimizer does some things by turns
        assert abs(len([number for number in chosen if number % 8 == eighth]) - 250 * share) <= 3


@pytest.mark.parametrize("rule", ["gain", "median"])
@pytest.mark.parametrize("n_finished", [0, 1, 11])
def test_before_a_dozen_has_finished_nothing_stops(rule: Rule, n_finished: int) -> None:
    past = [event for number in range(n_finished) for event in finished(number, [0.9, 0.95])]
    assert not decision(past, report(30, 1, 0.0), with_rule(rule))


@pytest.mark.parametrize("rule", ["gain", "median"])
def test_where_all_but_one_were_pruned_those_that_were_set_no_measure(rule: Rule) -> None:
    """Forty trials stopped at 0.1 do not stand for a dozen that finished, and make no bar for one that shows 0.0."""
    pruned = [event for n in range(40) for event in (report(n, 1, 0.1), outcome(n, 0.1, State.PRUNED))]
    past = [*pruned, *finished(40, [0.9, 0.95])]
    assert not decision(past, report(60, 1, 0.0), with_rule(rule))
    if rule == "median":  # which takes the one, where one is enough
        assert decision(past, report(60, 1, 0.0), with_rule(rule, first=1))


def test_asha_counts_pruned_trials_on_its_rungs() -> None:
    """Forty stopped at 0.1 and one finished: a quarter of the 42 on the rung pass, and 0.1 is among them."""
    pruned = [event for n in range(40) for event in (report(n, 1, 0.1), outcome(n, 0.1, State.PRUNED))]
    past = [*pruned, *finished(40, [0.9, 0.95])]
    assert decision(past, report(60, 1, 0.09), with_rule("asha"))
    assert not decision(past, report(60, 1, 0.1), with_rule("asha"))


@pytest.mark.parametrize("rule", RULES)
def test_a_score_that_is_not_finite_decides_nothing(rule: Rule) -> None:
    past = [event for number in range(40) for event in finished(number, [0.9, 0.95])]
    for score in (math.nan, math.inf, -math.inf, 1e300, -1e300):
        assert not decision(past, report(60, 1, score), with_rule(rule))


@pytest.mark.parametrize("rule", ["gain", "asha", "median"])
def test_scores_that_are_not_finite_change_no_decision_about_others(rule: Rule) -> None:
    past = [event for number in range(14) for event in finished(number, [0.02 * number, 0.03 * number])]
    odd = [*finished(15, [math.nan, math.nan]), *finished(16, [math.inf, math.inf]), *finished(17, [0.5, math.nan])]
    for score in np.linspace(0.0, 0.6, 13):
        latest = report(60, 1, float(score))
        assert decision([*past, *odd], latest, with_rule(rule)) is decision(past, latest, with_rule(rule))


@pytest.mark.parametrize("rule", ["gain", "asha", "median"])
def test_infeasible_trials_are_no_measure(rule: Rule) -> None:
    past = [event for number in range(20) for event in finished(number, [0.5, 0.6])]
    silent = [event for number in range(20, 40) for event in finished(number, [0.9, 0.99], feasible=False)]
    assert not decision([*past, *silent], report(60, 1, 0.5), with_rule(rule))


@st.composite
def journals(draw: st.DrawFn) -> list[Event]:
    """Trials that report in any order, as ranks with clocks of their own do, and then end; some are infeasible."""
    score = st.one_of(st.integers(0, 20).map(lambda k: k / 20), st.just(math.nan))
    n, length = draw(st.integers(1, 30)), draw(st.integers(1, 5))
    scores = [draw(st.lists(score, min_size=length, max_size=length)) for _ in range(n)]
    feasible = [draw(st.booleans()) or number < 15 for number in range(n)]
    waiting = {number: finished(number, scores[number], feasible[number]) for number in range(n)}
    events: list[Event] = []
    while waiting:
        number = draw(st.sampled_from(sorted(waiting)[:4]))
        events.append(waiting[number].pop(0))
        if not waiting[number]:
            del waiting[number]
    return events


@pytest.mark.parametrize("rule", ["gain", "asha", "median"])
@given(events=journals(), others=journals(), cut=st.integers(0, 200))
@settings(max_examples=25, deadline=None)
def test_a_rule_sees_no_future(rule: Rule, events: list[Event], others: list[Event], cut: int) -> None:
    chosen = with_rule(rule, first=3)
    begun = events[:cut]
    other_end = [*begun, *(event for event in others if event not in begun)]
    assert decisions(events, chosen)[:cut] == decisions(other_end, chosen)[: len(begun)]


@pytest.mark.parametrize("rule", ["gain", "asha", "median"])
@given(events=journals())
@settings(max_examples=15, deadline=None)
def test_a_second_reading_of_the_journal_decides_the_same(rule: Rule, events: list[Event]) -> None:
    """Whatever was kept from one event to the next, a decision is that of all events up to it."""
    chosen = with_rule(rule, first=3)
    again = [
        isinstance(event, Interim) and decision(events[:at], event, chosen) for at, event in enumerate(events)
    ]  # fmt: skip
    assert decisions(events, chosen) == again


def test_a_report_that_comes_a_second_time_counts_once() -> None:
    """A trial that goes on from its checkpoint on another rank reports the last positions again."""
    once = curves_of([report(3, 1, 0.2), report(3, 2, 0.4)])
    twice = curves_of([report(3, 1, 0.2), report(3, 2, 0.4), report(3, 1, 0.3), report(3, 2, 0.5)])
    assert twice.of(3)[0].tolist() == once.of(3)[0].tolist() == [1.0, 2.0]
    assert twice.of(3)[1].tolist() == once.of(3)[1].tolist() == [0.2, 0.4]


@pytest.mark.parametrize("rule", ["gain", "asha", "median"])
def test_a_report_from_before_the_latest_decides_nothing(rule: Rule) -> None:
    """A trial that has lost its checkpoint begins again: it was judged at these positions."""
    past = [event for number in range(40) for event in finished(number, [0.9] * 8)]
    past += [report(60, 4, 0.95)]
    assert not decision(past, report(60, 1, 0.0), with_rule(rule))
    assert not decision(past, report(60, 4, 0.0), with_rule(rule))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(8))
def test_no_order_of_reports_and_outcomes_raises_or_warns(rule: Rule, seed: int) -> None:
    rng = np.random.default_rng(seed)
    curves, chosen = LearningCurves(), with_rule(rule, first=3)
    for _ in range(250):
        number, score = int(rng.integers(0, 30)), float(rng.choice([0.1, 0.5, 0.9, math.nan, 1e99, 1e-300]))
        if rng.random() < 0.7:
            latest = report(number, int(rng.integers(0, 6)), score)
            curves.add(latest)
            stops(curves, latest, chosen)
        else:
            curves.add(outcome(number, score, State(rng.choice(["completed", "stopped", "pruned", "failed", "lost"]))))


def test_many_trials_and_long_curves_are_kept() -> None:
    events = [report(number, p, number + p / 100) for number in range(200) for p in range(1, 30)]
    curves = curves_of(events)
    assert [curves.of(number)[1].tolist() for number in (0, 63, 64, 199)] == [
        [number + p / 100 for p in range(1, 30)] for number in (0, 63, 64, 199)
    ]
    assert curves.of(150)[0].tolist() == list(range(1, 30)) and len(curves.finals) == 0


def test_what_a_pruned_trial_reported_stays_without_a_final_score() -> None:
    reports = [report(3, 1, 0.2), report(3, 2, 0.4)]
    pruned, failed = (curves_of([*reports, outcome(3, 0.4, state)]) for state in (State.PRUNED, State.FAILED))
    assert pruned.of(3)[1].tolist() == [0.2, 0.4] and failed.of(3)[1].tolist() == []
    assert len(pruned.finals) == len(failed.finals) == 0


def test_a_report_without_a_score_decides_nothing() -> None:
    past = [event for number in range(40) for event in finished(number, [0.9, 0.95])]
    assert not decision(past, report(60, 1, None), with_rule("gain"))


def test_a_trial_is_predicted_to_gain_what_all_finished_ones_gained() -> None:
    events = [event for n in range(12) for event in finished(n, [0.1 + 0.01 * n, 0.3 + 0.01 * n, 0.5 + 0.01 * n])]
    curves = curves_of([*events, report(20, 1, 0.2), report(20, 2, 0.4)])
    final = final_score(curves, 20, NO_SPARE)
    assert final is not None
    assert final.mean == pytest.approx(0.6) and final.spread < 1e-6 and final.progress == pytest.approx(2 / 3)
    curves.add(outcome(20, 0.4, State.PRUNED))
    assert final_score(curves, 20, NO_SPARE) == final  # as it is told


def test_without_reports_or_enough_finished_trials_nothing_is_predicted() -> None:
    events = [event for n in range(11) for event in finished(n, [0.1, 0.3])]
    curves = curves_of([*events, report(20, 1, 0.2)])
    assert final_score(curves, 20, NO_SPARE) is None and final_score(curves, 21, NO_SPARE) is None


def test_a_longer_training_has_more_to_gain() -> None:
    """Half of the finished trials are twice as long, look the same at first, and gain 0.2 more."""
    events: list[Event] = []
    for n in range(24):
        length, gained = (20, 0.3) if n % 2 else (10, 0.1)
        events += [Interim(n, 5, 1.0, 0.3 + 0.001 * n, n_planned=length), outcome(n, 0.3 + 0.001 * n + gained)]
    found = []
    for length in (10, 20):
        curves = curves_of([*events, Interim(30, 5, 1.0, 0.31, n_planned=length)])
        final = final_score(curves, 30, NO_SPARE)
        assert final is not None and final.progress == 5 / length
        found.append(final.mean)
    assert found == pytest.approx([0.41, 0.61], abs=0.03)
    unknown = final_score(curves_of([*events, report(30, 5, 0.31)]), 30, NO_SPARE)
    assert unknown is not None and unknown.mean == pytest.approx(0.51, abs=0.03) and unknown.spread > 0.08


def test_a_training_of_known_length_is_judged_from_the_earliest_share_of_it_on() -> None:
    rule = with_rule("gain", first=2, earliest=0.5)
    events: list[Event] = []
    for n in range(20):
        events += [Interim(n, at, 1.0, 0.8 * at / 8, n_planned=8) for at in (2, 4)] + [outcome(n, 0.8)]
    early, late = Interim(30, 2, 1.0, 0.01, n_planned=8), Interim(30, 4, 1.0, 0.02, n_planned=8)
    assert not decision(events, early, rule)
    assert decision(events, early, replace(rule, earliest=0.25))
    assert decision([*events, early], late, rule)
    assert decision(events, report(30, 2, 0.01), rule)  # nobody knows how long it is
