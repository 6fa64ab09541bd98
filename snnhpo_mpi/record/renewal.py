"""Brings ``study.h5`` up to the journal; a program of its own too, beside a run that goes on meanwhile."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from snnhpo_mpi.child import die_with
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import recovery, snapshot


def renew(folder: Path, n_bytes: int, *, anew: bool = False) -> list[str]:
    """Adds to the snapshot what the journal has more, and replaces it.

    Args:
        folder: of the study.
        n_bytes: of the journal that count. What is behind them is still being written, and may be taken back.
        anew: do not build on the snapshot that is there.

    Returns:
        What was wrong with the files, for the user.

    Raises:
        OSError: the disk is full or gone; the present snapshot is untouched.
        RecordError: the journal cannot be read.
    """
    base = recovery.Base() if anew else recovery.load_base(folder)
    if base.table is not None and base.n_bytes == n_bytes:
        return []
    table, extras, notices = recovery.recover(folder, base, n_bytes)
    snapshot.save(folder / snapshot.FILE_NAME, table, extras, n_bytes, anew=base.table is None)
    return notices


def main(parent: int) -> None:
    """Renews as standard input says, and says on standard error what was wrong.

    Args:
        parent: the process to die with.
    """
    die_with(parent)
    for number in (signal.SIGTERM, signal.SIGUSR1):  # a batch system signals all processes of a job
        signal.signal(number, signal.SIG_IGN)
    folder, n_bytes, anew = json.load(sys.stdin.buffer)
    try:
        for notice in renew(Path(folder), n_bytes, anew=anew):
            sys.stderr.write(f"{notice}\n")
    except (OSError, RecordError) as error:
        sys.exit(str(error))
