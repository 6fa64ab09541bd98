"""From the lines of measured configurations to the tables that are shipped; README.md says what each column is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from snnhpo_mpi.bench.tabulated import size_of
from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.snn.data import load
from snnhpo_mpi.snn.encode import encoded, spike_generator

DIGITS = 6  # significant ones of what is not a count or a hyperparameter
Row = dict[str, Any]


def write_tables(config: StudyConfig, lines: Path, base: Path) -> None:
    """``base``.csv.gz, ``base``_curves.csv.gz and ``base``_stopping.csv."""
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    n_inputs = _input_spikes(config)
    _write([_training(config, row, n_inputs) for row in rows], base.with_name(f"{base.name}.csv.gz"))
    _write([point for row in rows for point in _curve(row)], base.with_name(f"{base.name}_curves.csv.gz"))
    searched = [row for row in rows if row["source"] != "repeat"]
    _write([point for row in searched for point in _reports(row)], base.with_name(f"{base.name}_stopping.csv"))


def _write(rows: list[Row], path: Path) -> None:
    frame = pd.DataFrame(rows)
    for name in frame.columns:
        whole = pd.api.types.is_float_dtype(frame[name]) and (frame[name].dropna() % 1 == 0).all()
        frame[name] = frame[name].astype("Int64") if whole and name not in ("score", "objective") else frame[name]
    compression: Any = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    frame.to_csv(path, index=False, compression=compression, lineterminator="\n")


def _input_spikes(config: StudyConfig) -> float:
    """Mean spikes that a training sample is encoded to."""
    trainer = config.trainer
    images = load(trainer.dataset, config.study.seed, trainer.encoding).train_x
    generator = spike_generator(0, torch.device("cpu"))
    parts = (torch.from_numpy(images[rows]) for rows in np.array_split(np.arange(len(images)), 30))
    return sum(float(encoded(part, trainer.encoding, generator).sum()) for part in parts) / len(images)


def _training(config: StudyConfig, row: Row, n_inputs: float) -> Row:
    """The row of one training."""
    first = {name: row.get(name) for name in ("trial", "source", "repeats", "seed")} | row["params"]
    if row["state"] == "failed":
        return first | {"state": "failed", "seconds": _short(row["seconds"])}
    last = _last_epoch(config, row)
    silent = {name: _short(value) for name, value in last.items() if name.startswith(("silent", "saturated"))}
    spikes = {name: value for name, value in last.items() if name.startswith("spikes")} | {"spikes_input": n_inputs}
    told, names = row["stopped"], config.constraint_names
    return (
        first
        | {name: row[name] for name in ("state", "score", "n")}
        | {name: _short(row[name]) for name in ("seconds", "train_seconds")}
        | {name: _short(value) for name, value in (size_of(config, row["params"], spikes) | spikes).items()}
        | silent
        | {f"stop_{rule}": moment for rule, moment in row["stops"].items()}
        | {"objective": _short(row["score"] if told["at"] is None else told["score"])}
        | {f"constraint_{name}": _short(one) for name, one in zip(names, told["constraints"], strict=True)}
    )


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _last_epoch(config: StudyConfig, row: Row) -> Row:
    """Spikes a sample, and shares of samples, over the last epoch."""
    curve = {name: np.array(column) for name, column in row["curve"].items()}
    n_train = config.trainer.dataset.train
    before = int(np.searchsorted(curve["samples"], curve["samples"][-1] - n_train, side="right")) - 1
    wanted = [name for name in curve if name.startswith(("silent", "saturated", "spikes"))]
    return {name: (curve[name][-1] - (curve[name][before] if before >= 0 else 0)) / n_train for name in wanted}


def _curve(row: Row) -> list[Row]:
    """The points of one training: counts since its start."""
    columns = row.get("curve", {})
    return [
        {"trial": row["trial"]} | dict(zip(columns, values, strict=True))
        for values in zip(*columns.values(), strict=True)
    ]


def _reports(row: Row) -> list[Row]:
    """Rows for ``snnhpo bench stopping``: what a running trial reports, up to where its own monitors stop it.

    The score of a position is the share of right predictions over the second half of the samples seen, and in the end
    the held-out score.
    """
    if row["state"] == "failed":
        return []
    curve = {name: np.array(column) for name, column in row["curve"].items()}
    end = row["stopped"]["at"] or np.inf
    points, seconds = [], 0.0
    for place, samples in enumerate(curve["samples"]):
        half = int(np.searchsorted(curve["samples"], samples / 2, side="right")) - 1
        right, predicted = (curve[name][place] - (curve[name][half] if half >= 0 else 0) for name in _SCORED)
        is_last = place + 1 == len(curve["samples"])
        points.append({
            "trial": row["trial"],
            "epoch": samples,  # finer than an epoch: any position that grows will do
            "score": _short(row["score"]) if is_last else _short(right / predicted) if predicted else "nan",
            "seconds": round(curve["seconds"][place] - seconds + is_last * (row["seconds"] - row["train_seconds"]), 4),
            "feasible": int(end == np.inf and max(row["stopped"]["constraints"]) <= 0),
        })  # fmt: skip
        seconds = curve["seconds"][place]
        if samples >= end:
            break
    return points


_SCORED = ("right", "predicted")
