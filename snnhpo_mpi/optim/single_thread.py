"""Linear algebra on one thread, for the optimizer's own work only.

The matrices of an ask are small: threads that wait for each other cost several times what they save, and a hundred
times where the machine is busy. One thread also gives the same bits on any number of cores.

A BLAS has one number of threads for the whole process: it is set by the first that works and restored by the last.
OpenMP, which PyTorch uses, has one for each thread of the process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from threadpoolctl import OpenBLASController, ThreadpoolController

_lock = threading.Lock()
_n_working = 0
_blas: Any = None  # what restores the number of threads that was there before


@contextmanager
def single_threaded() -> Iterator[None]:
    """While the block runs, BLAS uses one thread, and OpenMP in this thread too; also a decorator."""
    _enter()
    torch.get_num_threads()  # a thread's first call of PyTorch sets what ``torch.set_num_threads`` said: not after this
    openmp = _libraries("openmp").limit(limits=1)
    try:
        yield
    finally:
        openmp.restore_original_limits()
        _leave()


def _enter() -> None:
    global _n_working, _blas
    with _lock:
        if _n_working == 0:
            with _any_thread():
                _blas = _libraries("blas").limit(limits=1)
        _n_working += 1


def _leave() -> None:
    global _n_working
    with _lock:
        _n_working -= 1
        if _n_working == 0:
            with _any_thread():
                _blas.restore_original_limits()


@contextmanager
def _any_thread() -> Iterator[None]:
    """Recent versions of threadpoolctl let one thread only set OpenBLAS's number, and ignore all others."""
    release = getattr(OpenBLASController, "clear_controlling_thread", lambda force: None)
    release(force=True)
    yield
    release(force=True)


@cache
def _libraries(kind: str) -> ThreadpoolController:
    """Those of NumPy, SciPy and PyTorch; looking for them takes some milliseconds."""
    return ThreadpoolController().select(user_api=kind)
