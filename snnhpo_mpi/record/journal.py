"""The journal: one checksummed JSON line an entry, on the disk before anybody acts on it.

A line is ``{"n":17,"kind":...,"crc32":"9f3c01ab"}``: its number in the file, the entry, and the CRC-32 of the line
without the last member. Lines are only ever added. A write that was cut (power, a full disk) leaves a torn last line,
which is cut off again; any other damage is told by checksum and number.
"""

from __future__ import annotations

import os
import re
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from snnhpo_mpi import codec
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.host.atomic_write import atomic_write
from snnhpo_mpi.record.aside import copy_aside
from snnhpo_mpi.record.entries import Entry, from_json, to_json

FILE_NAME = "journal.jsonl"
_CHECKSUM = re.compile(rb',"crc32":"([0-9a-f]{8})"}$')
_NUMBER = re.compile(rb'\{"n":(\d+),')


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file.

    Attributes:
        text: without its newline.
        start, end: its bytes in the file, newline included.
        n: its number; None if the line is damaged.
        torn: it is the last one and has no newline: still being written, or cut.
    """

    text: bytes
    start: int
    end: int
    n: int | None
    torn: bool = False

    def entry(self) -> Entry:
        """What the line says.

        Raises:
            RecordError: whole, but not an entry that this version knows.
        """
        try:
            return from_json(self.text)
        except ValueError as error:
            raise RecordError(
                f"line {self.n} of {FILE_NAME} is whole but not understood ({error}): "
                "it was written by another version of this program"
            ) from None


def format_line(n: int, entry: Entry) -> bytes:
    """The line of an entry, newline included."""
    body = codec.write({"n": n, **to_json(entry)})
    return b'%s,"crc32":"%08x"}\n' % (body[:-1], zlib.crc32(body))


def scan(path: Path, start: int = 0, stop: int | None = None) -> Iterator[Line]:
    """The lines from byte ``start`` to ``stop`` (beginnings of lines; else all), checked but not parsed."""
    with path.open("rb") as file:
        yield from _lines(file, start, stop)


def _lines(file: BinaryIO, start: int = 0, stop: int | None = None) -> Iterator[Line]:
    file.seek(start)
    for text in file:
        if stop is not None and start >= stop:
            return
        end = start + len(text)
        bare = text.removesuffix(b"\n")
        yield Line(bare, start, end, _checked_number(bare), torn=len(bare) == len(text))
        start = end


def _checked_number(text: bytes) -> int | None:
    checksum, number = _CHECKSUM.search(text[-24:]), _NUMBER.match(text)
    if checksum is None or number is None:
        return None
    body = text[: -len(checksum.group(0))]
    whole = zlib.crc32(b"}", zlib.crc32(body)) == int(checksum.group(1), 16)
    return int(number.group(1)) if whole else None


class Journal:
    """The journal opened for adding; only the holder of the study's lock may have one.

    Somebody may edit, replace, cut or delete the file meanwhile. The writer notices, because it knows the file's
    identity, its size and the CRC-32 of each of its lines, and can put back what is missing.

    Attributes:
        path: of the file.
        n_bytes, n_lines: that were written.
    """

    def __init__(self, path: Path, n_lines: int) -> None:
        """Opens an existing file of ``n_lines`` whole lines, at whose end the next one goes."""
        self.path = path
        self._recent: dict[int, bytes] = {}  # lines that no snapshot has yet, by number
        self._open(n_lines)

    def _open(self, n_lines: int) -> None:
        self._fd = os.open(self.path, os.O_RDWR)
        self._marks = array("I", (zlib.crc32(line.text) for line in scan(self.path)))
        self.n_bytes = os.lseek(self._fd, 0, os.SEEK_END)
        self.n_lines = n_lines

    @staticmethod
    def write_new(path: Path, entries: Iterable[Entry]) -> Journal:
        """A journal of these entries in the place of any other, which stays until this one is complete."""
        return Journal(path, _replace(path, (format_line(n, entry) for n, entry in enumerate(entries))))

    def append(self, entries: Iterable[Entry]) -> None:
        """Adds entries with one write; returns when they are on the disk (fsync).

        Raises:
            RecordError: the disk is full or gone; the journal then ends with the last line before this call.
        """
        lines = {n: format_line(n, entry) for n, entry in enumerate(entries, start=self.n_lines)}
        data = memoryview(b"".join(lines.values()))
        try:
            written = 0
            while written < len(data):
                written += os.write(self._fd, data[written:])
            os.fsync(self._fd)
        except BaseException as error:
            self._cut_back()
            if not isinstance(error, OSError):
                raise  # a signal: the caller is told that nothing was recorded, and nothing is
            raise RecordError(
                f"cannot write {self.path}: {error.strerror}; all that was recorded before is whole: "
                "make room (or the folder writable) and go on with --resume"
            ) from error
        self.n_bytes += len(data)
        self.n_lines += len(lines)
        self._marks.extend(zlib.crc32(line[:-1]) for line in lines.values())
        self._recent |= lines

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._fd, self.n_bytes)
            os.lseek(self._fd, self.n_bytes, os.SEEK_SET)
        except OSError:
            return  # the torn line is cut when the study is opened again

    def forget(self, n_lines: int) -> None:
        """Keeps no copy of the first lines in memory any longer: a snapshot has them."""
        self._recent = {n: line for n, line in self._recent.items() if n >= n_lines}

    def change(self) -> str | None:
        """What somebody else has done to the file since the latest write, as far as identity and size tell; or None.

        A network file system may be late to show what other machines write, never what this one wrote.
        """
        try:
            there, mine = self.path.stat(), os.fstat(self._fd)
        except FileNotFoundError:
            return "was deleted"
        except OSError as error:  # such as a stale handle of NFS: another machine deleted the file
            return f"cannot be looked at ({error.strerror})"
        if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            return "was replaced by another file"
        if mine.st_size != self.n_bytes:
            return f"has {mine.st_size} bytes in the place of {self.n_bytes}"
        return None

    def is_whole(self) -> bool:
        """Whether every line that was written is in the file, in its place. Reads all of it."""
        numbers = (n for n, _ in self._own_lines(self.path))
        return self.change() is None and all(n == due for n, due in zip_longest(numbers, range(self.n_lines)))

    def restore(self, missing: Callable[[int], Entry]) -> Path | None:
        """Makes the file again what was written, from all lines that are found.

        They are looked for in the file, in the one that was deleted or replaced (it is still open), and in memory.

        Args:
            missing: makes an entry that is nowhere among these, from its number.

        Returns:
            Where a copy is kept of what stood in the place of the journal; None if it was nothing that is not put back.

        Raises:
            OSError: the disk is full or gone.
            RecordError: of ``missing``.
        """
        there = dict(self._own_lines(self.path))
        lines = {**there, **dict(self._own_lines(self._fd)), **self._recent}
        foreign = self.path.exists() and self.path.stat().st_size > sum(map(len, there.values()))
        whole = (lines[n] if n in lines else format_line(n, missing(n)) for n in range(self.n_lines))
        kept = copy_aside(self.path) if foreign else None
        _replace(self.path, whole)
        os.close(self._fd)
        self._open(self.n_lines)
        return kept

    def _own_lines(self, source: Path | int) -> Iterator[tuple[int, bytes]]:
        """The lines of a file, or of an open one, that this journal wrote, with their numbers."""
        try:
            with os.fdopen(os.dup(source), "rb") if isinstance(source, int) else source.open("rb") as file:
                for line in _lines(file):
                    if line.n is None or line.n >= len(self._marks):
                        continue
                    if zlib.crc32(line.text) == self._marks[line.n]:
                        yield line.n, line.text + b"\n"
        except OSError:
            return  # deleted, on whichever machine

    def close(self) -> None:
        """Closes the file; nothing is left to write."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _replace(path: Path, lines: Iterable[bytes]) -> int:
    """Puts a file of these lines in the place of any other, which stays until this one is complete; their number."""
    n = 0
    with atomic_write(path, durable=True) as new, new.open("wb") as file:
        for line in lines:
            file.write(line)
            n += 1
    return n


def cut(path: Path, n_bytes: int) -> None:
    """Cuts a torn last line off, durably."""
    with path.open("rb+") as file:
        file.truncate(n_bytes)
        os.fsync(file.fileno())
