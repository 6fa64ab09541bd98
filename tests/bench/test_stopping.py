"""The replay of learning curves: what it counts, that it knows no future, and what it says of a bad file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from snnhpo_mpi.bench.curve_table import Curve, read_curves
from snnhpo_mpi.bench.stopping import measure, replay
from snnhpo_mpi.cli import main
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.optim.stopping import RULES, PruningSettings, Rule, is_spare

KEYS = [
    "rule",
    "spare",
    "trials",
    "pruned",
    "share_of_time",
    "best_full",
    "best_kept",
    "top10_kept",
    "time_to_best_ratio",
]
HEADER = "trial,epoch,score,seconds,feasible\n"


def curve(
    scores: Sequence[float], seconds: float | Sequence[float] = 1.0, feasible: bool = True, name: str = "0"
) -> Curve:
    n = len(scores)
    each = [seconds] * n if isinstance(seconds, float) else list(seconds)
    return Curve(name, feasible, list(range(1, n + 1)), list(scores), each)


def random_curves(n: int = 120, seed: int = 0) -> list[Curve]:
    """Curves that rise to different heights, of different lengths; a few are infeasible."""
    rng = np.random.default_rng(seed)
    curves = []
    for _ in range(n):
        epochs = np.arange(1, rng.integers(4, 16))
        scores = rng.uniform(0.2, 0.98) * (1 - np.exp(-epochs / rng.uniform(0.5, 4))) + rng.normal(0, 0.01, len(epochs))
        curves.append(curve(scores.tolist(), float(rng.uniform(1, 9)), bool(rng.random() > 0.1)))
    return curves


def written(path: Path, curves: Sequence[Curve]) -> Path:
    rows = [
        f"{number},{epoch},{score!r},{seconds!r},{int(one.feasible)}\n"
        for number, one in enumerate(curves)
        for epoch, score, seconds in zip(one.epochs, one.scores, one.seconds, strict=True)
    ]
    path.write_text(HEADER + "".join(rows))
    return path


def test_workers_take_the_trials_in_order() -> None:
    curves = [curve([0.1, 0.2], 5.0), curve([0.3], 2.0), curve([0.4, 0.5], 1.0), curve([0.6], 4.0)]
    run = replay(curves, PruningSettings(rule="none"), n_workers=2)
    # 0 takes worker A until 10; B has 1 until 2, 2 until 4, 3 until 8
    assert run.ended_at == [10.0, 2.0, 4.0, 8.0]
    assert run.seconds == [10.0, 2.0, 2.0, 4.0]


def test_a_stopped_trial_frees_its_worker_and_the_figures_are_those_by_hand() -> None:
    good = [curve([0.5, 0.9]) for _ in range(12)]
    bad, later = curve([0.1, 0.2, 0.2, 0.2], 10.0), curve([0.5, 0.95])
    settings = PruningSettings(rule="gain", spare=0.0)
    curves = [*good, bad, later]
    run = replay(curves, settings, n_workers=1)
    assert run.finished == [True] * 12 + [False, True]
    assert run.seconds[12:] == [10.0, 2.0] and run.ended_at[12:] == [34.0, 36.0]
    assert measure(curves, settings, n_workers=1) == {
        "rule": "gain",
        "spare": 0.0,
        "trials": 14,
        "pruned": 1,
        "share_of_time": (24 + 10 + 2) / (24 + 40 + 2),
        "best_full": 0.95,
        "best_kept": 0.95,
        "top10_kept": 10,
        "time_to_best_ratio": 36 / 66,
    }


def test_infeasible_trials_run_to_their_ends_and_count_in_no_share() -> None:
    good = [curve([0.5, 0.9]) for _ in range(12)]
    silent = [curve([0.0, 0.0, 0.99], 100.0, feasible=False) for _ in range(5)]
    bad = [curve([0.1, 0.1]) for _ in range(5)]
    result = measure([*good, *silent, *bad], PruningSettings(rule="gain", spare=0.0), n_workers=1)
    assert result["pruned"] == 5
    assert result["share_of_time"] == (24 + 5) / (24 + 10)
    assert result["best_full"] == result["best_kept"] == 0.9


@pytest.mark.parametrize("rule", RULES)
def test_none_prunes_nothing_and_every_rule_keeps_the_spare_and_the_first(rule: Rule) -> None:
    curves = random_curves()
    run = replay(curves, PruningSettings(rule=rule, spare=0.1), n_workers=15)
    for number, done in enumerate(run.finished):
        assert done or not (rule == "none" or number < 12 or is_spare(number, 0.1) or not curves[number].feasible)


@pytest.mark.parametrize("rule", ["gain", "asha", "median"])
def test_later_scores_change_no_earlier_decision(rule: Rule) -> None:
    """Whatever trials report after a moment of simulated time, who was stopped before it stays the same."""
    curves, settings = random_curves(), PruningSettings(rule=rule)
    run = replay(curves, settings, n_workers=5)
    moment = sorted(run.ended_at)[60]
    begun = {number: end - run.seconds[number] for number, end in enumerate(run.ended_at)}
    changed = []
    for number, one in enumerate(curves):
        arrivals = begun[number] + np.cumsum(one.seconds)
        scores = [score if at <= moment else 0.123 for score, at in zip(one.scores, arrivals, strict=True)]
        changed.append(curve(scores, one.seconds[0], one.feasible))
    other = replay(changed, settings, n_workers=5)
    assert changed != curves
    for number, end in enumerate(run.ended_at):
        if end < moment:
            assert (other.ended_at[number], other.finished[number]) == (end, run.finished[number])


def test_only_one_trial_survives_where_all_others_are_hopeless() -> None:
    curves = [curve([0.5, 0.5]) for _ in range(12)] + [curve([0.1, 0.1]) for _ in range(30)] + [curve([0.5, 0.6])]
    result = measure(curves, PruningSettings(rule="gain", spare=0.0), n_workers=1)
    assert result["pruned"] == 30 and result["best_kept"] == 0.6


def test_seconds_of_epochs_that_differ_are_the_order_of_the_reports() -> None:
    """A trial whose worker is slow is judged by those that overtook it."""
    slow = curve([0.1, 0.2], [1000.0, 1.0])
    settings = PruningSettings(rule="gain", spare=0.0)
    fast = [curve([0.5, 0.9]) for _ in range(20)]
    early, late = replay([*fast[:12], curve([0.1, 0.2], [0.1, 1.0]), *fast], settings, 13), replay(
        [*fast[:12], slow, *fast], settings, 13
    )  # fmt: skip
    assert early.finished[12] and not late.finished[12]


@pytest.mark.parametrize("rule", RULES)
def test_json_has_the_keys_of_the_interface(tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: Rule) -> None:
    path = written(tmp_path / "curves.csv", random_curves())
    assert main(["bench", "stopping", "--curves", str(path), "--rule", rule, "--workers", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == KEYS
    assert result["rule"] == rule and result["spare"] == 0.05 and result["trials"] == 120
    assert (result["pruned"] == 0) is (rule == "none")
    assert (result["share_of_time"] == 1.0) is (rule == "none")


def test_text_says_what_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(HEADER + "a,1,0.1,2,0\na,2,nan,2,0\n")
    assert main(["bench", "stopping", "--curves", str(path), "--rule", "gain"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert set(lines) == set(KEYS) and lines["best_full"] == "-" and lines["trials"] == "1"


def test_a_score_of_nan_is_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "curves.csv"
    path.write_text("trial,epoch,score,seconds\nx,1,0.5,1\nx,2,nan,1\ny,1,NaN,1\ny,2,0.4,1\n")
    assert main(["bench", "stopping", "--curves", str(path), "--rule", "gain", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["best_full"], result["best_kept"], result["top10_kept"]) == (0.4, 0.4, 1)


def test_rows_of_trials_may_alternate_and_other_columns_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(
        "\ufefflr,trial,epoch,score,seconds\n0.1,b,1,0.5,1\n0.2,a,1,0.3,2\n\n0.1,b,4,0.6,1.5\n", encoding="utf-8"
    )
    first, second = read_curves(path)
    assert (first.name, first.epochs, first.scores, first.seconds) == ("b", [1, 4], [0.5, 0.6], [1.0, 1.5])
    assert second.feasible and second.final == 0.3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"curves.csv, line 1: no column trial, epoch, score, seconds; .*, found nothing"),
        (HEADER, r"curves.csv: no row after the names of the columns"),
        ("trial,epoch,seconds\n1,1,1\n", r"line 1: no column score; .*, found trial, epoch, seconds"),
        ("trial;epoch;score;seconds\n", r"line 1: no column trial, epoch, score, seconds; .*found trial;epoch"),
        ("trial,epoch,score,score,seconds\n", r"line 1: column score is there twice"),
        (HEADER + "1,1,good,1,1\n", r"line 2, column score: a number, or nan .* is needed, found 'good'"),
        (HEADER + "1,1,inf,1,1\n", r"line 2, column score: .*found 'inf'"),
        (HEADER + "1,1,0.1,nan,1\n", r"line 2, column seconds: a number of at least 0 is needed, found 'nan'"),
        (HEADER + "1,1,0.1,-1,1\n", r"line 2, column seconds: .*found '-1'"),
        (HEADER + "1,one,0.1,1,1\n", r"line 2, column epoch: .*found 'one'"),
        (HEADER + "1,1.5,0.1,1,1\n", r"line 2, column epoch: an integer of at least 0 is needed, found '1.5'"),
        (HEADER + ",1,0.1,1,1\n", r"line 2, column trial: a name or a number is needed, found nothing"),
        (HEADER + "1,1,0.1,1,2\n", r"line 2, column feasible: 0 or 1 is needed, found '2'"),
        (HEADER + "1,1,0.1,1,1\n1,2,0.1,1,0\n", r"line 3, column feasible: the same in all rows of trial 1"),
        (HEADER + "1,2,0.1,1,1\n1,1,0.2,1,1\n", r"line 3, column epoch: more than the epoch before of trial 1, .* 2,"),
        (HEADER + "1,1,0.1,1,1\n1,1,0.2,1,1\n", r"line 3, column epoch: more than the epoch before"),
        (HEADER + "1,1,0.1,1\n", r"line 2: 5 columns are needed, found 4"),
        (HEADER + '1,1,"0.1,1,1\n', r"after line 2: this is no CSV file in UTF-8"),
    ],
)
def test_a_bad_file_gets_one_line_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_curves(path)
    assert main(["bench", "stopping", "--curves", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and str(path) in said.err


@pytest.mark.parametrize(
    "data", [b"trial,epoch,score,seconds\n1,1,\xff,1\n", b"\x89PNG\r\n\x1a\n\x00\x00", b"PK\x03\x04\x00"]
)
def test_what_is_no_text_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes) -> None:
    path = tmp_path / "curves.csv"
    path.write_bytes(data)
    assert main(["bench", "stopping", "--curves", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_no_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "stopping", "--curves", str(tmp_path / "none.csv")]) == 2
    assert main(["bench", "stopping", "--curves", str(tmp_path)]) == 2
    assert all("Traceback" not in line for line in capsys.readouterr().err.splitlines())


@pytest.mark.parametrize("share", ["-0.1", "1.5", "nan", "much"])
def test_a_share_that_is_none_is_refused(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "stopping", "--curves", "x.csv", "--spare", share])
    assert "a number from 0 to 1 is needed" in capsys.readouterr().err
