from snnhpo_mpi.master.backlog import Backlog
from snnhpo_mpi.trial import Trial

A, B, C = (Trial(number, {"x": float(number)}, number) for number in range(3))


def _backlog(waiting=(), n_asked=0, budget=10, max_sendings=2):
    return Backlog(waiting, n_asked, budget, max_sendings)


def test_trials_of_an_earlier_run_wait_in_order_and_count_as_asked():
    backlog = _backlog([A, B], n_asked=2, budget=3)
    assert (backlog.n_waiting, backlog.n_left) == (2, 1)
    assert [backlog.take_waiting(), backlog.take_waiting(), backlog.take_waiting()] == [A, B, None]


def test_the_search_is_done_when_the_budget_is_asked_and_every_trial_has_ended():
    backlog = _backlog([A], n_asked=1, budget=2)
    backlog.take_waiting()
    backlog.add(B)
    assert backlog.n_left == 0
    assert not backlog.done
    assert backlog.end(0)
    assert not backlog.done
    assert backlog.end(1)
    assert backlog.done


def test_without_a_budget_it_is_never_done():
    backlog = _backlog(budget=None)
    assert backlog.n_left == float("inf")
    assert not backlog.done


def test_only_the_first_result_of_a_trial_that_was_asked_counts():
    backlog = _backlog()
    backlog.add(A)
    assert [backlog.end(0), backlog.end(0), backlog.end(5)] == [True, False, False]


def test_a_lost_trial_goes_before_all_others_until_it_was_sent_too_often():
    backlog = _backlog([B, C], n_asked=3)
    backlog.add(A)
    assert not backlog.lose(0)
    assert backlog.take_waiting() == A
    assert backlog.lose(0)
    assert backlog.take_waiting() == B


def test_a_trial_given_back_is_not_counted_as_lost():
    backlog = _backlog()
    backlog.add(A)
    for _ in range(5):
        backlog.give_back(0)
        backlog.give_back(0)
        assert backlog.n_waiting == 1
        backlog.take_waiting()
    assert not backlog.lose(0)


def test_a_late_result_takes_the_trial_out_of_the_queue():
    backlog = _backlog()
    backlog.add(A)
    backlog.lose(0)
    assert backlog.end(0)
    assert backlog.take_waiting() is None


def test_an_ended_trial_is_not_lost_again():
    backlog = _backlog()
    backlog.add(A)
    backlog.end(0)
    assert not backlog.lose(0)
    assert backlog.n_waiting == 0
