import pytest

from snnhpo_mpi.master.ending import Ending, Stopping


def _stopping(left_s=None, grace_s=100.0, closing_s=10.0, time_is_budget=False, began=0.0):
    clock = {"now": began}
    end = None if left_s is None else began + left_s
    stopping = Stopping(lambda: None if end is None else end - clock["now"], grace_s, closing_s, time_is_budget)

    def at(now):
        clock["now"] = now
        return stopping.begins(now)

    return stopping, at


def test_without_an_end_and_without_a_request_a_search_goes_on():
    stopping, at = _stopping()
    assert [at(now) for now in (0.0, 1e3, 1e9)] == [None] * 3
    assert stopping.ending is None and not stopping.is_over(1e9)


def test_a_request_stops_it_for_the_grace_and_a_second_one_at_once():
    stopping, at = _stopping()
    at(0.0)
    stopping.request()
    assert at(50.0) is Ending.INTERRUPTED
    assert at(51.0) is None  # said once
    assert stopping.ending is Ending.INTERRUPTED and not stopping.at_once
    assert not stopping.is_over(149.9) and stopping.is_over(150.0)
    stopping.request()
    assert stopping.at_once


@pytest.mark.parametrize(("time_is_budget", "ending"), [(False, Ending.OUT_OF_TIME), (True, Ending.COMPLETE)])
def test_it_stops_the_grace_before_the_end_and_keeps_time_for_closing(time_is_budget, ending):
    stopping, at = _stopping(left_s=1000.0, time_is_budget=time_is_budget)
    assert at(0.0) is None and at(899.0) is None
    assert at(901.0) is Ending.OUT_OF_TIME
    assert stopping.ending is ending
    at(985.0)
    assert not stopping.is_over(989.0) and stopping.is_over(990.5)


def test_a_request_late_in_the_job_still_leaves_time_for_closing():
    stopping, at = _stopping(left_s=200.0)
    at(0.0)
    stopping.request()
    assert at(95.0) is Ending.INTERRUPTED
    at(150.0)
    assert not stopping.is_over(189.0) and stopping.is_over(190.0)


def test_of_a_short_grace_a_fifth_is_kept_for_closing():
    stopping, at = _stopping(left_s=20.0, grace_s=10.0)
    at(0.0)
    assert at(11.0) is Ending.OUT_OF_TIME
    assert not stopping.is_over(17.9) and stopping.is_over(18.0)


def test_the_time_left_is_asked_for_about_once_a_second():
    asked = []
    stopping = Stopping(lambda: asked.append(1), 10.0, 1.0, False)
    for step in range(100):
        stopping.begins(step / 20)
    assert len(asked) == 5


@pytest.mark.parametrize(("ending", "code"), [(Ending.COMPLETE, 0), (Ending.FAILURES, 1), (Ending.NO_WORKERS, 1),
                                              (Ending.INTERRUPTED, 75), (Ending.OUT_OF_TIME, 75),
                                              (Ending.WORKERS_LOST, 75)])  # fmt: skip
def test_what_can_be_resumed_ends_with_75(ending, code):
    assert ending.exit_code == code
