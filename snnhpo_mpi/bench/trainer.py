"""``snnhpo bench trainer``: samples a second of training and of scoring, ours against the plain library loop.

Both train the same network on the same digits in one process and one thread, taking turns batch by batch, so that a
busy machine slows both. A speed-up is the median of the turns' ratios. On a CPU seconds are those of the process's own
computing (equal to wall time on an idle machine), on a GPU wall time after synchronisation; there lava-dl has its
CUDA kernels, as ``snnhpo kernels build`` made them, and without them nothing is measured. The first turns, which
compile kernels and capture graphs, do not count there.

    stdp    ``--batch-size 1``: one sample after another, from pixels to changed weights, encoding included; else spikes
            in batches; 400 neurons (``--neurons``), 100 steps; scoring also the published way, one sample at a time
    slayer  the MNIST network with the library's tutorial values, 25 steps
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from snnhpo_mpi.arguments import positive

if TYPE_CHECKING:
    from torch import Tensor, device, dtype

    from snnhpo_mpi.snn.slayer.backpropagation import Backpropagation
    from snnhpo_mpi.snn.stdp.in_batches import InBatches
    from snnhpo_mpi.trial import Params

BATCH, SCORE_BATCH, NEURONS = 32, 256, 400
N_PUBLISHED = 8  # samples scored one at a time
N_UPDATES = 20  # after which weights are compared
N_UPDATES_GPU = 5  # of STDP, where sums are added in another order: a spike more or less has not changed all others
N_WARM = 3  # turns of a GPU that do not count
Step = Callable[[], object]
T = TypeVar("T")


def run_benchmark(
    trainer: str,
    device_name: str,
    rounds: int,
    batch_size: int | None = None,
    neurons: int = NEURONS,
    regime: str = "library",
) -> dict[str, Any]:
    """Measure one trainer.

    Args:
        trainer: stdp or slayer.
        device_name: of torch.
        rounds: turns of training, and of scoring.
        batch_size: of training; None for 1 of STDP on a CPU, else 32.
        neurons: of STDP's excitatory layer.
        regime: hyperparameters of STDP, a key of ``stdp_one_by_one.REGIMES``.

    Returns:
        The keys of ``--json``.

    Raises:
        ConfigError: lava-dl's kernels for this GPU are not built.
    """
    import torch

    place = torch.device(device_name)
    if place.type == "cuda":
        torch.cuda.set_device(place)  # where kernels are launched
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if trainer == "slayer":
            measured = _slayer(place, rounds)
        else:
            measured = _stdp(place, rounds, batch_size or (1 if place.type == "cpu" else BATCH), neurons, regime)
    finally:
        torch.set_num_threads(n_threads)
    return {"trainer": trainer, "device": device_name} | measured


def _stdp(place: device, rounds: int, batch_size: int, neurons: int, regime: str) -> dict[str, Any]:
    from snnhpo_mpi.bench.stdp_one_by_one import measure, params_of

    what = {"batch_size": batch_size, "neurons": neurons, "regime": regime}
    params = params_of(regime, neurons)
    if batch_size == 1 and place.type == "cpu":
        return what | measure(params, rounds)
    return what | _stdp_batches(place, rounds, batch_size, params)


def _stdp_batches(place: device, rounds: int, batch_size: int, params: Params) -> dict[str, Any]:
    import torch

    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook
    from snnhpo_mpi.snn.stdp.engines.bindsnet import BindsnetNetwork

    batches = [_digits(batch_size, turn, 100, 128.0, place)[0] for turn in range(max(rounds, N_UPDATES))]
    with torch.inference_mode():
        ours: InBatches = _seeded(DiehlCook, params, 784, 1.0, place)
        library: InBatches = _seeded(BindsnetNetwork, params, 784, 1.0, place)
        train, differences = [], []
        for spikes in batches:
            train.append(_turn(partial(_seeded, ours.train, spikes), partial(_seeded, library.train, spikes), place))
            differences.append(float((ours.w - library.w).abs().max()))
        difference = differences[N_UPDATES - 1] if place.type == "cpu" else _difference_without_draws(batches, place)
        score, single = [], []
        n_warm = N_WARM if place.type == "cuda" else 0
        for turn in range(n_warm + rounds):
            spikes, _ = _digits(SCORE_BATCH, turn, 100, 128.0, place)
            score.append(_turn(partial(ours.score, spikes), partial(library.score, spikes[:batch_size]), place))
            one_by_one = torch.split(spikes[:N_PUBLISHED], 1)
            single.append(_seconds(lambda: [library.score(one) for one in one_by_one], place) / N_PUBLISHED)  # noqa: B023
    score, single = score[n_warm:], single[n_warm:]
    sizes = (batch_size, batch_size), (SCORE_BATCH, min(batch_size, SCORE_BATCH))
    result = rates(train[n_warm:], sizes[0], score, sizes[1], difference)
    per_sample = [seconds / SCORE_BATCH for seconds, _ in score]
    result["published"] = {"score_per_s": 1.0 / statistics.median(single)}
    result["speedup_score_published"] = statistics.median(b / a for a, b in zip(per_sample, single, strict=True))
    return result


def _difference_without_draws(batches: Sequence[Tensor], place: device) -> float:
    """Of the weights of the network whose winners are not drawn: on a GPU both draw in ways of their own."""
    from snnhpo_mpi.hyperparameters.networks import defaults
    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook
    from snnhpo_mpi.snn.stdp.engines.bindsnet import BindsnetNetwork
    from snnhpo_mpi.snn.stdp.equations import FORMS

    name = "diehl_cook_distance"
    params = defaults("stdp", name) | {"map_size": 400}
    ours: InBatches = _seeded(DiehlCook, params, 784, 1.0, place, FORMS[name])
    library: InBatches = _seeded(BindsnetNetwork, params, 784, 1.0, place, FORMS[name])
    for spikes in batches[:N_UPDATES_GPU]:
        ours.train(spikes)
        library.train(spikes)
    return float((ours.w - library.w).abs().max())


def _slayer(place: device, rounds: int) -> dict[str, Any]:
    import torch

    from snnhpo_mpi.hyperparameters.networks import defaults
    from snnhpo_mpi.snn.slayer.lava_kernels.cache import use_kernels
    from snnhpo_mpi.snn.slayer.learner import read_classes

    use_kernels(str(place))
    params = defaults("slayer", "csnn")
    ours, library = _learners(params, place, torch.float32)
    train, score = [], []
    n_warm = N_WARM if place.type == "cuda" else 0
    for turn in range(n_warm + rounds):
        spikes, classes = _digits(BATCH, turn, 25, 512.0, place)
        spikes = spikes.to(torch.float32)
        train.append(_turn(partial(ours.train, spikes, classes), partial(library.train, spikes, classes), place))
        mine, theirs = (partial(read_classes, learner.network, spikes) for learner in (ours, library))
        score.append(_turn(mine, theirs, place))
    kernels = "compiled" if place.type == "cuda" else "none"
    found = rates(train[n_warm:], (BATCH, BATCH), score[n_warm:], (BATCH, BATCH), _slayer_difference(params, place))
    return found | {"library_kernels": kernels}


def _slayer_difference(params: Params, place: device) -> float:
    """Of weights and delays, after updates from the same seed in double precision, which lava-dl's kernels lack."""
    import torch

    kind = torch.float32 if place.type == "cuda" else torch.float64
    pair = _learners(params, place, kind)
    for turn in range(N_UPDATES):
        spikes, classes = _digits(8, turn, 25, 512.0, place)
        for learner in pair:
            _seeded(learner.train, spikes.to(kind), classes)
    ours, library = (
        [parameter.detach().flatten() for parameter in learner.network.parameters() if parameter.grad is not None]
        for learner in pair
    )
    return max(float((a - b).abs().max()) for a, b in zip(_by_size(ours), _by_size(library), strict=True))


def _by_size(tensors: Sequence[Tensor]) -> list[Tensor]:
    """In an order that both networks share: no two of their layers have as many weights."""
    return sorted(tensors, key=lambda tensor: tensor.numel())


def _learners(params: Params, place: device, kind: dtype) -> tuple[Backpropagation, Backpropagation]:
    from snnhpo_mpi.snn.slayer.backpropagation import Backpropagation
    from snnhpo_mpi.snn.slayer.csnn import Csnn
    from snnhpo_mpi.snn.slayer.lava import LavaNetwork

    def learner(network: type[Csnn] | type[LavaNetwork]) -> Backpropagation:
        return Backpropagation(_seeded(network, (1, 28, 28), 10, params).to(place, kind), params)

    return learner(Csnn), learner(LavaNetwork)


def _digits(n: int, turn: int, n_steps: int, max_rate_hz: float, place: device) -> tuple[Tensor, Tensor]:
    """Encoded digits and their classes, other ones in each turn."""
    import torch

    from snnhpo_mpi.config import DatasetSettings
    from snnhpo_mpi.snn.data import load
    from snnhpo_mpi.snn.encode import poisson, spike_generator

    split = load(DatasetSettings(name="digits5000", train=n, held_out=1), seed=turn)
    generator = spike_generator(turn, place)
    images, classes = torch.from_numpy(split.train_x[:]), torch.from_numpy(split.train_y)
    return poisson(images.to(place), n_steps, max_rate_hz, 1.0, generator), classes.to(place)


def _seeded(make: Callable[..., T], *arguments: Any) -> T:
    """Call with torch's generator as it was the last time."""
    import torch

    torch.manual_seed(0)
    return make(*arguments)


def _turn(ours: Step, library: Step, place: device) -> tuple[float, float]:
    return _seconds(ours, place), _seconds(library, place)


def _seconds(step: Step, place: device) -> float:
    import torch

    on_gpu = place.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    step()
    if on_gpu:
        torch.cuda.synchronize(place)
    return clock() - start


def rates(
    train: Sequence[tuple[float, float]],
    n_train: tuple[int, int],
    score: Sequence[tuple[float, float]],
    n_score: tuple[int, int],
    difference: float,
) -> dict[str, Any]:
    """Seconds of (ours, library) in each turn, and how many samples each presented -> the table."""
    found = [
        {
            "train_per_s": n_train[who] / statistics.median(turn[who] for turn in train),
            "score_per_s": n_score[who] / statistics.median(turn[who] for turn in score),
        }
        for who in range(2)
    ]
    return {
        "ours": found[0],
        "library": found[1],
        "speedup_train": statistics.median(turn[1] / n_train[1] / (turn[0] / n_train[0]) for turn in train),
        "speedup_score": statistics.median(turn[1] / n_score[1] / (turn[0] / n_score[0]) for turn in score),
        "max_abs_difference": difference,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--trainer", choices=("stdp", "slayer"), required=True)
    parser.add_argument("--device", default="cpu", help="cpu, cuda:0, ... (default cpu)")
    parser.add_argument("--batch-size", type=positive, metavar="N", help="of STDP (default 1 on a CPU, else 32)")
    parser.add_argument("--neurons", type=positive, default=NEURONS, metavar="N", help="of STDP (default 400)")
    parser.add_argument(
        "--regime",
        choices=("library", "published", "firing"),
        default="library",
        help="hyperparameters of STDP: the library's, the best published ones (few spikes, strong inhibition), or a "
        "network that fires constantly (default library)",
    )
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="turns measured (default 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    result = run_benchmark(args.trainer, args.device, args.rounds, args.batch_size, args.neurons, args.regime)
    if args.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return 0
    for key, value in result.items():
        sys.stdout.write(f"{key:24} {json.dumps(value)}\n")
    return 0
