import threading

import pytest

from snnhpo_mpi.comm.transport import LocalWorkers, local_transports


def test_messages_arrive_in_order_with_their_sender():
    master, first, second = local_transports(3)
    first.send(0, b"a")
    second.send(0, b"b")
    first.send(0, b"c")
    assert [master.receive() for _ in range(4)] == [(1, b"a"), (2, b"b"), (1, b"c"), None]


def test_everybody_knows_whom_to_talk_to():
    master, first, second = local_transports(3)
    assert (master.rank, master.size, master.peers) == (0, 3, {1, 2})
    assert first.peers == second.peers == {0}


def test_what_ends_a_worker_thread_is_raised_by_rank_0():
    ends = local_transports(2)

    def work(end):
        raise KeyError("lost my keys")

    with LocalWorkers(ends[1:], work) as workers:
        workers.join()
        with pytest.raises(KeyError, match="lost my keys"):
            ends[0].receive()


def test_workers_are_told_when_rank_0_is_gone():
    ends = local_transports(3)
    told = []

    def work(end):
        while (message := end.receive()) is None:
            threading.Event().wait(0.001)
        told.append((end.rank, message))

    with pytest.raises(ZeroDivisionError), LocalWorkers(ends[1:], work):
        raise ZeroDivisionError
    assert sorted(told) == [(1, (0, b"")), (2, (0, b""))]
