"""The optimizer's threads are its own affair."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import scipy.linalg  # noqa: F401  # loads its BLAS
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from snnhpo_mpi.optim import single_thread
from snnhpo_mpi.optim.single_thread import single_threaded


def threads() -> list[int]:
    """Of the libraries that the optimizer uses; other tests may have loaded more."""
    own = [
        library
        for library in threadpool_info()
        if {"numpy.libs", "scipy.libs", "torch"} & set(Path(library["filepath"]).parts)
    ]
    assert len(own) >= 2
    return [*(library["num_threads"] for library in own), torch.get_num_threads()]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    end = time.monotonic() + 60
    while single_thread._n_working and time.monotonic() < end:  # fits of earlier tests that are still running
        time.sleep(0.01)
    of_torch = torch.get_num_threads()
    torch.set_num_threads(2)  # a program of the user's may; each new thread takes it over with its first operation
    before = threadpool_limits(2)  # as rank 0's main thread does: it alone may set OpenBLAS's from here on
    yield
    before.restore_original_limits()
    torch.set_num_threads(of_torch)


def test_inside_there_is_one_thread_and_afterwards_as_many_as_before() -> None:
    before = threads()
    assert 2 in before
    with single_threaded():
        assert set(threads()) == {1}
        with single_threaded():
            pass
        assert set(threads()) == {1}
    assert threads() == before


def test_an_error_inside_does_not_keep_the_limit() -> None:
    before = threads()
    with pytest.raises(ZeroDivisionError), single_threaded():
        raise ZeroDivisionError
    assert threads() == before


def test_a_fit_that_ends_after_the_ask_that_began_it_gives_the_threads_back() -> None:
    before, inside, end, seen = threads(), threading.Event(), threading.Event(), []

    def fit() -> None:
        with single_threaded():
            inside.set()
            end.wait(60)
            seen.extend(threads())

    with single_threaded():
        fitting = threading.Thread(target=fit)
        fitting.start()
        inside.wait(60)
    end.set()
    fitting.join()
    assert set(seen) == {1}
    assert threads() == before


def test_another_thread_than_the_one_that_set_the_threads_can_limit_them() -> None:
    seen: list[int] = []

    def ask() -> None:
        with single_threaded():
            seen.extend(threads())

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join()
    assert set(seen) == {1}
