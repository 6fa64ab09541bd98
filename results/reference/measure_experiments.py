"""What ``experiments.md`` says of the networks: ``python measure_experiments.py MEASUREMENT``, see ``--help``.

    silent    share of silent networks among random points of the wide spaces, on small data
    weights   the same random networks with lava-dl's initial weights and with ours: which are silent, and accuracies
    rules     seconds of the same random trials with each stopping rule, and with none
    engines   held-out accuracy of both engines, five seeds each, in single precision
    memory    resident memory of one process that evaluates 2,000 tiny trials
    gesture   peak memory of the largest networks of the gesture experiments
    again     the best network of a search in ``searches/``, with five other seeds and five other splits of its data

Digits are the built-in ones; gestures need recordings below SNNHPO_DATA. One thread.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from snnhpo_mpi.config import SlayerSettings, StudyConfig, load_config
from snnhpo_mpi.host.device import CONVOLUTIONS_KEPT
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.snn.slayer.csnn import LAYOUTS, layers_of
from snnhpo_mpi.study.build import build_optimizer, build_trainer
from snnhpo_mpi.trial import Outcome, Params, State, Trial

os.environ.update(CONVOLUTIONS_KEPT)  # as in an evaluator; read at the first convolution

CONFIGS = Path(__file__).parents[2] / "configs"
SEARCHES = Path(__file__).parent / "searches"
DIGITS = "trainer.dataset={name: digits5000, train: %d, held_out: %d}"
RULES: dict[str, list[str]] = {
    "none": ["stopping=[]"],
    "silence, sequential": [],
    "silence, published": ["published"],
    "saturation": ["stopping=[]", "saturation"],
    "chance": ["stopping=[]", "chance={after_epochs: 1}"],
}


def experiment(name: str, n_train: int, n_held: int, *overrides: str) -> StudyConfig:
    """A wide experiment on small data: random points, no budget."""
    data = [DIGITS % (n_train, n_held)]
    if "mnist" not in name:
        data = [f"trainer.dataset.train={n_train}", f"trainer.dataset.held_out={n_held}"]
    return load_config(CONFIGS / f"{name}.yaml", ["optimizer.name=random", *data, *overrides])


def trials(config: StudyConfig, n: int) -> list[Trial]:
    """The first random points of a configuration's space."""
    optimizer = build_optimizer(config)
    return [optimizer.ask().trial for _ in range(n)]


def evaluate(config: StudyConfig, trial: Trial, trainer: Any) -> tuple[Outcome | None, float]:
    """The outcome, None if its training diverged; and CPU seconds."""
    started = time.process_time()
    try:
        outcome = trainer.evaluate(trial)
    except FloatingPointError:
        outcome = None
    return outcome, time.process_time() - started


def silent(names: list[str], n_points: int, n_train: int, smaller: list[str]) -> None:
    """Print the share of stopped networks of each space, and after how many samples, every ten points."""
    for name in names:
        config = experiment(name, n_train, 1, *smaller)
        trainer = build_trainer(config, "cpu", lambda progress: None)
        states: Counter[str] = Counter()
        seen: list[float] = []
        seconds = 0.0
        for done, trial in enumerate(trials(config, n_points), start=1):
            outcome, took = evaluate(config, trial, trainer)
            states["diverged" if outcome is None else outcome.state.name] += 1
            seconds += took
            if outcome is not None and outcome.state is State.STOPPED:
                assert outcome.metrics["score_seconds"] == 0.0
                seen.append(outcome.metrics["stopped_at"])
            if done % 10 == 0 or done == n_points:
                low, high = wilson(states["STOPPED"], done)
                share = f"{states['STOPPED'] / done:.1%} silent (95 %: {low:.1%} to {high:.1%})"
                stopped = f"after {np.median(seen):.0f} (median) to {max(seen):.0f} samples" if seen else ""
                print(f"{name}: {done} random points, {n_train} samples: {share} {stopped}; ", end="")
                print(f"{dict(states)}; {seconds:.0f} CPU s", flush=True)


def weights(name: str, n_points: int, n_train: int, n_held: int, smaller: list[str]) -> None:
    """Print how the same random networks fare with either kind of initial weights, a line a point."""
    kinds = ("library", "scaled")
    configs = [experiment(name, n_train, n_held, *smaller, f"trainer.initial_weights={kind}") for kind in kinds]
    trainers = [build_trainer(config, "cpu", lambda progress: None) for config in configs]
    print("experiment,point,library,library_accuracy,scaled,scaled_accuracy,most_inputs", flush=True)
    for trial in trials(configs[0], n_points):
        found = [evaluate(config, trial, one)[0] for config, one in zip(configs, trainers, strict=True)]
        said = ",".join("diverged," if one is None else f"{one.state.value},{one.objective}" for one in found)
        print(f"{name},{trial.number},{said},{_most_inputs(configs[0], trial)}", flush=True)


def _most_inputs(config: StudyConfig, trial: Trial) -> int:
    """Of a weighted layer of a network that reads digits."""
    assert isinstance(config.trainer, SlayerSettings)
    params = defaults("slayer", config.trainer.network) | dict(trial.params)
    layers = layers_of((1, 28, 28), 10, params, LAYOUTS[config.trainer.network])
    return max(layer.n_in * math.prod(layer.kernel) for layer in layers if layer.kind != "pool")


def wilson(k: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, of which ``k`` were found among ``n``."""
    middle, spread = k + z**2 / 2, z * np.sqrt(k * (n - k) / n + z**2 / 4)
    return float((middle - spread) / (n + z**2)), float((middle + spread) / (n + z**2))


def rules(name: str, n_points: int, n_train: int, n_held: int, smaller: list[str]) -> None:
    """Print CPU seconds of the same trials under each rule; the rules take turns, so that a busy machine slows all."""
    configs = {rule: _under(rule, name, n_train, n_held, smaller) for rule in RULES}
    trainers = {rule: build_trainer(config, "cpu", lambda progress: None) for rule, config in configs.items()}
    found: dict[str, list[tuple[Outcome | None, float]]] = {rule: [] for rule in RULES}
    for number, trial in enumerate(trials(configs["none"], n_points)):
        for rule, config in configs.items():
            outcome, took = evaluate(config, trial, trainers[rule])
            found[rule].append((outcome, took))
            state = "diverged" if outcome is None else outcome.state.name
            print(f"{name}, point {number}, {rule}: {state}, {took:.1f} CPU s", flush=True)
    for rule, outcomes in found.items():
        states = Counter("diverged" if outcome is None else outcome.state.name for outcome, _ in outcomes)
        n_samples = sum(outcome.metrics["n_samples"] for outcome, _ in outcomes if outcome is not None)
        scored = sum(outcome.metrics["score_seconds"] for outcome, _ in outcomes if outcome is not None)
        seconds = sum(took for _, took in outcomes)
        print(f"{name}, {rule}: {seconds:.1f} CPU s, of it at most {scored:.1f} s of scoring; ", end="")
        print(f"{n_samples:,.0f} training samples; {dict(states)}", flush=True)


def _under(rule: str, name: str, n_train: int, n_held: int, smaller: list[str]) -> StudyConfig:
    """The experiment with one rule of stopping, or none."""
    changes = smaller + [one for one in RULES[rule] if one not in ("published", "saturation")]
    if "published" in RULES[rule]:
        n_monitors = len(experiment(name, n_train, n_held).stopping)
        changes += [f"stopping.{index}.rule=published" for index in range(n_monitors)]
    if "saturation" in RULES[rule]:
        changes.append(f"saturation=[{{layer: {'excitatory' if 'stdp' in name else 'output'}}}]")
    return experiment(name, n_train, n_held, *changes)


def engines(n_train: int, n_held: int) -> None:
    """Print held-out accuracies of both engines over five seeds, default hyperparameters of the quick starts."""
    for trainer, fixed in (
        ("stdp", {"map_size": 100, "epochs": 1, "strength_inh": 120.0, "theta_plus": 0.2, "tc_theta_decay": 5e3}),
        ("slayer", {"epochs": 3, "hidden": 64, "decoder": "max", "current_decay": 0.9, "learning_rate": 0.01}),
    ):
        for engine in ("fast", "library"):
            config = StudyConfig.model_validate(
                {
                    "study": {"name": "engines"},
                    "budget": {"trials": 5},
                    "trainer": {
                        "name": trainer,
                        "network": "diehl_cook" if trainer == "stdp" else "dense",
                        "engine": engine,
                        "dataset": {"name": "digits5000", "train": n_train, "held_out": n_held},
                        "encoding": {"steps": 100, "max_rate_hz": 256}
                        if trainer == "stdp"
                        else {"steps": 10, "max_rate_hz": 1000},
                    },
                    "fixed": fixed,
                    "space": {
                        "threshold" if trainer == "slayer" else "norm": {"type": "float", "low": 0.5, "high": 99}
                    },
                }
            )
            params = {"threshold": 0.8} if trainer == "slayer" else {"norm": 78.4}
            ours = build_trainer(config, "cpu", lambda progress: None)
            outcomes = [evaluate(config, Trial(seed, params, seed), ours) for seed in range(1, 6)]
            found = [outcome.objective for outcome, _ in outcomes if outcome is not None]
            mean, spread = np.mean(found), np.std(found, ddof=1)
            print(f"{trainer}, {engine}: {mean:.4f} +- {spread:.4f} (s.d.) {found}, ", end="")
            print(f"{sum(took for _, took in outcomes):.0f} CPU s", flush=True)


def memory(names: list[str], n_trials: int) -> None:
    """Print resident memory while one process evaluates tiny random trials of one network, then of another."""
    small = {
        "mnist_stdp": ["space.map_size.high=60", "space.epochs.high=2", "trainer.encoding.steps=20"],
        "mnist_slayer": ["space.c1_filters.high=3", "space.c2_filters.high=3", "space.epochs.high=2",
                         "trainer.encoding.steps=5"],
    }  # fmt: skip
    for name in names:
        config = experiment(name, 16, 8, "stopping.0.beta=0.99", *small[name])
        trainer = build_trainer(config, "cpu", lambda progress: None)
        states: Counter[str] = Counter()
        for number, trial in enumerate(trials(config, n_trials)):
            outcome, _ = evaluate(config, trial, trainer)
            states["diverged" if outcome is None else outcome.state.name] += 1
            if number + 1 in (50, 100, 200, 500, 1000, 1500, 2000) or number + 1 == n_trials:
                print(f"{name}: {_resident_mb():.1f} MB resident after {number + 1} trials {dict(states)}", flush=True)


def gesture(n_train: int) -> None:
    """Print peak memory of training a batch, and of scoring, with the largest values of all that takes memory."""
    for name in ("gesture_stdp", "gesture_slayer"):
        config = experiment(name, n_train, 1, "stopping=[]")
        sizes = [key for key in ("map_size", "c1_filters", "c2_filters", "batch_size") if key in config.space]
        largest = {key: config.space[key].high for key in sizes}  # type: ignore[union-attr]
        largest |= {"epochs": 1} | ({"c1_k": 4, "c2_k": 4} if "c1_k" in config.space else {})
        trainer = build_trainer(config, "cpu", lambda progress: None)
        before = _resident_mb()
        (trial,) = trials(config, 1)
        outcome, took = evaluate(config, Trial(0, {**trial.params, **largest}, 1), trainer)
        assert outcome is not None
        peak = outcome.metrics["peak_memory_mb"]
        print(f"{name}: {largest}: peak {peak:,.0f} MB, {before:,.0f} MB of it before the trial; {took:.0f} CPU s")


def best_of(config: StudyConfig, name: str) -> tuple[dict[str, str], Params]:
    """The row of a search's best network, and its hyperparameters."""
    with (SEARCHES / f"{name}.csv").open(encoding="utf-8") as file:
        completed = [row for row in csv.DictReader(file) if row["state"] == "completed"]
    best = max(completed, key=lambda row: float(row["objective"]))
    kinds = {"int": int, "float": float, "categorical": str}
    return best, {key: kinds[parameter.type](best[f"params_{key}"]) for key, parameter in config.space.items()}


def again(name: str) -> None:
    """Print the held-out accuracy of a search's best network under five other study seeds."""
    best, params = best_of(load_config(SEARCHES / f"{name}.yaml"), name)
    found = []
    for seed in range(2, 7):
        other = load_config(SEARCHES / f"{name}.yaml", [f"study.seed={seed}"])
        outcome, _ = evaluate(other, Trial(0, params, seed), build_trainer(other, "cpu", lambda progress: None))
        assert outcome is not None
        found.append(outcome.objective)
    print(f"{name}: trial {best['number']}, {best['objective']} in the search; seeds 2 to 6: ", end="")
    print(f"{np.mean(found):.4f} +- {np.std(found, ddof=1):.4f} (s.d.) {found}", flush=True)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["silent", "weights", "rules", "engines", "memory", "gesture", "again"])
    parser.add_argument("names", nargs="*", default=["mnist_stdp", "mnist_slayer"], metavar="EXPERIMENT")
    parser.add_argument("--points", type=int, default=20, help="random points, or tiny trials")
    parser.add_argument("--train", type=int, default=200)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of silent, weights and rules: a smaller space"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    match asked.what:
        case "silent":
            silent(asked.names, asked.points, asked.train, asked.set)
        case "weights":
            for one in asked.names:
                weights(one, asked.points, asked.train, asked.held_out, asked.set)
        case "rules":
            for one in asked.names:
                rules(one, asked.points, asked.train, asked.held_out, asked.set)
        case "engines":
            engines(asked.train, asked.held_out)
        case "memory":
            memory(asked.names, asked.points)
        case "gesture":
            gesture(asked.train)
        case "again":
            for one in asked.names:
                again(one)
