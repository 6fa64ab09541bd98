"""The long form of the fault tests: inject every fault many times, print what it cost, keep the table.

    python tests/faults/faults.py [--times 100] [--only WORD ...] [--mpi NAME] [--add]

The table in ``results/reference/reliability.md`` is renewed row by row, after each fault.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import endings  # noqa: E402
import evaluations  # noqa: E402
import files  # noqa: E402
import kills  # noqa: E402
from faulty_study import Study  # noqa: E402
from kills import Cost, Make  # noqa: E402
from mpi_families import families  # noqa: E402

from snnhpo_mpi.errors import SnnhpoError  # noqa: E402

REPORT = HERE.parents[1] / "results" / "reference" / "reliability.md"
BEGIN, END = "<!-- faults -->\n", "<!-- end of faults -->\n"
HEAD = "| fault | injected | results lost | longest stall [s] |\n|---|---:|---:|---:|\n"
Plan = Iterator[tuple[str, Callable[[Make, random.Random], Cost]]]


def plan(times: int, mpi: str | None) -> Plan:
    """Every fault: a word to choose it by, and how it is injected."""
    few, some = max(1, times // 20), max(1, times // 5)
    for family in families():
        if mpi not in (None, family.name):
            continue
        yield "rank_0", lambda make, rng, f=family: kills.kill_rank_0(make, f, times, rng)
        yield "worker", lambda make, rng, f=family: kills.kill_worker_rank(make, f, some, rng)
        if family.name == "openmpi":
            yield "recovery", lambda make, rng, f=family: kills.kill_worker_rank_with_recovery(make, f, some, rng)
        yield "evaluator", lambda make, rng, f=family: kills.kill_evaluators(make, f, some, rng)
        yield "halted", lambda make, rng, f=family: kills.halt_evaluators(make, f, few, rng)
        yield "bad", lambda make, rng, f=family: evaluations.bad_evaluations(make, f, few, rng)
        for number in endings.SIGNALS:
            yield "signal", lambda make, rng, f=family, n=number: endings.stop_by_signal(make, f, n, rng)
        for clock in endings.CLOCKS:
            yield "clock", lambda make, rng, f=family, c=clock: endings.stop_by_clock(make, f, c, rng)
        yield "cut", lambda make, rng, f=family: endings.cut_long_trial(make, f, rng)
        yield "disk", lambda make, rng, f=family: files.full_disk(make, f, rng)
        yield "read_only", lambda make, rng, f=family: files.read_only_disk(make, f, rng)
    yield "damage", damage
    for host in (None, "another-node"):
        yield "lock", lambda make, rng, h=host: files.second_run(make, rng, h)


def damage(make: Make, rng: random.Random) -> Cost:
    """Every kind of damage, each on a copy of one killed study."""
    kinds = (*files.RECOVERED, *files.REFUSED)
    one = files.killed_study(make, rng)
    lost = sum(files.damaged_files(one, one.folder / f"copy{i}", kind) for i, kind in enumerate(kinds))
    return Cost(f"files damaged, missing or foreign ({len(kinds)} kinds)", len(kinds), lost)


def row(cost: Cost) -> str:
    stall = f"{cost.stall_s:.1f}" if cost.stall_s else "-"
    return f"| {cost.fault} | {cost.times} | {cost.lost} | {stall} |\n"


def keep(cost: Cost, add: bool) -> None:
    """Put the row in the place of the fault's former one, or at the end; with ``add``, counted on top of that."""
    before, _, rest = REPORT.read_text().partition(BEGIN)
    table, _, after = rest.partition(END)
    rows = table.removeprefix(HEAD).splitlines(keepends=True)
    same = [i for i, old in enumerate(rows) if old.startswith(f"| {cost.fault} |")]
    if same and add:
        times, lost, stall = (part.strip() for part in rows[same[0]].split("|")[2:5])
        worst_s = max(cost.stall_s, 0.0 if stall == "-" else float(stall))
        cost = Cost(cost.fault, cost.times + int(times), cost.lost + int(lost), worst_s)
    rows[same[0] if same else len(rows) :] = [row(cost), *(rows[same[0] + 1 :] if same else [])]
    REPORT.write_text(before + BEGIN + HEAD + "".join(rows) + END + after)


def main() -> int:
    """The exit code is 1 if any result was lost or any fault was not survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100, help="kills of rank 0 under each MPI; others in proportion")
    parser.add_argument("--only", nargs="+", default=[], help="words: rank_0, worker, recovery, evaluator, ...")
    parser.add_argument("--mpi", choices=["mpich", "openmpi"], help="under this one only")
    parser.add_argument("--add", action="store_true", help="count on top of the rows that are there")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    print(f"seed {args.seed}\n{HEAD}", end="", flush=True)
    n_bad = 0
    for number, (word, inject) in enumerate(plan(args.times, args.mpi)):
        if args.only and word not in args.only:
            continue
        with tempfile.TemporaryDirectory(prefix="faults", ignore_cleanup_errors=True) as folder:
            made: list[Study] = []

            def make(family: object, folder: str = folder, made: list[Study] = made, **changes: object) -> Study:
                made.append(Study(Path(folder).resolve() / f"study{len(made)}", family, **changes))
                made[-1].write()
                return made[-1]

            try:
                cost = inject(make, random.Random(args.seed + number))
            except files.CannotMountError as error:
                print(f"{word}: skipped, a small disk cannot be mounted: {error}", flush=True)
                continue
            except (AssertionError, SnnhpoError) as error:
                print(f"{word}: NOT SURVIVED: {error}", flush=True)
                n_bad += 1
                continue
            finally:
                for one in made:
                    one.kill_everything()
        print(row(cost), end="", flush=True)
        keep(cost, args.add)
        n_bad += cost.lost
    return n_bad > 0


if __name__ == "__main__":
    sys.exit(main())
