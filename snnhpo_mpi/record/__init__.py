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

``study.h5`` (schema 2; n trials in the order asked, d encoded columns, m constraints, r reports, q repeats, e events;
times in Unix seconds; absent: NaN, -1 or empty, of an int hyperparameter that does not exist in the trial -2^63; each
column has attributes ``description`` and, if known, ``units``)::

    attributes                      schema, study_id, name, created, config_text, resolved_config (JSON),
                                    objective_names and constraint_names (JSON), hosts (JSON), journal_bytes, versions
                                    and other provenance
    /trials/number, rank, seed      n       int64
    /trials/state                   n       text: completed, stopped, pruned, failed, lost; else asked or running
    /trials/x                       n x d   float64 in [0, 1]
    /trials/objectives/<name>       n       float64, to be maximised
    /trials/objective                       link to the first of them
    /trials/n_scored                n       int64, samples that they were measured on
    /trials/n_told                  n       int64, outcomes that the proposal follows from
    /trials/constraints             n x m   float64, feasible iff all <= 0
    /trials/asked_at, started_at, ended_at    n
    /trials/seconds                 n       of the evaluation, by the worker's own clock
    /trials/stopped_at              n       training samples seen when stopped early
    /trials/params/<name>           n       float64 or int64; of a categorical the position of the choice among those
                                            in the column's attribute ``choices`` (JSON)
    /trials/metrics/<name>          n       float64
    /optimizer/<name>               n [x k] float64, the optimizer's figures when it asked the trial
    /reports/number, position, score, n_scored, seconds    r    interim results, at training samples seen
    /reports/silent_rate/<layer>, spikes/<layer>           r
    /repeats/number, seed, split, score, n_scored, state, feasible, seconds q   further trainings of a trial's
                                            configuration
    /curves/<number>/<name>         float64, flat or rows of equal length
    /errors/<number>                text: reason and traceback
    /events/kind                    e       text: asked, started, reported, ended, repeated, session, closed, worker
    /events/number, at, rank        e       trial (or row of /reports, /repeats, place in /sessions, /workers), time,
                                            worker rank
    /sessions/<i>, /workers/<i>     attributes of each run of the program (``retraining``, JSON: what it trains again),
                                    and of each worker seen

Schema 1 is read too; ``schema_1`` says how it differs.

Names of hyperparameters, metrics and curves have ``/`` and ``%`` percent-encoded.
"""

from snnhpo_mpi.record.data import StudyData, Worker, read
from snnhpo_mpi.record.recovery import exists
from snnhpo_mpi.record.retraining import Candidate, Retraining
from snnhpo_mpi.record.writer import StudyRecord

__all__ = ["Candidate", "Retraining", "StudyData", "StudyRecord", "Worker", "exists", "read"]
