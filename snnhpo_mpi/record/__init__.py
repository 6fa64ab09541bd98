"""The study record: what happened to every trial, never lost, readable at any moment by anybody.

A study is a folder, written by rank 0 and nobody else::

    journal.jsonl   one checksummed JSON line an event, flushed to the disk (fsync) before anybody acts on it
    study.h5        the same as columns, renewed from it every ``flush_every``, by a process beside, and at the end
    lock.json       who is writing; its heartbeat is renewed every few seconds
    live.json       the latest news of the running trials; not part of the record

Either of the first two is enough to rebuild the other. ``read`` joins them, also while the run goes on. No file lock is
used and no file is ever half there, so NFS and Lustre are fine. What ``append`` accepted survives a crash of the
program and, as far as the file system keeps the promise of fsync, of the machine.

A journal that somebody edits, replaces, cuts or deletes during a run is put back by the writer. Whatever else is found
in the place of one of the files is kept under another name.

``study.h5`` (schema 2; n trials in the order asked, d encoded columns, m constraints, e events; times in Unix seconds;
absent: NaN, -1 or empty)::

    attributes                      schema, study_id, name, created, config_text, resolved_config (JSON),
                                    constraint_names (JSON), hosts (JSON), journal_bytes, versions and other provenance
    /trials/number, rank, seed      n       int64
    /trials/state                   n       text: completed, stopped, failed, lost; asked or running before the end
    /trials/x                       n x d   float64 in [0, 1]
    /trials/objective               n       float64, to be maximised
    /trials/constraints             n x m   float64, feasible iff all <= 0
    /trials/asked_at, started_at, ended_at    n
    /trials/seconds                 n       of the evaluation, by the worker's own clock
    /trials/stopped_at              n       training samples seen when stopped early
    /trials/params/<name>           n       float64 or int64; of a categorical the position of the choice among those
                                            in the column's attribute ``choices`` (JSON)
    /trials/metrics/<name>          n       float64
    /optimizer/<name>               n [x k] float64, the optimizer's figures when it asked the trial
    /curves/<number>/<name>         float64, flat or rows of equal length
    /errors/<number>                text: reason and traceback
    /events/kind                    e       0 asked, 1 started, 2 ended, 3 session, 4 closed, 5 worker
    /events/number, at, rank        e       trial (or position in /sessions, /workers), time, worker rank
    /sessions/<i>, /workers/<i>     attributes of each run of the program (``retraining``, JSON: what it trains again),
                                    and of each worker seen

Schema 1, which is read too, has the text of a choice in its column.

Names of hyperparameters, metrics and curves have ``/`` and ``%`` percent-encoded.
"""

from snnhpo_mpi.record.data import StudyData, Worker, read
from snnhpo_mpi.record.recovery import exists
from snnhpo_mpi.record.retraining import Candidate, Retraining
from snnhpo_mpi.record.writer import StudyRecord

__all__ = ["Candidate", "Retraining", "StudyData", "StudyRecord", "Worker", "exists", "read"]
