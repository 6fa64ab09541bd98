import time
from dataclasses import replace

import pytest
from comm_toys import CountingOptimizer

from snnhpo_mpi.master.proposer import STALE_S, Proposer
from snnhpo_mpi.trial import Outcome, State


def _take(proposer):
    while (proposal := proposer.take()) is None:
        time.sleep(0.001)
    return proposal


def test_commands_are_processed_in_the_order_in_which_they_were_posted():
    optimizer = CountingOptimizer(delay_s=0.01)
    proposer = Proposer(optimizer)
    proposer.start()
    proposer.post_ask()
    proposer.post_tell(Outcome(0, State.FAILED), 2.5)
    proposer.post_ask()
    assert proposer.n_ahead == 2
    first, second = _take(proposer), _take(proposer)
    proposer.close()
    assert (first.proposal.trial.number, second.proposal.trial.number) == (0, 1)
    assert optimizer.calls == [("ask", 0), ("tell", 0), ("ask", 1)]
    assert first.seconds >= 0.01
    assert (first.proposal.n_told, second.proposal.n_told) == (0, 1)
    assert first.proposal.diagnostics == {"length": 0.5}
    assert optimizer.seconds == [2.5]
    assert proposer.n_ahead == 0


def test_an_ask_is_hurried_if_workers_waited_when_it_was_posted():
    optimizer = CountingOptimizer(delay_s=0.01)
    proposer = Proposer(optimizer)
    for hurried in (False, True, False):
        proposer.post_ask(hurried)
    proposer.start()
    assert [_take(proposer).hurried for _ in range(3)] == [False, True, False]
    proposer.close()
    assert optimizer.hurried == [False, True, False]


def test_an_error_of_the_optimizer_is_raised_by_the_loop_once_its_proposals_are_taken():
    class Breaking(CountingOptimizer):
        def tell(self, outcome, seconds):
            raise ZeroDivisionError("no model")

    proposer = Proposer(Breaking())
    proposer.start()
    proposer.post_ask()
    proposer.post_tell(Outcome(0, State.FAILED), 2.5)
    assert _take(proposer).proposal.trial.number == 0
    with pytest.raises(ZeroDivisionError, match="no model"):
        _take(proposer)
    with pytest.raises(ZeroDivisionError):
        proposer.check()
    proposer.close()


def test_closing_before_the_start_or_twice_is_harmless():
    proposer = Proposer(CountingOptimizer())
    proposer.close()
    proposer.close()
    assert proposer.n_ahead == 0


def _settle(proposer, n_ready):
    while proposer.n_ready < n_ready:
        time.sleep(0.001)


def test_waiting_proposals_that_lack_an_old_result_are_made_again_in_their_order():
    optimizer = CountingOptimizer()
    proposer = Proposer(optimizer)
    proposer.start()
    proposer.post_ask()
    proposer.post_ask()
    _settle(proposer, 2)
    now = 100.0
    proposer.post_tell(Outcome(7, State.FAILED), 2.5, now)
    while not proposer.at_rest:
        time.sleep(0.001)
    proposer.renew_stale(now + 0.9 * STALE_S)
    assert optimizer.calls[-1] == ("tell", 7)  # not old enough
    proposer.renew_stale(now + 1.1 * STALE_S)
    while optimizer.calls[-1] != ("ask", 1):
        time.sleep(0.001)
    _settle(proposer, 2)
    assert optimizer.calls[-4:] == [("withdraw", 1), ("withdraw", 0), ("ask", 0), ("ask", 1)]
    assert [_take(proposer).proposal.n_told for _ in range(2)] == [1, 1]
    assert proposer.n_ahead == 0
    proposer.renew_stale(now + 10 * STALE_S)  # nothing is ready
    proposer.close()
    assert optimizer.calls[-1] == ("ask", 1)


def test_proposals_that_take_long_are_not_made_again():
    optimizer = CountingOptimizer(delay_s=0.02)
    proposer = Proposer(optimizer)
    proposer.start()
    proposer.post_ask()
    _settle(proposer, 1)
    proposer._proposals[0] = replace(proposer._proposals[0], seconds=STALE_S)
    proposer.post_tell(Outcome(7, State.FAILED), 2.5)
    while not proposer.at_rest:
        time.sleep(0.001)
    proposer.renew_stale(10 * STALE_S)
    proposer.close()
    assert ("withdraw", 0) not in optimizer.calls
