import time

import pytest
from comm_toys import CountingOptimizer

from snnhpo_mpi.comm.proposer import Proposer
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
    proposer.post_tell(Outcome(0, State.FAILED))
    proposer.post_ask()
    assert proposer.n_ahead == 2
    first, second = _take(proposer), _take(proposer)
    proposer.close()
    assert (first.trial.number, second.trial.number) == (0, 1)
    assert optimizer.calls == [("ask", 0), ("tell", 0), ("ask", 1)]
    assert first.seconds >= 0.01
    assert first.diagnostics == {"length": 0.5, "n_told": 0}
    assert second.diagnostics == {"length": 0.5, "n_told": 1}
    assert proposer.n_ahead == 0


def test_an_error_of_the_optimizer_is_raised_by_the_loop_once_its_proposals_are_taken():
    class Breaking(CountingOptimizer):
        def tell(self, outcome):
            raise ZeroDivisionError("no model")

    proposer = Proposer(Breaking())
    proposer.start()
    proposer.post_ask()
    proposer.post_tell(Outcome(0, State.FAILED))
    assert _take(proposer).trial.number == 0
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
