from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.analysis import durations
from snnhpo_mpi.analysis.summary import (
    best_dict,
    best_trials,
    failures,
    objective_name,
    reason,
    saved_seconds,
    status_dict,
    summarise,
)
from snnhpo_mpi.config import load_config
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report import conclusion, terminal, text
from snnhpo_mpi.trial import Asked, Ended, Outcome, Started, State


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read(fake_study.written(tmp_path_factory.mktemp("done") / "s", 40))


def story(folder: Path, *events: Asked | Started | Ended, live: bool = False) -> StudyData:
    """A study of these events, whose runs begin at 0 s."""
    clock = fake_study.Clock(0.0)
    with fake_study.at(clock):
        record = fake_study.create(folder)
        record.append(*events)
        clock.at = max((event.at for event in events), default=0.0)
        record.close("complete")
    return replace(read(folder), live=live)


def asked(number: int, at: float = 0.0) -> Asked:
    return Asked(fake_study.trial(number), at)


def ended(
    number: int, rank: int, at: float, seconds: float, objective: float = 0.5, state: State = State.COMPLETED
) -> Ended:
    constraint = -0.1 if state is State.COMPLETED else 0.5
    metrics = {"train_seconds": seconds, "n_samples": 50.0, "n_samples_planned": 1000.0}
    return Ended(Outcome(number, state, {"accuracy": objective}, (constraint, -0.1), metrics), rank, at, seconds)


def test_every_trial_is_counted_once(done: StudyData) -> None:
    summary = summarise(done)
    frame = done.frame()
    for state in State:
        assert getattr(summary, state.value) == (frame.state == state.value).sum()
    assert summary.trials == 40
    assert summary.ended == summary.completed + summary.stopped + summary.failed + summary.lost
    assert summary.silent_share == summary.stopped / (summary.completed + summary.stopped)


def test_the_best_is_completed_and_feasible_with_the_largest_objective(done: StudyData) -> None:
    best = best_trials(done, 3)
    values = np.sort(done.objective[done.feasible])[::-1]
    assert [found.objective for found in best] == values[:3].tolist()
    assert best[0].params == fake_study.trial(best[0].number).params
    assert summarise(done).incumbent[-1] == best[0].objective


def test_a_stopped_trial_is_never_the_best(tmp_path: Path) -> None:
    data = story(
        tmp_path / "s", asked(0), asked(1), ended(0, 1, 5.0, 5.0, 0.9, State.STOPPED), ended(1, 1, 9.0, 4.0, 0.3)
    )
    assert [found.number for found in best_trials(data, 5)] == [1]


def test_without_a_feasible_trial_the_violated_constraints_are_named(tmp_path: Path) -> None:
    values = ((0.4, -0.1), (0.2, 0.3), (0.7, 0.0), (np.nan, np.nan))
    data = replace(
        story(tmp_path / "s", *(asked(number) for number in range(4))),
        constraints=np.array(values),
    )
    found = summarise(data)
    named = [(one.name, one.n, one.of, one.least) for one in found.violations]
    assert named == [("silent_excitatory", 3, 3, 0.2), ("silent_inhibitory", 1, 3, -0.1)]
    line = "silent_excitatory > 0 in 3 of 3 trials; smallest 0.2 (feasible: at most 0)"
    assert line in conclusion.last_words(data)
    assert line.partition(" (")[0] in terminal.as_text(data)


def test_with_a_feasible_trial_no_violation_is_named(done: StudyData) -> None:
    assert done.feasible.any() and (done.constraints > 0).any()
    assert summarise(done).violations == ()


def test_of_equals_the_earliest_is_the_best(tmp_path: Path) -> None:
    data = story(tmp_path / "s", asked(0), asked(1), ended(1, 1, 5.0, 5.0), ended(0, 1, 9.0, 4.0))
    assert best_trials(data, 1)[0].number == 0


def test_saved_time_is_what_the_rest_of_the_training_would_have_taken(tmp_path: Path) -> None:
    data = story(tmp_path / "s", asked(0), asked(1), ended(0, 1, 5.0, 3.0, state=State.STOPPED), ended(1, 1, 9.0, 4.0))
    # 3 s for 50 of 1,000 samples: 57 s more
    np.testing.assert_allclose(saved_seconds(data), [57.0, np.nan])
    assert summarise(data).saved_seconds == pytest.approx(57.0)


def test_busy_share_counts_idle_gaps_between_first_dispatch_and_last_result(tmp_path: Path) -> None:
    data = story(
        tmp_path / "s",
        asked(0), asked(1), asked(2),
        Started(0, 1, 10.0), Started(1, 2, 10.0), ended(0, 1, 20.0, 10.0), ended(1, 2, 12.0, 2.0),
        Started(2, 1, 22.0), ended(2, 1, 30.0, 8.0),
    )  # fmt: skip
    assert summarise(data).busy_share == pytest.approx((10 + 2 + 8) / (2 * 20))


def test_a_trial_whose_end_is_damaged_is_not_busy_for_ever(tmp_path: Path) -> None:
    data = story(
        tmp_path / "s",
        asked(0), asked(1), asked(2),
        Started(0, 1, 10.0), Started(1, 1, 30.0), ended(1, 1, 40.0, 10.0), Started(2, 1, 60.0), ended(2, 1, 70.0, 10.0),
    )  # fmt: skip
    data = replace(data, losses=("journal.jsonl is damaged",))
    assert summarise(data).busy_share == pytest.approx((20 + 10 + 10) / 60)
    last = story(tmp_path / "t", asked(0), asked(1), Started(0, 1, 10.0), ended(0, 1, 20.0, 5.0), Started(1, 1, 21.0))
    assert summarise(replace(last, losses=("damaged",))).busy_share == pytest.approx(5 / 10)


def test_running_trials_keep_their_workers_busy(tmp_path: Path) -> None:
    data = story(tmp_path / "s", asked(0), Started(0, 1, 10.0), live=True)
    assert summarise(data, now=50.0).busy_share == pytest.approx(1.0)
    assert summarise(data, now=50.0).running == 1


def test_time_left_follows_the_pace_and_the_budget(tmp_path: Path) -> None:
    events = [asked(n) for n in range(4)]
    ends = [ended(n, 1, 10.0 * (n + 1), 10.0) for n in range(4)]
    data = replace(story(tmp_path / "s", *events, *ends, live=True), config=fake_study.config(budget={"trials": 10}))
    assert summarise(data, now=40.0).seconds_left == pytest.approx(60.0)
    timed = replace(data, config=fake_study.config(budget={"trials": 10, "wall_time": 70.0}))
    assert summarise(timed, now=40.0).seconds_left == pytest.approx(30.0)
    assert summarise(replace(data, live=False)).seconds_left is None


def test_breaks_between_runs_do_not_count(tmp_path: Path) -> None:
    clock = fake_study.Clock(0.0)
    with fake_study.at(clock):
        record = fake_study.create(tmp_path / "s")
        record.append(asked(0), Started(0, 1, 1.0), ended(0, 1, 100.0, 99.0))
        clock.at = 100.0
        record.close("interrupted")
        clock.at = 5000.0
        record = fake_study.resume(tmp_path / "s")
        record.append(asked(1, 5000.0), Started(1, 1, 5000.0), ended(1, 1, 5040.0, 40.0))
        clock.at = 5050.0
        record.close("complete")
    summary = summarise(read(tmp_path / "s"))
    assert summary.seconds == pytest.approx(150.0)
    assert summary.busy_share == pytest.approx(1.0)


def test_the_state_tells_a_killed_study_from_an_ended_one(tmp_path: Path) -> None:
    assert summarise(read(fake_study.written(tmp_path / "a", 5, close="interrupted"))).state == "interrupted"
    assert summarise(read(fake_study.written(tmp_path / "b", 5, close=None))).state == "killed"
    assert summarise(read(fake_study.written(tmp_path / "c", 9, live=True))).state == "running"


def test_status_has_the_agreed_keys_and_is_json(done: StudyData) -> None:
    status = json.loads(json.dumps(status_dict(summarise(done))))
    names = (
        "study state trials completed stopped pruned failed lost running feasible best silent_share busy_share seconds "
        "saved_seconds"
    )
    assert set(status) == set(names.split())
    assert set(status["best"]) == {"number", "objective", "objectives", "params", "standard_error", "n"}
    assert json.loads(json.dumps(best_dict(best_trials(done, 2))))["best"][0] == status["best"]


def test_status_of_an_empty_study_is_json_without_nan(tmp_path: Path) -> None:
    status = status_dict(summarise(read(fake_study.written(tmp_path / "s", 0))))
    assert json.dumps(status, allow_nan=False)
    assert status["best"] is None and status["silent_share"] is None and status["busy_share"] is None


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("out of memory\n\nTraceback (most recent call last):\n  x\nMemoryError", "out of memory"),
        ("Traceback (most recent call last):\n  File\nValueError: bad\n", "ValueError: bad"),
        ("", "no reason given"),
    ],
)
def test_the_reason_is_the_first_line_or_the_end_of_a_bare_traceback(error: str, line: str) -> None:
    assert reason(error) == line


def test_failures_are_counted_by_reason(done: StudyData) -> None:
    counted = failures(done)
    assert sum(count for _, count in counted) == summarise(done).failed
    assert [count for _, count in counted] == sorted((count for _, count in counted), reverse=True)


def test_the_baseline_is_trial_0_of_a_study_that_has_one(tmp_path: Path) -> None:
    configuration = fake_study.config(baseline={"name": "defaults", "params": {}})
    data = read(fake_study.written(tmp_path / "s", 20, configuration=configuration))
    baseline = summarise(data).baseline
    assert baseline is not None
    assert (baseline.name, baseline.number, baseline.params) == ("defaults", 0, fake_study.trial(0).params)
    completed = replace(baseline, state="completed", objectives={"accuracy": 0.4321}, n=500, feasible=True)
    text = conclusion.of_search(replace(summarise(data), baseline=completed), tmp_path)
    best = best_trials(data, 1)[0].objective
    assert f"defaults: 0.4321 ± 0.022 (trial 0); the best is {100 * (best - 0.4321):.1f} points better" in text


def test_the_objective_of_ones_own_function_is_not_called_accuracy(done: StudyData) -> None:
    assert objective_name(done) == "held-out accuracy"
    assert objective_name(replace(done, config=fake_study.config(trainer={"name": "python"}))) == "objective"
    assert objective_name(replace(done, config=fake_study.config(retrain={"candidates": []}))) == "test accuracy"


def test_the_objective_of_ones_own_function_goes_by_its_name_and_is_not_said_in_points(
    done: StudyData, tmp_path: Path
) -> None:
    own = replace(
        done,
        config=fake_study.config(trainer={"name": "python"}, baseline={"name": "defaults", "params": {}}),
        objective_names=("f1",),
        objectives={"f1": done.objective},
    )
    summary = summarise(own)
    assert summary.best is not None and summary.baseline is not None
    assert status_dict(summary)["best"]["objectives"] == {"f1": summary.best.objective}
    scored = replace(summary.baseline, state="completed", objectives={"f1": 0.25}, feasible=True)
    text = conclusion.of_search(replace(summary, baseline=scored), tmp_path)
    assert f"best     trial {summary.best.number}, f1 " in text
    assert f"the best is {summary.best.objective - 0.25:+.4g} from it" in text


@pytest.mark.parametrize("rules", [{}, {"saturation": [{"layer": "excitatory"}]}, {"chance": {"after_epochs": 1}}])
def test_trials_that_other_rules_may_have_stopped_are_not_called_silent(done: StudyData, rules: dict[str, Any]) -> None:
    data = replace(done, config=fake_study.config(**rules))
    name, other = ("stopped", "silent") if rules else ("silent", "stopped")
    lines = [line.split()[0] for line in conclusion.conclusion(data).splitlines()]
    assert name in lines and other not in lines
    assert name in [line.partition(" ")[0] for line in terminal.as_text(data).splitlines()]


def test_the_conclusion_says_what_the_demo_must(done: StudyData) -> None:
    summary = summarise(done)
    text = conclusion.conclusion(done)
    assert summary.best is not None
    for part in (f"trial {summary.best.number}", f"{summary.best.objective:.4f}", "map_size=", "of training", "busy"):
        assert part in text
    assert max(len(line) for line in text.splitlines()) <= 110


def test_the_fixed_block_gives_the_same_values_when_read_as_yaml(done: StudyData, tmp_path: Path) -> None:
    found = best_trials(done, 1)[0]
    tricky = {"yes_no": "yes", "number": "1e5", "quote": "it's", "small": 1e-05, "large": 1e22, "whole": 3}
    block = text.as_fixed_block(done, replace(found, params={**found.params, **tricky}))
    path = tmp_path / "c.yaml"
    path.write_text(
        "study: {name: a}\nbudget: {trials: 1}\ntrainer: {name: python, function: 'm:f'}\n"
        f"space: {{z: {{type: float, low: 0, high: 1}}}}\n{block}\n"
    )
    fixed = load_config(path).fixed
    assert fixed == {**found.params, **tricky}
    assert all(type(fixed[name]) is type(value) for name, value in tricky.items())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.2 s"),
        (42, "42 s"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (18600, "5 h 10 min"),
        (183600, "2 d 3 h"),
    ],
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert durations.duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(42, "42 s"), (200, "3.3 min"), (18600, "5.2 h"), (10 * 86400, "10 d")])
def test_rough_durations_have_one_unit(seconds: float, text: str) -> None:
    assert durations.rough_duration(seconds) == text


def test_best_trials_stand_side_by_side(done: StudyData) -> None:
    lines = text.as_table(best_trials(done, 3)).splitlines()
    assert lines[0].split() == ["trial", *(str(found.number) for found in best_trials(done, 3))]
    assert len(lines) == 2 + len(fake_study.PARAMETERS)
