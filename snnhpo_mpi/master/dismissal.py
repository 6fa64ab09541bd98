"""The end of a search: rank 0 tells every worker to stop and takes what they still send."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Set

from snnhpo_mpi.comm.messages import Stop, Stopped, encode
from snnhpo_mpi.comm.pause import Pause
from snnhpo_mpi.comm.transport import Transport

_log = logging.getLogger(__name__)


def dismiss(
    transport: Transport,
    exit_code: int,
    timeout_s: float = 10.0,
    handle: Callable[[int, bytes], object] = lambda rank, data: None,
    lost: Set[int] = frozenset(),
) -> None:
    """Tell all workers to stop and take what they still send, until each has answered or the time is over.

    A worker that answered is no peer any more: a second call finds none.

    Args:
        transport: of rank 0.
        exit_code: what the workers end with.
        timeout_s: the longest wait.
        handle: called with every other message.
        lost: ranks whose answers are not waited for.
    """
    peers, stopped = transport.peers, encode(Stopped())
    for rank in tuple(peers):  # sending may find one gone
        transport.send(rank, encode(Stop(exit_code)))
    pause, end = Pause(), time.monotonic() + timeout_s
    while peers - lost and time.monotonic() < end:
        received = transport.receive()
        if received is not None:
            rank, data = received
            if not data or data == stopped:
                peers.discard(rank)
            else:
                handle(rank, data)
        if length_s := pause.after(received is not None):
            transport.wait(length_s)
    if peers:
        _log.warning("no answer from ranks %s", sorted(peers))
