"""``study.h5``: a snapshot of the study up to some line of the journal, replaced as a whole.

A new snapshot is the last one plus what is new, put together in memory, written beside it, brought to the disk and
renamed; so at any moment the file opens and is consistent. HDF5 itself never writes to the disk: it does not survive
one that is full, and makes many small writes where network file systems like a large one. Its own locks are not used:
they fail or hang on many of them. The file format is that of HDF5 1.8, which old readers know as well.
"""

from __future__ import annotations

import io
import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi import codec
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.host.atomic_write import atomic_write
from snnhpo_mpi.record.columns import attributes
from snnhpo_mpi.record.entries import SCHEMA, Closed, Header, Session, WorkerSeen
from snnhpo_mpi.record.retraining import Retraining
from snnhpo_mpi.record.schema_1 import upgraded
from snnhpo_mpi.record.table import METRICS, OBJECTIVES, PARAMS, SILENT, SPIKES, Column, Extras, SessionSpan, Table
from snnhpo_mpi.trial import ACCURACY, ParamValue

if TYPE_CHECKING:
    import h5py

log = logging.getLogger(__name__)

FILE_NAME = "study.h5"
_GROUPS = ("trials", "optimizer", "reports", "repeats", "events")
_DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError)  # what h5py raises on a damaged or foreign file
_ROWS_PER_CHUNK = 512


def save(path: Path, table: Table, extras: Extras, journal_bytes: int, *, anew: bool) -> None:
    """Replaces the snapshot.

    Args:
        path: the ``study.h5``.
        table: the whole study.
        extras: curves and errors that the present snapshot has not; with ``anew``, all of them.
        journal_bytes: length of the journal up to which ``table`` goes.
        anew: start from nothing instead of from the present snapshot.

    Raises:
        OSError: the disk is full or gone; the present snapshot is untouched.
    """
    try:
        image = io.BytesIO(b"" if anew else path.read_bytes())
        with _opened(image, "w" if anew else "r+", libver=("v108", "v108")) as file:
            config = table.sessions[-1].began.config if table.sessions else {}
            for name, column in table.columns.items():
                _write_column(file, _escaped(name), column, attributes(name, config))
            _link_objective(file, table.header.objective_names[0])
            for name, choices in table.choices.items():
                _write_choices(file, _escaped(f"{PARAMS}{name}"), choices)
            _write_extras(file, extras)
            _write_facts(file, table, journal_bytes)
        with atomic_write(path, durable=True) as new:
            new.write_bytes(image.getbuffer())
    except (OSError, RuntimeError, ValueError, MemoryError) as error:  # a damaged file is told in several ways
        raise OSError(f"{path} was not renewed: {error}") from error


def load(path: Path) -> tuple[Table, int]:
    """The study as of the snapshot, and the length in bytes of the journal up to which it goes.

    Raises:
        FileNotFoundError: there is no snapshot.
        RecordError: it is damaged, foreign, or of another schema.
    """
    try:
        with _opened(path, "r", locking=False) as file:
            if (schema := int(file.attrs["schema"])) > SCHEMA:
                raise RecordError(f"{path} has schema {schema}; this version of the program reads up to {SCHEMA}")
            columns: dict[str, Column] = {}
            choices: dict[str, tuple[ParamValue, ...]] = {}
            for group in _GROUPS:
                if group in file:
                    _read_columns(file[group], group, columns, choices)
            header, sessions, workers = _read_facts(file)
            if header.schema == 1:
                columns, texts = upgraded(columns, sessions[-1].began.config if sessions else {})
                choices |= texts
            row = {int(number): i for i, number in enumerate(columns.get("trials/number", ()))}
            return Table(header, columns, row, choices, sessions, workers), int(file.attrs["journal_bytes"])
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise RecordError(f"{path} cannot be read: permission denied") from error
    except _DAMAGE as error:
        log.debug("%s: %r", path, error)
        raise RecordError(f"{path} is damaged, or no study record") from error


def load_curves(path: Path, number: int) -> dict[str, NDArray[np.float64]]:
    """The curves of a trial, none if it has none."""
    with _opened(path, "r", locking=False) as file:
        group = file.get(f"curves/{number}") or {}
        return {_unescaped(name): np.asarray(dataset[()], np.float64) for name, dataset in group.items()}


def load_errors(path: Path, number: int | None = None) -> dict[int, str]:
    """Error texts by number of trial, of all trials or of one."""
    with _opened(path, "r", locking=False) as file:
        group = file.get("errors") or {}
        numbers = group if number is None else [str(number)] if str(number) in group else []
        return {int(key): group[key][()].decode("utf-8", "replace") for key in numbers}


def _opened(source: Path | io.BytesIO, mode: str, **options: Any) -> h5py.File:
    import h5py  # here, because worker ranks import this file and never open one: it takes 11 MB

    return h5py.File(source, mode, **options)


def _write_column(file: h5py.File, name: str, column: Column, explained: Mapping[str, str]) -> None:
    dataset = file.get(name)
    if dataset is not None and (dataset.dtype != column.dtype or dataset.shape[1:] != column.shape[1:]):
        del file[name]
        dataset = None
    if dataset is None:
        chunks = (_ROWS_PER_CHUNK, *column.shape[1:])
        maxshape = (None, *column.shape[1:])
        dataset = file.create_dataset(name, data=column, chunks=chunks, maxshape=maxshape, fletcher32=True)
        dataset.attrs.update({key: _text(fact) for key, fact in explained.items()})
    else:
        dataset.resize(len(column), axis=0)
        dataset[...] = column


def _link_objective(file: h5py.File, name: str) -> None:
    """Gives the first objective the name ``/trials/objective`` too, for readers that show one."""
    from h5py import SoftLink

    place = _escaped(f"{OBJECTIVES}{name}")
    if place in file and "trials/objective" not in file:
        file["trials/objective"] = SoftLink(f"/{place}")


def _write_choices(file: h5py.File, name: str, choices: Sequence[ParamValue]) -> None:
    """What the numbers of a column stand for, as a JSON list: that tells 1 from "1" and keeps any text.

    HDF5 has no checksum for attributes, so there is one of ours.
    """
    text = json.dumps(choices)
    if name in file and file[name].attrs.get("choices") != text:
        file[name].attrs.update({"choices": text, "choices_crc32": zlib.crc32(text.encode())})


def _read_choices(attrs: Mapping[str, Any]) -> tuple[ParamValue, ...]:
    text = str(attrs["choices"])
    if zlib.crc32(text.encode()) != attrs["choices_crc32"]:
        raise ValueError("the choices of a hyperparameter are damaged")
    return tuple(json.loads(text))


def _write_extras(file: h5py.File, extras: Extras) -> None:
    from h5py import h5d, h5g, h5p, h5s, h5t  # without h5py's own layer: thousands of curves take half the time

    named = h5p.create(h5p.LINK_CREATE)
    named.set_char_encoding(h5t.CSET_UTF8)
    parent = file.require_group("curves").id if extras.curves else None
    for number, curves in extras.curves.items():
        group = h5g.create(parent, str(number).encode())
        for name, curve in curves.items():
            values = np.ascontiguousarray(curve, np.float64)
            extent = h5s.create_simple(values.shape)
            dataset = h5d.create(group, _escaped(name, whole=True).encode(), h5t.IEEE_F64LE, extent, lcpl=named)
            dataset.write(h5s.ALL, h5s.ALL, values)
    for number, error in extras.errors.items():
        file.create_dataset(f"errors/{number}", data=_text(error))


def _write_facts(file: h5py.File, table: Table, journal_bytes: int) -> None:
    header = table.header
    facts: dict[str, str | int | float] = {}
    if table.sessions:
        latest = table.sessions[-1].began
        facts |= {
            key: fact if isinstance(fact, int | float) else _text(fact) for key, fact in latest.provenance.items()
        }
        facts |= {"config_text": _text(latest.config_text), "resolved_config": _text(latest.config)}
    facts |= {"schema": SCHEMA, "study_id": header.study_id, "name": header.name, "created": header.at}
    facts |= {"constraint_names": _text(header.constraint_names), "objective_names": _text(header.objective_names)}
    facts |= {"journal_bytes": journal_bytes}
    facts |= {"hosts": _text(sorted({worker.host for worker in table.workers}))}
    file.attrs.update(facts)
    for i, span in enumerate(table.sessions):
        _write_session(file.require_group(f"sessions/{i}"), span)
    for i, worker in enumerate(table.workers[_n_groups(file, "workers") :], start=_n_groups(file, "workers")):
        group = file.create_group(f"workers/{i}")
        where = {"host": _text(worker.host), "device": _text(worker.device)}
        group.attrs.update({"rank": worker.rank, "at": worker.at, **where})


def _text(fact: object) -> str:
    """Text as HDF5 takes it; anything else as JSON."""
    text = fact if isinstance(fact, str) else json.dumps(fact)
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\\0")


def _write_session(group: h5py.Group, span: SessionSpan) -> None:
    if "at" not in group.attrs:
        group.attrs["at"] = span.began.at
        group.attrs["config_text"] = _text(span.began.config_text)
        group.attrs["config"] = _text(span.began.config)
        group.attrs["provenance"] = _text(span.began.provenance)
        if span.began.retraining is not None:
            group.attrs["retraining"] = codec.write(span.began.retraining).decode()
    if span.closed and "state" not in group.attrs:
        group.attrs["state"] = span.closed.state
        group.attrs["closed_at"] = span.closed.at


def _read_columns(
    group: h5py.Group, prefix: str, columns: dict[str, Column], choices: dict[str, tuple[ParamValue, ...]]
) -> None:
    from h5py import SoftLink

    for name in group:
        if isinstance(group.get(name, getlink=True), SoftLink):
            continue
        item = group[name]
        place = f"{prefix}/{_unescaped(name)}"
        if hasattr(item, "keys"):  # a group
            _read_columns(item, place, columns, choices)
        else:
            columns[place] = item[()]
            if "choices_crc32" in item.attrs:
                choices[place.removeprefix(PARAMS)] = _read_choices(item.attrs)


def _read_facts(file: h5py.File) -> tuple[Header, tuple[SessionSpan, ...], tuple[WorkerSeen, ...]]:
    attrs = file.attrs
    names = tuple(json.loads(attrs["constraint_names"]))
    is_named = "objective_names" in attrs  # else it is of schema 1, or of 2 before objectives had names: read alike
    objectives = tuple(json.loads(attrs["objective_names"])) if is_named else (ACCURACY,)
    study_id, name, created = str(attrs["study_id"]), str(attrs["name"]), float(attrs["created"])
    header = Header(study_id, name, names, created, int(attrs["schema"]) if is_named else 1, objectives)
    sessions = tuple(_read_session(file[f"sessions/{i}"].attrs, header) for i in range(_n_groups(file, "sessions")))
    workers = tuple(_read_worker(file[f"workers/{i}"].attrs) for i in range(_n_groups(file, "workers")))
    return header, sessions, workers


def _read_session(attrs: Mapping[str, Any], header: Header) -> SessionSpan:
    config, provenance = json.loads(attrs["config"]), json.loads(attrs["provenance"])
    again = codec.read(Retraining, str(attrs["retraining"]).encode()) if "retraining" in attrs else None
    began = Session(float(attrs["at"]), str(attrs["config_text"]), config, provenance, header, again)
    return SessionSpan(began, Closed(str(attrs["state"]), float(attrs["closed_at"])) if "state" in attrs else None)


def _read_worker(attrs: Mapping[str, Any]) -> WorkerSeen:
    return WorkerSeen(int(attrs["rank"]), str(attrs["host"]), str(attrs["device"]), float(attrs["at"]))


def _n_groups(file: h5py.File, name: str) -> int:
    return len(file[name]) if name in file else 0


def _escaped(name: str, *, whole: bool = False) -> str:
    """A name that HDF5 takes as one link: hyperparameters and metrics may be called anything.

    Args:
        name: a column's place, whose first two parts are ours; or with ``whole`` one free name.
        whole: escape all of it.
    """
    if whole:
        safe = name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
        return safe.replace(".", "%2E") if not safe.strip(".") else safe
    for prefix in (PARAMS, METRICS, OBJECTIVES, SILENT, SPIKES, *(f"{group}/" for group in _GROUPS)):
        if name.startswith(prefix):
            return prefix + _escaped(name.removeprefix(prefix), whole=True)
    raise ValueError(f"column {name!r} has no place in the file")


def _unescaped(name: str) -> str:
    return unquote(name)
