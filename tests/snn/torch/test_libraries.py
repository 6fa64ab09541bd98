"""Networks of each library as its users write them: what spikes is found, and counted as the library itself has it."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from snnhpo_mpi.snn.torch.learning import Counters, Reading
from snnhpo_mpi.snn.torch.network import Shapes, build
from snnhpo_mpi.snn.torch.presentation import Presentation
from snnhpo_mpi.snn.torch.probe import Found, probe
from snnhpo_mpi.snn.torch.trying import watched_layers

EXAMPLES = Path(__file__).parents[3] / "examples"
T, K = 25, 10
Truth = Callable[[Any, Tensor], dict[str, Tensor]]


@pytest.fixture(autouse=True)
def loud_libraries() -> Any:
    """Norse and torch's own extensions warn when they are imported and used, which is no fault of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def spikes(n: int, seed: int = 0) -> Tensor:
    """``n x T x 1 x 28 x 28``."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n, T, 1, 28, 28, generator=generator) < 0.1).float()


def example(library: str, **params: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(f"{EXAMPLES / library / 'net.py'}:Net", params, Shapes((1, 28, 28), K, T))


def looked_at(network: torch.nn.Module, layout: str, output: int = 0) -> Found:
    return probe(network, Presentation(layout, "auto", output), spikes(5, seed=1), K)


def counted(network: torch.nn.Module, layout: str, given: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Spikes by layer and sample as a monitor on auto counts them, and the output ``B x T x K``."""
    found = looked_at(network, layout)
    reading = Reading(network, Presentation(layout, "auto", 0), found, "rate_cross_entropy")
    counters = Counters(network, {"auto": watched_layers("auto", found)})
    network.eval()
    with torch.no_grad():
        reading.output(spikes(7, seed=2))  # what went before must not matter
        counters.start(len(given))
        output = reading.output(given)
    paths = [layer.path for layer in found.layers]
    return dict(zip(paths, counters.counts()["auto"], strict=True)), output


def snntorch_truth(network: Any, given: Tensor) -> dict[str, Tensor]:
    first, second = network.lif1.reset_mem(), network.lif2.reset_mem()
    counts = {"lif1": torch.zeros(len(given)), "lif2": torch.zeros(len(given))}
    for _ in range(T):  # it repeats the image itself
        spikes1, first = network.lif1(network.fc1(given[:, 0].flatten(1)), first)
        spikes2, second = network.lif2(network.fc2(spikes1), second)
        counts["lif1"] += spikes1.sum(1)
        counts["lif2"] += spikes2.sum(1)
    return counts


def spikingjelly_truth(network: Any, given: Tensor) -> dict[str, Tensor]:
    from spikingjelly.activation_based import functional, monitor, neuron

    functional.reset_net(network)
    watch = monitor.OutputMonitor(network, neuron.LIFNode)
    network(given.transpose(0, 1))
    counts = {name: watch[name][0].transpose(0, 1).flatten(1).sum(1) for name in watch.monitored_layers}
    watch.remove_hooks()
    return counts


def norse_truth(network: Any, given: Tensor) -> dict[str, Tensor]:
    state, counts = None, torch.zeros(len(given))
    for step in given.flatten(2).unbind(1):
        fired, state = network.lif(network.fc1(step), state)
        counts += fired.sum(1)
    return {"lif": counts}


def sinabs_truth(network: Any, given: Tensor) -> dict[str, Tensor]:
    counts, x = {}, given.flatten(0, 1)
    for name, layer in network.layers.named_children():
        if hasattr(layer, "reset_states"):
            layer.reset_states()
        x = layer(x)
        if hasattr(layer, "reset_states"):
            counts[f"layers.{name}"] = x.view(len(given), -1).sum(1)
    return counts


def lava_truth(network: Any, given: Tensor) -> dict[str, Tensor]:
    counts, x = {}, given.flatten(2).transpose(1, 2)
    for name, block in network.blocks.named_children():
        x = block(x)
        counts[f"blocks.{name}"] = x.flatten(1).sum(1)
    return counts


def plain_truth(network: Any, given: Tensor) -> dict[str, Tensor]:
    network.lif1.reset_state()
    network.lif2.reset_state()
    counts = {"lif1": torch.zeros(len(given)), "lif2": torch.zeros(len(given))}
    for step in given.flatten(2).unbind(1):
        one = network.lif1(network.fc1(step))
        counts["lif1"] += one.sum(1)
        counts["lif2"] += network.lif2(network.fc2(one)).sum(1)
    return counts


EASY = {"spikingjelly": {"v_threshold": 0.1}, "sinabs": {"spike_threshold": 0.1}}
LIBRARIES: list[tuple[str, str, str | None, Truth]] = [
    ("snntorch", "BN", "snntorch", snntorch_truth),
    ("spikingjelly", "TBN", "spikingjelly", spikingjelly_truth),
    ("norse", "TBN", "norse", norse_truth),
    ("sinabs", "BTN", "sinabs", sinabs_truth),
    pytest.param("lava", "BNT", "lava", lava_truth, marks=pytest.mark.slayer),
    ("plain", "step", None, plain_truth),
]


@pytest.mark.parametrize(("name", "layout", "library", "truth"), LIBRARIES)
def test_the_spikes_of_each_layer_and_sample_are_those_of_the_library(
    name: str, layout: str, library: str | None, truth: Truth
) -> None:
    if library:
        pytest.importorskip(library, reason=f"{library} is not installed", exc_type=ImportError)
    network, given = example(name, **EASY.get(name, {})), 2 * spikes(4)  # so that the last layers fire too
    found, output = counted(network, layout, given)
    with torch.no_grad():
        expected = truth(network, given)
    assert list(found) == list(expected)
    for path, counts in found.items():
        assert counts.tolist() == expected[path].tolist(), path
        assert counts.sum() > 0, path
    assert output.shape == (4, T, K)
    if name != "norse":  # whose output is a potential
        assert output.sum((1, 2)).tolist() == list(expected.values())[-1].tolist()
