"""What ``published.md`` says of single networks: ``python measure_published.py MEASUREMENT``, see ``--help``.

    rows       24 evaluations of the paper's own log again at full size, under the published rule of stopping and ours
    readouts   each readout, at several sizes, on the same trained networks: held-out accuracy and seconds
    tables     print what both have measured, as the tables of ``published.md``
    search     print what a record of the search has so far: counts, feasible networks, each new best one

Hyperparameters: ``published/paper_log.csv``. Digits: MNIST's idx files below SNNHPO_DATA. One thread. Each finished
line is appended to a CSV file in ``published/``; lines that it has already are not measured again.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.config import StdpSettings, StudyConfig, load_config
from snnhpo_mpi.hyperparameters.networks import STDP_DECODERS
from snnhpo_mpi.record import read as read_record
from snnhpo_mpi.snn.data import Split, load
from snnhpo_mpi.snn.stdp.decode import Decoder, Known, fit_decoder, join
from snnhpo_mpi.snn.stdp.learner import StdpTask, build_network
from snnhpo_mpi.snn.stdp.readout import PUBLISHED_PIECE, PublishedReadout
from snnhpo_mpi.study.build import build_trainer
from snnhpo_mpi.trial import ParamValue, Trial, trial_seed

HERE = Path(__file__).parent
CONFIG = HERE.parents[1] / "configs/mnist_stdp.yaml"
FOLDER = HERE / "published"
TRACE = {"e_tc_trace": 20.0}  # [ms], which the published search did not vary
PUBLISHED_RULE = [f"stopping.{monitor}.{key}" for monitor in (0, 1) for key in ("rule=published", "check_every=1200")]
N_HELD = 12_000
AT_ONCE = {"trained": 32, "frozen": 256, "held": 256}  # samples, as in a trial
SIZES = (1_000, 10_000, 20_000, 48_000)
RULES = {"published": PUBLISHED_RULE, "sequential": []}


class Lines:
    """A CSV file that grows by a line at a time."""

    def __init__(self, name: str, keys: Sequence[str]) -> None:
        """Read what is there.

        Args:
            name: of the file.
            keys: columns that say which measurement a line is.
        """
        self._file, self._keys = FOLDER / f"{name}.csv", keys
        self._done: set[tuple[str, ...]] = set()
        if self._file.exists():
            with self._file.open(encoding="utf-8") as file:
                self._done = {tuple(line[key] for key in keys) for line in csv.DictReader(file)}

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        return tuple(map(str, key)) in self._done

    def add(self, line: dict[str, Any]) -> None:
        """Append one line, with the header if it is the first."""
        is_new = not self._file.exists()
        with self._file.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, line, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(line)
        self._done.add(tuple(str(line[key]) for key in self._keys))
        print(line, flush=True)


def paper_log() -> dict[int, dict[str, str]]:
    """The paper's evaluations by their row."""
    return {int(line["row"]): line for line in read("paper_log")}


def trial_of(line: dict[str, str], config: StudyConfig) -> Trial:
    """An evaluation of the paper's log as a trial of a study."""
    kinds = {"int": int, "float": float, "categorical": str}
    params: dict[str, ParamValue] = {
        name: kinds[parameter.type](line[name]) for name, parameter in config.space.items() if name not in TRACE
    }
    number = int(line["row"])
    return Trial(number, params | TRACE, trial_seed(config.study.seed, number))


def rows(rule: str, seed: int, only: Sequence[int], changes: Sequence[str]) -> None:
    """Evaluate the paper's rows with the published readout."""
    config = load_config(CONFIG, [f"study.seed={seed}", "trainer.readout=published", *RULES[rule], *changes])
    trainer = build_trainer(config, "cpu", lambda progress: None)
    lines = Lines("rows", ("row", "rule", "seed", "changes"))
    for number, line in paper_log().items():
        if (number, rule, seed, " ".join(changes)) in lines or (only and number not in only):
            continue
        started = time.process_time()
        outcome = trainer.evaluate(trial_of(line, config))
        given = {name: outcome.metrics.get(name) for name in ("train_accuracy", "n_samples", "spikes_excitatory")}
        silent = dict(zip(("silent_excitatory", "silent_inhibitory"), outcome.constraints, strict=True))
        lines.add(
            {"row": number, "rule": rule, "seed": seed, "changes": " ".join(changes)}
            | {f"paper_{name}": line[name] for name in ("held_out_accuracy", "stopped", *silent)}
            | {"state": str(outcome.state), "held_out_accuracy": outcome.metrics.get("accuracy"), **silent, **given}
            | {"cpu_seconds": round(time.process_time() - started, 1)}
        )


def readouts(seed: int, only: Sequence[int]) -> None:
    """Train each row once, and read the same network in every way with every decoder."""
    config = load_config(CONFIG, [f"study.seed={seed}"])
    assert isinstance(config.trainer, StdpSettings)
    settings, lines = config.trainer, Lines("readouts", ("row", "seed", "decoder", "readout", "readout_samples"))
    split = load(settings.dataset, seed, settings.encoding)
    log = paper_log()
    for number in only or log:
        if (number, seed, STDP_DECODERS[-1], "frozen", SIZES[-1]) in lines:
            continue
        trial = trial_of(log[number], config)
        spikes, seconds = spikes_of(trial, config, split)
        for decoder in STDP_DECODERS:
            for readout, n in [("published", 0), *((kind, n) for kind in ("latest", "frozen") for n in SIZES)]:
                if (number, seed, decoder, readout, n) in lines:
                    continue
                started = time.process_time()
                fitted = fit(decoder, readout, n, spikes, split.n_classes)
                fit_seconds = time.process_time() - started
                predicted = fitted.predict(spikes["held"][0])
                if readout == "published":
                    predicted = np.maximum(predicted, 0)
                lines.add(
                    {"row": number, **{key: trial.params[key] for key in ("map_size", "epochs")}, "seed": seed}
                    | {"decoder": decoder, "readout": readout, "readout_samples": n}
                    | {"held_out_accuracy": float(np.mean(predicted == spikes["held"][1]))}
                    | {"fit_seconds": round(fit_seconds, 2), "train_seconds": round(seconds["trained"], 1)}
                    | {"show_seconds": round(seconds["frozen"] * n / SIZES[-1] if readout == "frozen" else 0.0, 2)}
                )


def spikes_of(trial: Trial, config: StudyConfig, split: Split) -> tuple[dict[str, Known], dict[str, float]]:
    """Train as ``StdpLearner`` does, and show training and held-out samples with learning off.

    Returns:
        Excitatory spikes and classes of the whole training, of the training samples shown again and of the held-out
        ones; CPU seconds of each.
    """
    assert isinstance(config.trainer, StdpSettings)
    task, encoding = StdpTask(config, split, "cpu"), config.trainer.encoding
    params = {**task.defaults, **config.fixed, **trial.params}
    network = build_network(config.trainer, params, split.train_x[0].size, "cpu", trial.seed)
    order = task.learner(params, trial.seed).order
    epochs = [order(epoch) for epoch in range(1, int(params["epochs"]) + 2)]
    shown = {
        "trained": (split.train_x, split.train_y, np.concatenate(epochs[:-1])),
        "frozen": (split.train_x, split.train_y, epochs[-1]),
        "held": (split.held_x, split.held_y, np.arange(len(split.held_y))),
    }
    spikes, seconds = {}, {}
    for name, (x, y, which) in shown.items():
        started = time.process_time()
        parts = np.split(which, range(AT_ONCE[name], len(which), AT_ONCE[name]))
        if name == "trained":
            trains = [network.teach(x[part], encoding, 1) for part in parts]
        else:
            trains = [network.read(x[part], encoding) for part in parts]
        spikes[name] = join([one.excitatory for one in trains]), y[which]
        seconds[name] = time.process_time() - started
    return spikes, seconds


def fit(decoder: str, readout: str, n: int, spikes: dict[str, Known], n_classes: int) -> Decoder:
    """The decoder of one readout."""
    trains, classes = spikes["frozen" if readout == "frozen" else "trained"]
    match readout:
        case "frozen":
            trains, classes = trains.part(0, n), classes[:n]
        case "latest":
            trains, classes = trains.part(len(classes) - n, len(classes)), classes[-n:]
        case _:
            published, n_epoch = PublishedReadout(decoder, n_classes), len(spikes["frozen"][1])
            for first in range(0, len(classes), n_epoch):
                for begin in range(first, first + n_epoch, PUBLISHED_PIECE):
                    end = min(begin + PUBLISHED_PIECE, first + n_epoch)
                    published.observe(trains.part(begin, end), classes[begin:end])
                published.end_epoch()
            return published.fit()
    return fit_decoder(decoder, [(trains, classes)], n_classes)


def tables() -> None:
    """Print the paper's rows, then mean held-out accuracies of the readouts."""
    measured = read("rows")
    print("| row | decoder | paper: held out | published rule | sequential | paper: samples | published | sequential |")
    print("|---" * 8 + "|")
    for number, line in paper_log().items():
        mine = [one for one in measured if int(one["row"]) == number and not one["changes"]]
        by_rule = {rule: [one for one in mine if one["rule"] == rule] for rule in RULES}
        scores = [", ".join(_score(one["held_out_accuracy"]) for one in by_rule[rule]) for rule in RULES]
        after = [", ".join(f"{float(one['n_samples']):,.0f}" for one in by_rule[rule]) for rule in RULES]
        paper = "-" if line["stopped"] == "True" else f"{float(line['held_out_accuracy']):.3f}"
        seen = f"{int(line['processed_images']) - N_HELD:,}"
        print("|", " | ".join([str(number), line["decoder"], paper, *scores, seen, *after]), "|")
    measured = read("readouts")
    print("\n| readout | samples |", " | ".join(f"`{decoder}`" for decoder in STDP_DECODERS), "| show, s | fit, s |")
    print("|---" * (len(STDP_DECODERS) + 4) + "|")
    for kind, n in dict.fromkeys((one["readout"], one["readout_samples"]) for one in measured):
        found = [one for one in measured if (one["readout"], one["readout_samples"]) == (kind, n)]
        means = [_mean(found, "held_out_accuracy", decoder) for decoder in STDP_DECODERS]
        show, most = _mean(found, "show_seconds"), max(float(one["fit_seconds"]) for one in found)
        print("|", " | ".join([f"`{kind}`", f"{int(n):,}", *(f"{mean:.3f}" for mean in means)]), end=" | ")
        print(f"{show:.1f} | {most:.1f} |")


def search(run: Path) -> None:
    """Print the counts and the incumbents of a record."""
    frame = read_record(run).frame()
    ended = frame[frame["state"].isin(["completed", "stopped", "failed"])]
    constraints = [name for name in frame.columns if name.startswith("constraint_")]
    feasible = ended[(ended["state"] == "completed") & (ended[constraints] <= 0).all(axis=1)]
    hours = ended["seconds"].cumsum() / 3600
    print(
        f"{len(ended)} trials, {len(feasible)} feasible, {(ended['state'] == 'stopped').mean():.1%} stopped, ", end=""
    )
    print(f"{hours.iloc[-1]:.2f} worker-hours; first feasible: trial {feasible['number'].iloc[0]}", end="")
    print(f", 50th: trial {feasible['number'].iloc[49]}" if len(feasible) >= 50 else "")
    best = feasible["objective"].cummax()
    for row, one in feasible[best > best.shift(fill_value=-1.0)].iterrows():
        print(f"trial {one['number']}: {one['objective']:.4f} after {hours[row]:.2f} h, {one['params_decoder']}")


def _score(text: str) -> str:
    return f"{float(text):.3f}" if text else "-"


def _mean(lines: Sequence[dict[str, str]], column: str, decoder: str | None = None) -> float:
    return float(np.mean([float(line[column]) for line in lines if decoder in (None, line["decoder"])]))


def read(name: str) -> list[dict[str, str]]:
    """The lines of a CSV file."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rows", "readouts", "tables", "search"])
    parser.add_argument("--rule", choices=RULES, default="published", help="of stopping, for rows")
    parser.add_argument("--seed", type=int, default=1, help="of the study: split, initial weights, spikes")
    parser.add_argument("--rows", type=int, nargs="*", default=[], help="these rows of the paper's log alone")
    parser.add_argument("--run", type=Path, default=Path("results/published"), help="folder of the search's record")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the configuration")
    asked = parser.parse_args()
    match asked.what:
        case "rows":
            rows(asked.rule, asked.seed, asked.rows, asked.set)
        case "readouts":
            readouts(asked.seed, asked.rows)
        case "tables":
            tables()
        case "search":
            search(asked.run)
