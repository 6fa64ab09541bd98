"""Make a table of real trainings, a third each by design, by searches and around the best, and some of them repeated.

    python make.py measure snn_stdp snn_stdp.jsonl          # stops at any moment, goes on where it was
    python make.py tables snn_stdp snn_stdp.jsonl           # the tables that are shipped
    python make.py fit snn_stdp                             # what the problems of the benchmark need besides

One process and one thread (set OMP_NUM_THREADS=1). Each configuration is one line, on the disk before the next begins.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fit import write_fit
from measure import measured
from tables import write_tables

from snnhpo_mpi.bench.baselines import BotorchScbo
from snnhpo_mpi.bench.optimizer import Asker
from snnhpo_mpi.config import StudyConfig, load_config
from snnhpo_mpi.optim.optuna_search import OptunaSearch
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.optim.sobol import SobolSearch
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.build import build_trainer
from snnhpo_mpi.trial import ACCURACY, Outcome, State, Trial, trial_seed

HERE = Path(__file__).resolve().parent
SHIPPED = HERE.parents[2] / "snnhpo_mpi" / "bench" / "tables"  # links, so that the package has what it needs
N_EACH = 270  # of the design, of the searches together, and of the points around the best
SEARCHES = ("scbo", "optuna_tpe", "botorch_scbo")
N_INITIAL = 20  # of each search
N_CENTRES, MOVED_SHARE, STEP = 20, 0.3, 0.15  # around the best: how many, share of columns moved, standard deviation
N_ROUNDS = 3  # each of a third of the points, so that a table that was cut off is a small one of the same kind
# Configurations trained again after each round: of the best 60, of the other feasible ones, of the edge of silence.
N_REPEATED, N_REPEATS = (8, 5, 4), 4  # and how often each
Asked = dict[str, Any]
SEED, SEARCH_SEED = 1, 2  # of the design and of everything else; of the searches, which begin with other points


def plan(config: StudyConfig, past: list[dict[str, Any]], known: Sequence[dict[str, Any]] = ()) -> Iterator[Asked]:
    """What to measure, in order; ``past`` grows by each answer before the next is asked for.

    What was measured before is ``known``: it is not asked again, because another processor rounds otherwise. A search
    that goes on knows what it had been told, and draws anew.
    """
    space = Space(config.space)
    askers = {name: _asker(name, space, len(config.constraint_names)) for name in ("sobol", *SEARCHES)}
    for turn in range(N_EACH):
        for name in ("sobol", SEARCHES[turn % len(SEARCHES)]):
            number = len(past)
            if number < len(known):
                first = turn if name == "sobol" else turn // len(SEARCHES)
                trial = Trial(first, known[number]["params"], known[number]["seed"])
                askers[name].adopt(trial)
            else:
                trial = askers[name].ask().trial
            yield {"trial": number, "source": name, "params": dict(trial.params)}
            askers[name].tell(_told(trial.number, past[number]))
        if (turn + 1) % (N_EACH // N_ROUNDS) == 0:
            yield from _around(config, space, past)


def _around(config: StudyConfig, space: Space, past: list[dict[str, Any]]) -> Iterator[Asked]:
    """A round of points around the best, then of repeats."""
    for _ in range(N_EACH // N_ROUNDS):
        yield {"trial": len(past), "source": "near", "params": _near(space, past)}
    for number in _repeated(config, past):
        for _ in range(N_REPEATS):
            yield {"trial": len(past), "source": "repeat", "repeats": number, "params": past[number]["params"]}


def _asker(name: str, space: Space, n_constraints: int) -> Asker:
    match name:
        case "sobol":
            return SobolSearch(space, SEED)
        case "scbo":
            return ScboSearch(space, n_constraints, SEARCH_SEED, N_INITIAL)
        case "optuna_tpe":
            return OptunaSearch(name, space, n_constraints, SEARCH_SEED, N_INITIAL)
        case _:
            return BotorchScbo(space, n_constraints, SEARCH_SEED, N_INITIAL, 10, noisy=True)


def _told(number: int, row: dict[str, Any]) -> Outcome:
    """What a search with the configuration's monitors would have been told."""
    if row["state"] == "failed":
        return Outcome(number, State.FAILED, error=row["error"])
    seen = row["stopped"]
    if seen["at"] is None:
        return Outcome(number, State.COMPLETED, {ACCURACY: row["score"]}, tuple(seen["constraints"]))
    return Outcome(number, State.STOPPED, {ACCURACY: seen["score"]}, tuple(seen["constraints"]))


def _feasible(past: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that a search would call feasible, the best first; no repeats."""
    found = [row for row in past if row["source"] != "repeat" and _told(0, row).feasible]
    return sorted(found, key=lambda row: -row["score"])


def _near(space: Space, past: list[dict[str, Any]]) -> dict[str, Any]:
    """One of the best with some of its hyperparameters moved; follows from the rows before."""
    rng = np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=(len(past), 0)))
    x = space.encode(rng.choice(_feasible(past)[:N_CENTRES])["params"])
    moved = rng.random(len(space.names)) < MOVED_SHARE
    moved[rng.integers(len(moved))] = True
    for name in np.array(space.names)[moved]:
        columns = space.columns[name]
        width = columns.stop - columns.start
        x[columns] = rng.random(width) if width > 1 else np.clip(x[columns] + STEP * rng.standard_normal(), 0, 1)
    return space.decode(x)


def _repeated(config: StudyConfig, past: list[dict[str, Any]]) -> list[int]:
    """Numbers of configurations to train again, spread by rank; none twice."""
    done = {row["repeats"] for row in past if row["source"] == "repeat"}
    new = [row for row in past if row["source"] != "repeat" and row["trial"] not in done]
    best = _feasible(new)
    others = [row for row in new if row["state"] == "completed" and row["stopped"]["at"] is not None]
    edge = sorted(others, key=lambda row: max(_final_silence(config, row)))
    parts = zip((best[:60], best[60:], edge[: len(edge) // 3]), N_REPEATED, strict=True)
    return [part[place]["trial"] for part, n in parts for place in np.linspace(0, len(part) - 1, n).astype(int)]


def _final_silence(config: StudyConfig, row: dict[str, Any]) -> list[float]:
    """What each layer's share of silent samples exceeds its beta by, over the whole training."""
    curve = row["curve"]
    return [curve[f"silent_{one.layer}"][-1] / curve["samples"][-1] - one.beta for one in config.stopping]


def measure(config: StudyConfig, lines: Path) -> None:
    """Append a line for each configuration that has none."""
    text = lines.read_bytes() if lines.exists() else b""
    whole = text[: text.rfind(b"\n") + 1]  # a last line that was cut off is measured again
    known, past = [json.loads(line) for line in whole.splitlines()], []
    trainer = build_trainer(config, "cpu", lambda progress: None)
    with lines.open("r+b" if lines.exists() else "w+b") as file:
        file.truncate(len(whole))
        file.seek(0, os.SEEK_END)
        for asked in plan(config, past, known):
            if len(past) < len(known):
                _check(asked, known[len(past)])
                past.append(known[len(past)])
                continue
            seed = trial_seed(SEED, asked["trial"])
            row = asked | {"seed": seed} | measured(trainer, config, Trial(asked["trial"], asked["params"], seed))
            file.write(json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            past.append(row)
            print(row["trial"], row["source"], row["state"], row.get("score"), f"{row['seconds']:.2f} s", flush=True)


def _check(asked: Asked, known: Asked) -> None:
    """The order of a table is fixed, but for the last bits of what another processor computes."""
    same = all(
        math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) else a == b
        for a, b in zip(asked["params"].values(), known["params"].values(), strict=True)
    )
    if not same or asked["source"] != known["source"]:
        raise SystemExit(f"line {known['trial'] + 1}: {asked['source']} would now ask {asked['params']}")


def _ship(name: str) -> None:
    for ending in (".yaml", ".json", ".csv.gz", "_curves.csv.gz"):
        link = SHIPPED / f"{name}{ending}"
        if not link.is_symlink():
            link.symlink_to(Path("../../..") / HERE.relative_to(HERE.parents[2]) / link.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "tables", "fit"))
    parser.add_argument("name", choices=("snn_stdp", "snn_slayer"))
    parser.add_argument("lines", type=Path, nargs="?", help="a JSON line for each configuration")
    arguments = parser.parse_args()
    if arguments.lines is None and arguments.what != "fit":
        parser.error(f"{arguments.what} needs the file with a line for each configuration")
    config = load_config(HERE / f"{arguments.name}.yaml")
    if arguments.what == "measure":
        measure(config, arguments.lines)
    elif arguments.what == "fit":
        write_fit(arguments.name, HERE)
        _ship(arguments.name)
    else:
        write_tables(config, arguments.lines, HERE / arguments.name)


if __name__ == "__main__":
    main()
