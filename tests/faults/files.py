"""Full and read-only disks, damaged and foreign files, changed configurations, locks of living and dead runs."""

import contextlib
import io
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from faulty_study import LIMIT_S, Study, longest_stall
from kills import Cost, Make
from mpi_families import Family


class CannotMountError(Exception):
    """This user may not mount a file system."""


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of its own, full after so many kilobytes."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False) if shutil.which("mount") else None
    if done is None or done.returncode:
        raise CannotMountError(done.stderr.strip() if done else "no mount command")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def full_disk(make: Make, family: Family | None, rng: random.Random) -> Cost:
    """A clear error and exit 3, the journal valid to its last whole line; the study resumes when there is room."""
    cost = Cost(f"disk full, {family or 'without MPI'}", times=1)
    one = make(family, trials=40, seconds=0.1, seed=rng.randrange(1000))
    with small_disk(one.folder / "disk", 1024) as disk:
        one.results = disk / "results"
        process = one.start()
        one.wait_for(lambda: len(one.events("ended")) >= 5, process)
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"x" * 512):
                pass
        fell = time.monotonic()
        assert process.wait(LIMIT_S) == 3, one.output
        cost.add(0, time.monotonic() - fell)
        assert "No space left on device" in one.output and "Traceback" not in one.output, one.output
        one.wait_until_gone(LIMIT_S)
        acknowledged = one.acknowledged()  # reads the journal: every line is whole
        assert one.data().n_trials >= 5
        assert one.run("--resume") == 3, one.output  # still no room
        filler.unlink()
        assert one.run("--resume") == 0, one.output
        cost.add(one.check_whole(acknowledged), longest_stall(one.events()))
    return cost


def read_only_disk(make: Make, family: Family | None, rng: random.Random) -> Cost:
    """Nothing begins, nothing is harmed, everything is readable; the study resumes when it can be written."""
    cost = Cost(f"results read-only, {family or 'without MPI'}", times=2)
    one = make(family, trials=8, seconds=0.01, seed=rng.randrange(1000))
    with small_disk(one.folder / "disk", 1024) as disk:
        one.results = disk / "results"
        with read_only(disk):
            assert one.run() == 3, one.output
            assert "cannot write" in one.output and "Traceback" not in one.output, one.output
        assert one.run("--trials", "4") == 0, one.output
        acknowledged = one.acknowledged()
        with read_only(disk):
            assert one.run("--resume") == 3, one.output
            assert "Traceback" not in one.output, one.output
            assert one.data().n_trials == 4
        assert one.run("--resume") == 0, one.output
        cost.add(one.check_whole(acknowledged), longest_stall(one.events()))
    return cost


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """The disk mounted so that nobody can write, root neither."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


# Damage. A study that was killed has a journal that goes on behind its snapshot.


def _flip(path: Path, place: float) -> None:
    """One bit, at a share of the file."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 4
    path.write_bytes(bytes(content))


def _cut(path: Path, n_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:n_bytes])


TORN = "journal: last line cut"
RECOVERED: dict[str, Callable[[Path], object]] = {
    TORN: lambda folder: _cut(folder / "journal.jsonl", -9),
    "journal: a bit flipped in a line that study.h5 has": lambda folder: _flip(folder / "journal.jsonl", 0.3),
    "study.h5 missing": lambda folder: (folder / "study.h5").unlink(),
    "study.h5 cut": lambda folder: _cut(folder / "study.h5", 3000),
    "study.h5 empty": lambda folder: _cut(folder / "study.h5", 0),
    "study.h5 not HDF5": lambda folder: (folder / "study.h5").write_bytes(b"GIF89a" * 1000),
    "study.h5.new left by a kill": lambda folder: (folder / "study.h5.new").write_bytes(b"half"),
    "live.json garbage": lambda folder: (folder / "live.json").write_bytes(b"\xff{]"),
}
REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "journal: a bit flipped in the last line": (lambda f: _flip(f / "journal.jsonl", 0.999), "sed -i"),
    "both files garbage": (
        lambda f: [(f / name).write_bytes(b"garbage\n" * 99) for name in ("study.h5", "journal.jsonl")],
        "is lost",
    ),
    "another schema": (
        lambda f: [(f / "study.h5").unlink(), _reheaded(f / "journal.jsonl")],
        "schema 99",
    ),
}


def _reheaded(path: Path) -> None:
    """The journal as a later version of the program might begin it."""
    from snnhpo_mpi.record.entries import Header
    from snnhpo_mpi.record.journal import Journal

    Journal.write_new(path, [Header("id", "faulty", ("cliff",), 0.0, schema=99)]).close()


def killed_study(make: Make, rng: random.Random) -> Study:
    """A study of which half is recorded, the latest part in the journal only."""
    one = make(None, trials=16, seconds=0.05, seed=rng.randrange(1000))
    process = one.start("--set", "record.flush_every=1h")
    one.wait_for(lambda: len(one.events("ended")) >= 8, process)
    process.kill()
    one.wait_until_gone(LIMIT_S)
    assert one.run("--resume", "--trials", "10", "--set", "record.flush_every=1h") == 0, one.output  # a snapshot
    process = one.start("--resume", "--set", "record.flush_every=1h")
    one.wait_for(lambda: len(one.events("ended")) >= 13, process)
    process.kill()
    one.wait_until_gone(LIMIT_S)
    return one


def damaged_files(one: Study, copy: Path, kind: str) -> int:
    """Damage a copy of a killed study: it is read, and resumed without loss or refused unchanged; results lost."""
    two = Study(copy, None, trials=one.trials, seconds=one.seconds, seed=one.seed)
    shutil.copytree(one.folder, copy)
    acknowledged = two.acknowledged()
    damage, message = REFUSED[kind] if kind in REFUSED else (RECOVERED[kind], "")
    damage(two.record)
    if kind == TORN:  # as a crash leaves it while it writes: nobody has acted on that line
        acknowledged = two.acknowledged()
    before = _content(two.record)
    readable(two)
    code = two.run("--resume")
    assert "Traceback" not in two.output, two.output
    if message:
        assert code == 3 and message in two.output, (code, two.output)
        assert _content(two.record) == before
        return 0
    assert code == 0, two.output
    return two.check_whole(acknowledged)


def _content(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("journal.jsonl", "study.h5") if (folder / name).exists()]


def readable(one: Study) -> None:
    """Status and report say what there is, or why there is nothing: no crash."""
    from snnhpo_mpi import cli

    for command in (["status", str(one.record), "--json"], ["report", str(one.record), "--format", "html"]):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = cli.main(command)
        assert code in (0, 3), (command, code)


def second_run(make: Make, rng: random.Random, host: str | None) -> Cost:
    """Refused while the first runs, which goes on unharmed; killed, its lock is taken over with a notice."""
    cost = Cost(f"second run on a live study, from {'another host' if host else 'the same host'}", times=1)
    one = make(None, trials=9999, seconds=0.5, seed=rng.randrange(1000))
    first = one.start(**({"FAULTY_HOST": host} if host else {}))
    one.wait_for(lambda: len(one.events("ended")) >= 1, first)
    acknowledged = one.acknowledged()
    second = Study(one.folder, None)
    assert second.run("--resume") == 3
    assert "is in use: process" in one.output and (host or os.uname().nodename) in one.output
    assert first.poll() is None
    n_before = len(one.events("ended"))
    one.wait_for(lambda: len(one.events("ended")) > n_before, first)
    acknowledged |= one.acknowledged()
    first.kill()
    one.wait_until_gone(LIMIT_S)
    fell = time.monotonic()
    one.trials = len(one.events("asked")) + 3
    third = one.start("--resume", "--trials", str(one.trials))
    one.wait_for(lambda: "took over from process" in one.output, third)
    cost.add(0, time.monotonic() - fell)
    assert third.wait(LIMIT_S) == 0, one.output
    cost.add(one.check_whole(acknowledged), 0.0)
    return cost
