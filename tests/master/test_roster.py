from snnhpo_mpi.master.roster import Roster, Standing


def _roster():
    roster = Roster([1, 2, 3], now=0.0)
    for rank in (1, 2):
        roster.update(rank, Standing.WORKING, None)
    return roster


def test_a_starting_rank_is_present_and_not_idle():
    assert _roster().n_present == 3
    assert _roster().idle == [1, 2]


def test_who_waits_longest_comes_first():
    roster = _roster()
    roster.update(1, Standing.WORKING, 7)
    roster.update(1, Standing.WORKING, None)
    assert roster.idle == [2, 1]


def test_a_trial_that_two_ranks_have_runs_until_both_are_done_with_it():
    roster = _roster()
    roster.update(1, Standing.WORKING, 7)
    roster.update(2, Standing.WORKING, 7)
    assert (roster.n_running, roster.n_idle) == (1, 0)
    roster.update(1, Standing.LOST, None)
    assert roster.runs(7)
    roster.update(2, Standing.WORKING, None)
    assert not roster.runs(7)
    assert roster.n_running == 0


def test_lost_and_gone_ranks_are_neither_present_nor_silent():
    roster = _roster()
    roster.update(1, Standing.LOST, None)
    roster.update(2, Standing.GONE, None)
    assert (roster.n_present, roster.n_lost, roster.idle) == (1, 1, [])
    assert roster.silent(now=100.0, timeout_s=60.0) == [3]


def test_silence_is_counted_from_when_a_rank_was_last_heard():
    roster = _roster()
    roster[1].heard_at = 50.0
    assert roster.silent(now=100.0, timeout_s=60.0) == [2, 3]
