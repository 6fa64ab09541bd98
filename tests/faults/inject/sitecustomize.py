"""Loaded by every Python of a fault test: kills rank 0 inside a write, or gives this machine another name.

``FAULTY_KILL=<where>:<n>`` kills at the n-th write of that kind, or rank 0 and whoever saves a snapshot for it at one
of its writes; ``FAULTY_HOST`` is the other name.
"""

import os
import random
import signal
import socket
import sys

WHERE = ("torn", "unsynced", "synced", "renaming", "renamed")


SNAPSHOTS_HIT = 0.2


def die():
    if saves_a_snapshot():
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def kill_inside(where, n):
    write, sync, replace = os.write, os.fsync, os.replace
    left = {"n": n}

    def due():
        left["n"] -= 1
        return left["n"] == 0

    def torn(fd, data):
        if due():
            write(fd, data[: len(data) // 2])
            die()
        return write(fd, data)

    def synced(fd):
        if where == "unsynced" and due():
            die()
        sync(fd)
        if where == "synced" and due():
            die()

    def renamed(source, target, **options):
        if where == "renaming" and due():
            die()
        replace(source, target, **options)
        if where == "renamed" and due():
            die()

    if where == "torn":
        os.write = torn
    os.fsync = synced
    os.replace = renamed


def is_rank_0():
    rank = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ.get("PMI_RANK") or "0"
    return rank == "0" and "snnhpo_mpi" in sys.orig_argv


def saves_a_snapshot():
    return any("snnhpo_mpi.record.renewal" in argument for argument in sys.orig_argv)


if moment := os.environ.get("FAULTY_KILL"):
    where, _, n = moment.partition(":")
    if is_rank_0():
        kill_inside(where, int(n))
    elif saves_a_snapshot() and random.random() < SNAPSHOTS_HIT:
        kill_inside(where, 1)
if name := os.environ.get("FAULTY_HOST"):
    socket.gethostname = lambda: name
