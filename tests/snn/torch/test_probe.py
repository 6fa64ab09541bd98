"""What spikes in a network, which axes are samples and time, and what is refused, with networks of a few lines."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.early_stopping.monitor import Monitor, Sequential
from snnhpo_mpi.snn.torch.learning import Counters, Reading
from snnhpo_mpi.snn.torch.network import Shapes
from snnhpo_mpi.snn.torch.presentation import Presentation
from snnhpo_mpi.snn.torch.probe import Found, probe
from snnhpo_mpi.snn.torch.trying import check_network, described, watched_layers

T, K, PIXELS = 6, 4, 9


class Fire(nn.Module):
    """Spikes where the current exceeds a threshold; a straight-through gradient."""

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, current: Tensor) -> Tensor:
        return (current > self.threshold).to(current.dtype) + (current - current.detach())


class Potential(nn.Module):
    def forward(self, current: Tensor) -> Tensor:
        return 0.3 * current


class Shuffle(nn.Module):
    """Passes spikes on."""

    def forward(self, spikes: Tensor) -> Tensor:
        return spikes.flip(-1)


def spikes(n: int = 5, seed: int = 0) -> Tensor:
    """``n x T x 1 x 3 x 3``."""
    return (torch.rand(n, T, 1, 3, 3, generator=torch.Generator().manual_seed(seed)) < 0.5).float()


def found(network: nn.Module, layout: str = "BTN", features: str = "flat", output: int = 0) -> Found:
    return probe(network, Presentation(layout, features, output), spikes(), K)


def paths(network: nn.Module, **how: Any) -> list[str]:
    return [layer.path for layer in found(network, **how).layers]


def counts(network: nn.Module, layout: str = "BTN", n: int = 4) -> Tensor:
    """``L x n``."""
    known, presentation = found(network, layout), Presentation(layout, "flat", 0)
    counters = Counters(network, {"auto": watched_layers("auto", known)})
    counters.start(n)
    Reading(network, presentation, known, "rate_cross_entropy").output(spikes(n, seed=3))
    return counters.counts()["auto"]


def test_modules_that_make_spikes_are_found_and_those_that_pass_them_on_are_not() -> None:
    network = nn.Sequential(
        nn.Linear(PIXELS, 8), Fire(), nn.Dropout(0.0), Shuffle(), nn.Linear(8, K), Fire(), nn.Unflatten(-1, (K, 1))
    )
    assert paths(network) == ["1", "5"]


def test_a_potential_is_no_spike_even_where_it_stays_at_rest() -> None:
    network = nn.Sequential(nn.Linear(PIXELS, 8), Fire(1e3), nn.Linear(8, K, bias=False), Potential())
    assert paths(network) == ["1"]  # silent on the samples: with stronger input it fires, and moves the potential


def test_a_layer_that_never_fires_is_found_by_a_sibling_of_its_class() -> None:
    network = nn.Sequential(nn.Linear(PIXELS, 8), Fire(), nn.Linear(8, K), Fire(1e9))
    assert paths(network) == ["1", "3"]


def test_of_nested_modules_the_outermost_counts_but_not_a_whole_of_several() -> None:
    class Block(nn.Module):
        def __init__(self, *inside: nn.Module) -> None:
            super().__init__()
            self.inside = nn.ModuleList(inside)

        def forward(self, x: Tensor) -> Tensor:
            for one in self.inside:
                x = one(x)
            return x

    one = Block(nn.Linear(PIXELS, 8), Fire())
    several = Block(nn.Linear(8, 8), Fire(), nn.Linear(8, K), Fire())
    assert paths(nn.Sequential(one, several)) == ["0", "1.inside.1", "1.inside.3"]


def test_spikes_made_by_functions_are_seen_in_what_forward_returns() -> None:
    class Functions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(PIXELS, K)

        def forward(self, x: Tensor) -> Tensor:
            return Fire.forward(Fire(), self.fc(x))

    assert paths(Functions()) == ["(output)"]
    network = Functions()
    expected = network(spikes(4, seed=3).flatten(2)).sum((1, 2))
    assert counts(network)[0].tolist() == expected.tolist()


@pytest.mark.parametrize("time_first", [False, True])
def test_samples_and_steps_in_one_axis_are_told_apart(time_first: bool) -> None:
    class Merged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.fire = nn.Linear(PIXELS, K), Fire()

        def forward(self, x: Tensor) -> Tensor:
            x = x.transpose(0, 1) if time_first else x
            return self.fire(self.fc(x.flatten(0, 1)))

    network = Merged()
    assert found(network).layers[0].axis.is_merged
    given = spikes(4, seed=3).flatten(2)
    assert counts(network)[0].tolist() == network.fire(network.fc(given)).sum((1, 2)).tolist()
    reading = Reading(network, Presentation("BTN", "flat", 0), found(network), "rate_cross_entropy")
    assert torch.equal(reading.output(spikes(4, seed=3)), network.fire(network.fc(given)))


@pytest.mark.parametrize(
    ("layout", "back"),
    [("BTN", (0, 1)), ("TBN", (1, 0)), ("BNT", (0, 2))],
)
def test_the_output_is_read_as_samples_steps_classes(layout: str, back: tuple[int, int]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(PIXELS, K)

        def forward(self, x: Tensor) -> tuple[list[Tensor] | Tensor, Tensor]:
            features = -1 if layout != "BNT" else 1
            out = self.fc(x.movedim(features, -1)).movedim(-1, features)
            return (list(out), x) if layout == "TBN" else (out, x)

    network = Net()
    known = found(network, layout)
    output = Reading(network, Presentation(layout, "flat", 0), known, "rate_cross_entropy").output(spikes(4))
    assert torch.allclose(output, network.fc(spikes(4).flatten(2)))


def test_with_as_many_steps_as_classes_the_layout_tells_which_is_which() -> None:
    samples = (torch.rand(5, K, 1, 3, 3, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    network = nn.Linear(PIXELS, K)
    for layout in ("BTN", "TBN"):
        known = probe(network, Presentation(layout, "flat", 0), samples, K)
        output = Reading(network, Presentation(layout, "flat", 0), known, "rate_cross_entropy").output(samples)
        assert torch.allclose(output, network(samples.flatten(2)), atol=1e-6), layout


def test_nothing_of_the_network_changes_and_no_random_number_is_drawn() -> None:
    network = nn.Sequential(nn.Linear(PIXELS, 8), nn.BatchNorm1d(T), Fire(), nn.Dropout(0.5), nn.Linear(8, K))
    before, random = {name: one.clone() for name, one in network.state_dict().items()}, torch.get_rng_state()
    found(network)
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random) and network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_flat_features_are_tried_where_others_do_not_fit() -> None:
    assert found(nn.Linear(PIXELS, K), features="auto").features == "flat"
    convolution = nn.Sequential(nn.Flatten(0, 1), nn.Conv2d(1, K, 3), nn.Flatten(), nn.Unflatten(0, (-1, T)))
    assert found(convolution, features="auto").features == "CHW"
    with pytest.raises(ValueError, match=r"takes neither features C x H x W \(.*\) nor flat ones"):
        found(nn.Linear(17, K), features="auto")


def test_the_tree_says_what_was_found() -> None:
    known = found(nn.Sequential(nn.Linear(PIXELS, K), Fire()))
    assert list(described(known, ["auto"])) == [
        "(network)  Sequential",
        "0          Linear",
        "1          Fire  spikes (samples: axis 0), watched",
        "features flat; output read as samples x steps x neurons",
    ]


def test_a_monitor_on_auto_judges_the_layer_with_the_largest_silent_share() -> None:
    monitor = Monitor(Sequential(beta=0.2))
    silent = torch.tensor([[True, False, False, False], [False, True, True, False]])
    monitor.observe(silent.numpy())
    monitor.observe(silent.numpy())
    assert (monitor.n, monitor.k, monitor.constraint) == (8, 4, 0.5 - 0.2)
    again = Monitor(Sequential(beta=0.2))
    again.load_state_dict(monitor.state_dict())
    again.observe(silent.numpy())
    assert (again.n, again.k) == (12, 6)


# Networks that are refused, by the message that a user gets.

HEAD = """
import torch
from torch import nn

class Fire(nn.Module):
    def forward(self, current):
        return (current > 0).to(current.dtype) + (current - current.detach())

"""
GOOD = """
class Net(nn.Module):
    def __init__(self, hidden=8):
        super().__init__()
        self.fc1, self.fire1 = nn.Linear(9, hidden), Fire()
        self.fc2, self.fire2 = nn.Linear(hidden, 4), Fire()

    def forward(self, x):
        return self.fire2(self.fc2(self.fire1(self.fc1(x))))
"""
SPIKE = "return (current > 0).to(current.dtype) + (current - current.detach())"


def study(file: Path, layer: str = "auto", **more: Any) -> StudyConfig:
    return StudyConfig.model_validate(
        {
            "study": {"name": "test"},
            "budget": {"trials": 1},
            "trainer": {
                "name": "torch",
                "network": f"{file}:Net",
                "layout": "BTN",
                "dataset": {"name": "digits5000", "train": 10, "held_out": 4},
                "encoding": {"steps": T, "max_rate_hz": 100},
            },
            "stopping": [{"layer": layer, "alpha": 1, "beta": 0.3}],
            "space": {"hidden": {"type": "int", "low": 8, "high": 16}},
        }
        | more
    )


def checked(folder: Path, code: str, **how: Any) -> Found:
    file = folder / "mynet.py"
    file.write_text(HEAD + code)
    return check_network(study(file, **how), Shapes((1, 3, 3), K, T), spikes())


def test_a_network_that_fits_is_taken(tmp_path: Path) -> None:
    assert [one.path for one in checked(tmp_path, GOOD).layers] == ["fire1", "fire2"]
    assert [one.path for one in checked(tmp_path, GOOD, layer="fire2").layers] == ["fire1", "fire2"]


STATE = """
class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.total = 0.0

    def forward(self, x):
        self.total = self.total + float(x.detach().mean())
        return x + self.total
"""
NOTHING_LEARNS = """
class Net(nn.Module):
    def __init__(self, hidden=8):
        super().__init__()
        self.fire = Fire()

    def forward(self, x):
        return self.fire(x[..., :4])
"""
NORMALIZED = """
class Net(nn.Module):
    def __init__(self, hidden=8):
        super().__init__()
        self.norm, self.fc, self.fire = nn.BatchNorm1d(9), nn.Linear(9, 4), Fire()

    def forward(self, x):
        return self.fire(self.fc(self.norm(x.sum(1))))
"""
WITH_MEMORY = STATE + GOOD.replace("nn.Linear(9, hidden)", "nn.Sequential(nn.Linear(9, hidden), Memory())")
RESETS_WEIGHTS = GOOD + "\n    def reset(self):\n        nn.init.zeros_(self.fc1.weight)\n"
ALONG_THE_FIRST_AXIS = GOOD.replace(
    "return self.fire2(self.fc2(self.fire1(self.fc1(x))))",
    "return self.fire2(self.fc2(self.fire1(self.fc1(x)).cumsum(0)))",
)
KEPT_WHILE_THE_SIZE_STAYS = GOOD.replace(
    "return self.fire2(",
    """new = getattr(self, "kept", x[:1])
        self.kept = x if new.shape != x.shape else x + new
        return self.fire2(0 * self.kept.sum() + self.kept.mean() + """,
)
REFUSED = {
    "nobody gives": (
        GOOD.replace("hidden=8", "hidden, depth"),
        r"argument depth of Net has no value: write space",
    ),
    "misspelt": (GOOD.replace("hidden", "hiden"), r"space\.hidden is no argument of Net; did you mean hiden\?"),
    "missing": (GOOD.replace("class Net", "class Nit"), "has no Net"),
    "no module": ("class Net:\n    pass\n", "must be a torch.nn.Module"),
    "raises": (
        GOOD.replace("super().__init__()", "super().__init__(); 1 / 0"),
        r"cannot be built with hidden=8: ZeroDivisionError.*\(mynet\.py, line",
    ),
    "syntax": ("class Net(", r"SyntaxError.*mynet\.py, line"),
    "shape": (GOOD.replace("hidden, 4)", "hidden, 5)"), r"is 5 x 6 x 5 for 5 samples.*4, the classes"),
    "no samples": (GOOD.replace("(x))))", "(x)))).sum((0, 1))"), r"no axis of the samples: it is 4 for 3 samples"),
    "no tensor": (GOOD.replace("return self.fire2", "return 1, self.fire2"), "must return a tensor, or a tuple"),
    "takes other": (GOOD.replace("nn.Linear(9", "nn.Linear(11"), "neither features C x H x W .* nor flat ones"),
    "no spikes": (GOOD.replace("Fire()", "nn.Tanh()"), "no module spikes"),
    "no gradient": (
        GOOD.replace("return self.fire2(", "return (lambda y: y.detach())("),
        "the output has no gradient",
    ),
    "state": (WITH_MEMORY, r"the layer fc1\.1 \(Memory\) answers the same samples otherwise.*reset_state\(\)"),
    "state of a size": (
        KEPT_WHILE_THE_SIZE_STAYS,
        r"the network itself \(Net\) answers|the layer \w+ \(Fire\) answers",
    ),
    "another layout": (ALONG_THE_FIRST_AXIS, "forward mixes samples.*trainer.layout: BTN gives samples x steps"),
    "reset": (RESETS_WEIGHTS, "reset changes parameters"),
    "lazy": (GOOD.replace("nn.Linear(9,", "nn.LazyLinear("), r"the layer fc1 \(LazyLinear\) has no size before it is"),
    "nothing learns": (NOTHING_LEARNS, "it has no parameters that could learn"),
    "batch of one": (NORMALIZED, "Expected more than 1 value per channel"),
}


@pytest.mark.parametrize(("code", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_said_before_anything_runs(code: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=rf"(?s)trainer\.network: .*mynet\.py.*{message}|trainer\.network: .*{message}"
    ):
        checked(tmp_path, code, fixed={"batch_size": 3})


def test_the_answer_and_the_callers_random_numbers_do_not_depend_on_what_ran_before(tmp_path: Path) -> None:
    code = GOOD.replace("super().__init__()", "super().__init__(); print(torch.rand(1).item())")
    said = []
    for seed in range(2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            checked(tmp_path, code)
        said.append(out.getvalue())
        assert torch.equal(torch.get_rng_state(), before)
    assert said[0] == said[1] != ""


def test_an_argument_that_exists_for_some_choices_only_needs_a_default(tmp_path: Path) -> None:
    space = {
        "hidden": {"type": "int", "low": 8, "high": 16},
        "optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
        "depth": {"type": "int", "low": 1, "high": 3, "when": {"optimizer": ["sgd"]}},
    }
    checked(tmp_path, GOOD.replace("hidden=8", "hidden=8, depth=2"), space=space)
    with pytest.raises(
        ConfigError, match=r"depth of Net has no default, and space\.depth exists only when optimizer is sgd"
    ):
        checked(tmp_path, GOOD.replace("hidden=8", "depth, hidden=8"), space=space)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("fire3", r"there is no layer 'fire3'; did you mean fire2\? Allowed: auto, fire1, fire2"),
        ("fc1", r"the layer fc1 \(Linear\) does not spike: .*allowed: fire1, fire2"),
    ],
)
def test_a_monitored_layer_that_is_not_there_or_does_not_spike_is_refused(
    layer: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(tmp_path, GOOD, layer=layer)


# Traps of the libraries.


def test_snntorch_keeps_no_neuron_of_networks_that_are_gone_and_a_reset_is_of_one_network() -> None:
    """In a process of its own: the list in question belongs to the whole process."""
    pytest.importorskip("snntorch", reason="snntorch is not installed")
    program = f"""
import gc, weakref, torch, snntorch
from snnhpo_mpi.snn.torch.adapters import resets
from snnhpo_mpi.snn.torch.network import Shapes, build
file = "{Path(__file__).parents[3]}/examples/snntorch/net.py"
make = lambda: build(file + ":Net", {{"num_hidden": 8}}, Shapes((1, 28, 28), 10, 5))
gone = weakref.ref(make().lif1)
other = make(); gc.collect()
assert gone() is None and len(snntorch.SpikingNeuron.instances) == 2
kept = make(); other(torch.rand(3, 784)); kept(torch.rand(3, 784))
before = other.lif1.mem.clone()
for reset in resets(kept): reset()
assert torch.equal(other.lif1.mem, before) and not kept.lif1.mem.any()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_smaller_batch_of_sinabs_begins_without_a_past() -> None:
    sinabs = pytest.importorskip("sinabs.layers", reason="sinabs is not installed")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(PIXELS, K), sinabs.LIF(tau_mem=20.0, spike_threshold=0.1)

        def forward(self, x: Tensor) -> Tensor:
            spikes: Tensor = self.lif(self.fc(x))
            return spikes

    network = Net()
    reading = Reading(network, Presentation("BTN", "flat", 0), found(network), "rate_cross_entropy")
    alone = reading.output(spikes(3)).detach()
    reading.output(spikes(5, seed=8))
    assert torch.equal(reading.output(spikes(3)), alone)
    assert all(one.numel() == 0 for name, one in reading.state_dict().items() if "v_mem" in name)


class FireAndPotential(nn.Module):
    """Spikes and the potential behind them, of which a network may read either."""

    def forward(self, current: Tensor) -> tuple[Tensor, Tensor]:
        return (current > 0.4).to(current.dtype) + (current - current.detach()), current


class Readout(nn.Module):
    """Its last layer's spikes are the first output, the potentials the second."""

    def __init__(self, detached: bool = False) -> None:
        super().__init__()
        self.first, self.fire1, self.last, self.fire2 = (
            nn.Linear(9, 8),
            FireAndPotential(),
            nn.Linear(8, 4),
            FireAndPotential(),
        )
        self.detached = detached

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        spikes = self.fire1(self.first(x))[0]
        return self.fire2(self.last(spikes.detach() if self.detached else spikes))


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("output", [0, 1])
def test_auto_watches_no_layer_whose_spikes_nothing_reads(output: int, detached: bool) -> None:
    torch.manual_seed(0)
    layers = found(Readout(detached), output=output)
    assert [one.path for one in layers.layers] == ["fire1", "fire2"]
    assert [one.path for one in watched_layers("auto", layers)] == ["fire1", "fire2"][: 2 - output]
    assert [one.path for one in watched_layers("fire2", layers)] == ["fire2"]
