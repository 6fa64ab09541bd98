"""What ``gpu.md`` tells besides the benchmark and the tests; on a CPU too, to try it (``--device cpu``).

batches    milliseconds of a batch in a row, without waiting for the device between: STDP by engine and size, SLAYER
draws      spikes and thresholds after 20 batches from the same weights, winners drawn in both engines' ways
trials     seconds and accuracy of the best network of each search in ``searches/``, three seeds in one process
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from measure_experiments import SEARCHES, best_of

from snnhpo_mpi.bench.trainer import _digits, _learners
from snnhpo_mpi.config import load_config
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook
from snnhpo_mpi.snn.stdp.engines.dense import DenseSteps
from snnhpo_mpi.snn.stdp.equations import FORMS, equations
from snnhpo_mpi.study.build import build_trainer
from snnhpo_mpi.trial import Trial


def network(device: torch.device, form: str, n: int, dense: bool) -> DiehlCook:
    """With the device's own steps, or torch's operations one by one."""
    torch.manual_seed(0)
    params = defaults("stdp", form) | {"map_size": n}
    made = DiehlCook(params, 784, 1.0, device, FORMS[form])
    if dense:
        made._steps = DenseSteps(equations(params, FORMS[form], 1.0, np.float32), made.w, made.theta)
    return made


def milliseconds(run: Callable[[], object], device: torch.device, n: int) -> float:
    """Of one of n runs in a row, after three that compile and capture."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for _ in range(3):
        run()
    wait()
    start = time.perf_counter()
    for _ in range(n):
        run()
    wait()
    return 1e3 * (time.perf_counter() - start) / n


def batches(device: torch.device, sizes: list[int], n: int) -> None:
    """Print a line a network."""
    few, many = (_digits(size, 0, 100, 128.0, device)[0] for size in (32, 256))
    with torch.inference_mode():
        for form in FORMS:
            for size in sizes:
                for dense in (False, True):
                    one = network(device, form, size, dense)
                    train = milliseconds(lambda: one.train(few), device, n)  # noqa: B023
                    score = milliseconds(lambda: one.score(many), device, n)  # noqa: B023
                    steps = type(one._steps).__name__
                    print(f"{form} {size} {steps}: train 32 {train:.3g} ms, score 256 {score:.3g} ms", flush=True)
    spikes, classes = _digits(32, 0, 25, 512.0, device)
    learner, _ = _learners(defaults("slayer", "csnn"), device, torch.float32)
    print(f"slayer csnn: train 32 {milliseconds(lambda: learner.train(spikes.float(), classes), device, n):.3g} ms")


def draws(device: torch.device, sizes: list[int], n: int) -> None:
    """Print mean and s.d. over n seeds of the draws."""
    shown = [_digits(32, turn, 100, 128.0, device)[0] for turn in range(20)]
    for dense in (False, True):
        found = []
        for seed in range(n):
            one = network(device, "diehl_cook", sizes[0], dense)
            torch.manual_seed(100 + seed)
            with torch.inference_mode():
                n_spikes = sum(int(one.train(spikes).excitatory.sum()) for spikes in shown)
            found.append((n_spikes, float(one.theta.mean())))
        mean, sd = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
        print(
            f"{type(one._steps).__name__}: spikes {mean[0]:.0f} +- {sd[0]:.0f}, theta {mean[1]:.3f} +- {sd[1]:.3f} mV"
        )


def trials(device: torch.device, names: list[str]) -> None:
    """Print a line a trial."""
    for name in names:
        config = load_config(SEARCHES / f"{name}.yaml")
        best, params = best_of(config, name)
        trainer = build_trainer(config, str(device), lambda progress: None)
        for seed in (1, 2, 3):
            outcome = trainer.evaluate(Trial(0, params, seed))
            told = {key: round(value, 2) for key, value in outcome.metrics.items() if key.endswith(("seconds", "_mb"))}
            print(f"{name} trial {best['number']} seed {seed}: accuracy {outcome.objective} {told}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["batches", "draws", "trials"])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--sizes", type=int, nargs="+", default=[400], help="excitatory neurons")
    parser.add_argument("--runs", type=int, default=10, help="batches in a row, or seeds of the draws")
    parser.add_argument("--searches", nargs="+", default=["digits_stdp", "digits_slayer"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    place = torch.device(arguments.device)
    if arguments.what == "trials":
        trials(place, arguments.searches)
    else:
        (batches if arguments.what == "batches" else draws)(place, arguments.sizes, arguments.runs)
