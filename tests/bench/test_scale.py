"""The imitated workers and what is counted of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnhpo_mpi.bench.optimizer import make_problem
from snnhpo_mpi.bench.scale import PROBLEM, measure
from snnhpo_mpi.bench.workers import VirtualWorkers, parse_durations
from snnhpo_mpi.comm.messages import Hello, Result, Run, decode, encode
from snnhpo_mpi.trial import Trial


def test_imitated_workers_are_kept_busy_for_hours_within_seconds() -> None:
    figures = measure(4, parse_durations("lognormal:60000,1"), n_trials=12)
    assert (figures["workers"], figures["trials"]) == (4, 12)
    assert figures["hours"] > 10.0
    assert figures["busy_share"] == pytest.approx(1.0, abs=0.01)
    assert figures["busy_share_to_the_end"] < figures["busy_share"]
    assert 0.0 < figures["dispatch_ms"]["median"] < 60_000.0


def test_trials_told_beforehand_are_in_the_models() -> None:
    figures = measure(2, parse_durations("uniform:100,200"), n_trials=3, n_told=25)
    assert figures["told"] == 25 and figures["trials"] == 3
    assert figures["n_fits"] >= 1
    assert figures["unseen"]["most"] <= 1


def test_the_clock_jumps_to_the_next_result_unless_rank_0_acts_before() -> None:
    workers = VirtualWorkers(1, make_problem(PROBLEM), parse_durations("uniform:1000,1000"))
    received = workers.receive()
    assert received is not None and isinstance(decode(received[1]), Hello)
    workers.send(1, encode(Run(Trial(0, make_problem(PROBLEM).space.decode(np.full(22, 0.3)), 1))))
    sent_at = workers.clock()
    assert workers.receive() is None  # rank 0 has a turn first
    workers.wakes_at = lambda: sent_at + 5.0
    assert workers.receive() is None
    assert 5.0 <= workers.clock() - sent_at < 6.0
    workers.wakes_at = lambda: float("inf")
    received = workers.receive()
    assert received is not None and isinstance(decode(received[1]), Result)
    assert 999.9 <= workers.clock() - sent_at < 1001.0


def test_durations_come_from_names_and_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    assert 1.0 <= parse_durations("uniform:1,2")(rng) <= 2.0
    draws = [parse_durations("paper")(rng) for _ in range(2000)]
    assert np.mean(np.array(draws) > 4000.0) == pytest.approx(0.3, abs=0.03)
    (tmp_path / "seconds").write_text("7\n9\n")
    assert {parse_durations(str(tmp_path / "seconds"))(rng) for _ in range(50)} == {7.0, 9.0}


@pytest.mark.parametrize("text", ["lognormal", "uniform:1", "uniform:1,b", "nowhere.txt", "paper:2", ""])
def test_durations_that_are_none_are_refused_with_their_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"durations|has two numbers"):
        parse_durations(text)
