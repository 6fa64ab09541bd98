"""Brings ``study.h5`` up to the journal; a program of its own too, beside a run that goes on meanwhile."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.host.signals import ignore_stop_signals
from snnhpo_mpi.host.subprocesses import die_with
from snnhpo_mpi.record import recovery, snapshot
from snnhpo_mpi.record.aside import move_aside
from snnhpo_mpi.record.entries import SCHEMA
from snnhpo_mpi.record.recovery import Base, Files


def renew(folder: Path, n_bytes: int, *, anew: bool = False, study_id: str | None = None) -> list[str]:
    """Adds to the snapshot what the journal has more, and replaces it.

    Args:
        folder: of the study.
        n_bytes: of the journal that count. What is behind them is still being written, and may be taken back.
        anew: do not build on the snapshot that is there.
        study_id: of the study, None for whichever it is.

    Returns:
        What was wrong with the snapshot, for the user.

    Raises:
        OSError: the disk is full or gone; the present snapshot is untouched.
        RecordError: the journal is not as it was written.
    """
    files = Files.of(folder)
    assert files.journal is not None and files.snapshot is not None
    header = recovery.journal_header(files.journal, first_only=True)
    base = Base() if anew else recovery.load_base(files)
    is_old = base.table is not None and base.table.header.schema < SCHEMA  # its columns have other names
    if is_old or not recovery.goes_on_at(files.journal, base, n_bytes):  # lines put back may have another length
        base = replace(base, table=None, n_bytes=0)
    is_other = header is None or study_id not in (None, header.study_id)
    if is_other or not recovery.goes_on_at(files.journal, base, n_bytes):
        raise RecordError(f"{files.journal} is not as it was written")
    notices = []
    if base.problem:
        notices = [f"{base.problem}; it is kept as {move_aside(files.snapshot).name}"]
    if base.table is None or base.n_bytes != n_bytes:
        table, extras, _ = recovery.recover(files, base, n_bytes)
        snapshot.save(files.snapshot, table, extras, n_bytes, anew=base.table is None)
    return notices


def main(parent: int) -> None:
    """Renews as standard input says, and says on standard error what was wrong.

    Args:
        parent: the process to die with.
    """
    die_with(parent)
    ignore_stop_signals()  # a batch system signals all processes of a job
    folder, n_bytes, anew, study_id = json.load(sys.stdin.buffer)
    try:
        for notice in renew(Path(folder), n_bytes, anew=anew, study_id=study_id):
            sys.stderr.write(f"{notice}\n")
    except (OSError, RecordError) as error:
        sys.exit(str(error))
