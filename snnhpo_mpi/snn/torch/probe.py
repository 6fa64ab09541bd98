"""Finds what in a network spikes, and which axes are samples and time, by looking at what its modules put out.

A module spikes if it puts out whole numbers only, not negative, and not all 0. No list of classes is needed, but a
module that stays silent however strong the input is judged by its class. What only passes spikes on is none: modules
of ``torch.nn``, and any module without parameters that gets spikes. Of nested modules that spike the outermost counts,
unless it holds several that spike one after or beside the other.

Samples: batches of 3 and of 5 go through, and the axis that follows is theirs.

Notation: B samples, T steps, K classes.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.snn.torch.adapters import is_known_to_pass_on, is_known_to_spike, resets
from snnhpo_mpi.snn.torch.axes import Axis, Readout, batch_axis, first_tensor, readout_of
from snnhpo_mpi.snn.torch.dependence import SEED, STRENGTHS, unread
from snnhpo_mpi.snn.torch.presentation import LAYOUTS, Presentation

FEW, MORE = 3, 5  # samples of the two batches
LARGEST = 2.0**20  # spikes of a neuron in a step; larger floating-point numbers are whole by themselves
PASSES_ON = (
    torch.nn.Flatten, torch.nn.Unflatten, torch.nn.Identity, torch.nn.Fold, torch.nn.Unfold, torch.nn.PixelShuffle,
    torch.nn.PixelUnshuffle, torch.nn.ChannelShuffle, torch.nn.Upsample, torch.nn.modules.dropout._DropoutNd,
    torch.nn.modules.pooling._MaxPoolNd, torch.nn.modules.pooling._AvgPoolNd, torch.nn.modules.pooling._LPPoolNd,
    torch.nn.modules.pooling._AdaptiveMaxPoolNd, torch.nn.modules.pooling._AdaptiveAvgPoolNd,
    torch.nn.modules.padding._ConstantPadNd, torch.nn.modules.padding._ReflectionPadNd,
    torch.nn.modules.padding._ReplicationPadNd, torch.nn.modules.padding._CircularPadNd,
)  # fmt: skip
"""Stateless modules of torch, and what libraries derive from them."""
CONTAINERS = (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict)
OUTPUT = "(output)"  # in the place of a module's path: what ``forward`` returns


@dataclass(frozen=True, slots=True)
class Layer:
    """A module that spikes.

    Attributes:
        path: in the network; ``(output)`` for what ``forward`` returns.
        kind: its class.
        axis: of the samples in what it puts out.
        n_calls: a presentation.
        is_read: whether what is read of the network depends on its spikes.
    """

    path: str
    kind: str
    axis: Axis
    n_calls: int
    is_read: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to know of a network before it learns.

    Attributes:
        layers: that spike, in the order in which they are made.
        readout: how to read what it returns.
        features: how it takes them, CHW or flat.
        kinds: path -> class, of all its modules.
    """

    layers: tuple[Layer, ...]
    readout: Readout
    features: str
    kinds: Mapping[str, str]

    def layer(self, path: str) -> Layer | None:
        """The one of that path, if it spikes."""
        return next((one for one in self.layers if one.path == path), None)


@dataclass(slots=True)
class _Seen:
    """What a module did in all presentations.

    Attributes:
        shapes: of its first output, by the samples presented.
        n_calls: in the latest presentation.
        is_whole: whether all were whole numbers from 0 on.
        fires: whether one was not 0.
        is_fed_spikes: whether it was given whole numbers only, and not only 0.
        has_tensor: whether there was something to look at.
        sums: of the outputs of the latest presentation, one a call.
    """

    shapes: dict[int, torch.Size] = field(default_factory=dict)
    n_calls: int = 0
    is_whole: bool = True
    fires: bool = False
    is_fed_spikes: bool = True
    has_tensor: bool = False
    sums: list[float] = field(default_factory=list)


class _Eyes:
    """Hooks on all modules of a network."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.seen = {path: _Seen() for path, _ in network.named_modules()}
        self.order: list[str] = []
        self.kept: dict[str, Tensor | None] = {}  # latest outputs, of the paths that are there
        for path, module in network.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                module.register_forward_hook(lambda module, given, output, path=path: self._look(path, given, output))
        self.n = 0

    def start(self, n: int) -> None:
        """A presentation of ``n`` samples begins."""
        self.n, self.order = n, []
        for one in self.seen.values():
            one.n_calls, one.sums = 0, []

    @torch.no_grad()
    def _look(self, path: str, given: Any, output: Any) -> None:
        one, spikes = self.seen[path], first_tensor(output)
        one.n_calls += 1
        if one.n_calls == 1:
            self.order.append(path)
        if spikes is None:
            return
        one.has_tensor = True
        one.shapes.setdefault(self.n, spikes.shape)
        one.is_whole &= _is_whole(spikes)
        one.fires |= bool(spikes.any())
        one.sums.append(float(spikes.double().sum()))
        if path in self.kept:
            self.kept[path] = spikes
        fed = first_tensor(given)
        one.is_fed_spikes &= fed is not None and _is_whole(fed)


def _is_whole(values: Tensor) -> bool:
    if values.is_complex() or not values.numel():
        return False
    if not values.is_floating_point():
        return bool((values >= 0).all())
    return bool(((values >= 0) & (values <= LARGEST) & (values == values.round())).all())


def probe(network: torch.nn.Module, presentation: Presentation, samples: Tensor, n_classes: int) -> Found:
    """Look at a network; it is copied before, so that nothing of it changes, and no random number is drawn.

    Args:
        network: just built.
        presentation: how it takes samples and which output is read.
        samples: 5 of them, encoded: ``5 x T x C x H x W``, on the network's device.
        n_classes: K.

    Raises:
        ValueError: what it returns cannot be read; says what was found and what is needed.
        Exception: of any kind, from the network.
    """
    with copied(network, samples) as one:
        presentation = _fitting(one, presentation, samples)
        eyes = _Eyes(one)
        few, more = (presentation.chosen(_present(one, presentation, samples[:n], eyes)[0]) for n in (FEW, MORE))
        readout = readout_of(few, more, (FEW, MORE), n_classes, presentation.layout)
        _drive(one, presentation, samples, eyes)
        axes = _axes(one, presentation, samples, eyes)
        n_calls = {path: seen.n_calls for path, seen in eyes.seen.items()}
        spiking = _spiking(one, eyes, axes)
        apart = unread(one, presentation, readout, samples[:FEW], [path for path in spiking if path])
    kinds = {path: type(module).__name__ for path, module in network.named_modules()}
    layers = tuple(Layer(path or OUTPUT, kinds[path], axes[path], n_calls[path], path not in apart) for path in spiking)
    return Found(layers, readout, presentation.features, kinds)


def outputs_of(
    network: torch.nn.Module, presentation: Presentation, batches: Sequence[Tensor]
) -> list[list[tuple[str, list[float]]]]:
    """What every module put out for batches one after another, in eval mode, the state forgotten before each.

    Returns:
        Of each batch: path and sums of the outputs, one a call, in the order in which modules were done.
    """
    with copied(network, batches[0]) as one:
        eyes, found = _Eyes(one), []
        for samples in batches:
            _present(one, presentation, samples, eyes)
            found.append([(path, list(eyes.seen[path].sums)) for path in eyes.order])
    return found


@contextlib.contextmanager
def copied(network: torch.nn.Module, samples: Tensor) -> Iterator[torch.nn.Module]:
    """A copy to look at, in eval mode and without gradients; random numbers are put back at the end.

    Raises:
        ValueError: it cannot be copied.
    """
    try:
        one = copy.deepcopy(network)
    except Exception as error:
        raise ValueError(
            f"{type(network).__name__} cannot be copied (copy.deepcopy), which is needed to look at it: {error}; keep "
            "tensors that are computed in forward in no attribute when it is built"
        ) from error
    one.eval()
    with torch.random.fork_rng([samples.device] if samples.device.type == "cuda" else []), torch.no_grad():
        yield one


def _fitting(network: torch.nn.Module, presentation: Presentation, samples: Tensor) -> Presentation:
    """With features as the network takes them, where they are to be found out."""
    if presentation.features != "auto":
        return presentation
    raised: list[Exception] = []
    for features in ("CHW", "flat"):
        one = presentation.with_features(features)
        try:
            for reset in resets(network):
                reset()
            one.returned(network, samples[:FEW])
            return one
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            raised.append(error)
    chw, flat = (str(error).partition("\n")[0] for error in raised)
    if chw == flat:
        raise raised[0]
    raise ValueError(
        f"forward was given {LAYOUTS[presentation.layout]} (trainer.layout: {presentation.layout}), and takes neither "
        f"features C x H x W ({chw}) nor flat ones ({flat}). Another layout may be right: {', '.join(LAYOUTS)}; "
        "trainer.features: CHW or flat shows where it happens"
    ) from raised[0]


def _present(network: torch.nn.Module, presentation: Presentation, samples: Tensor, eyes: _Eyes) -> list[Any]:
    """What the network returns, call by call, from a state without any past."""
    for reset in resets(network):
        reset()
    torch.manual_seed(SEED)
    eyes.start(len(samples))
    return presentation.returned(network, samples)


def _drive(network: torch.nn.Module, presentation: Presentation, samples: Tensor, eyes: _Eyes) -> None:
    """Present stronger and stronger input while some module may spike and has not."""
    for factor in STRENGTHS:
        silent = [path for path, one in eyes.seen.items() if one.has_tensor and one.is_whole and not one.fires]
        if not silent:
            return
        network.train(factor == 1.0)  # a normalisation over the batch may be what it needs
        _present(network, presentation, samples * factor, eyes)
    network.eval()


def _axes(network: torch.nn.Module, presentation: Presentation, samples: Tensor, eyes: _Eyes) -> dict[str, Axis]:
    """Of each module whose output has one: the axis of the samples, alone or merged with time."""
    shapes = {path: one.shapes for path, one in eyes.seen.items() if one.has_tensor}
    found = {path: batch_axis(one.get(FEW), one.get(MORE), (FEW, MORE)) for path, one in shapes.items()}
    axes = {path: axis for path, axis in found.items() if axis is not None}
    eyes.kept = {path: None for path, axis in axes.items() if axis.is_merged and eyes.seen[path].is_whole}
    if not eyes.kept:
        return axes
    outputs = []
    for n in (FEW, MORE):
        _present(network, presentation, samples[:n], eyes)
        outputs.append(dict(eyes.kept))
    for path in eyes.kept:
        few, more = (one[path] for one in outputs)
        assert few is not None and more is not None
        axes[path] = axes[path].ordered(few, more, (FEW, MORE))
    return axes


def _spiking(network: torch.nn.Module, eyes: _Eyes, axes: Mapping[str, Axis]) -> list[str]:
    """Paths of the modules that spike, in the order in which they are made."""
    modules = dict(network.named_modules())
    able = {
        path: modules[path]
        for path, one in eyes.seen.items()
        if path and one.has_tensor and one.is_whole and path in axes and not isinstance(modules[path], PASSES_ON)
    }
    fires = [
        path
        for path, module in able.items()
        if eyes.seen[path].fires and not (eyes.seen[path].is_fed_spikes and _only_passes_on(module))
    ]
    kinds = {type(modules[path]) for path in fires if not isinstance(modules[path], CONTAINERS)}
    silent = [
        path
        for path, module in able.items()
        if not eyes.seen[path].fires and (type(module) in kinds or is_known_to_spike(module))
    ]
    spiking = [path for path in able if path in {*fires, *silent}]
    outermost = list(_outermost(spiking, modules))
    if outermost or "" not in axes or not (eyes.seen[""].is_whole and eyes.seen[""].fires):
        return outermost
    return [""]  # spikes made by functions alone


def _only_passes_on(module: torch.nn.Module) -> bool:
    """Whether a module that is given spikes has nothing by which it could make others."""
    return is_known_to_pass_on(module) or (next(module.parameters(), None) is None and not is_known_to_spike(module))


def _outermost(spiking: Sequence[str], modules: Mapping[str, torch.nn.Module]) -> Iterator[str]:
    """Of nested ones the outermost that is one layer; of containers those inside."""
    skipped: set[str] = set()
    for path in spiking:  # a module comes before those inside of it
        inside = [one for one in spiking if one.startswith(f"{path}.")]
        if path in skipped:
            continue
        if inside and (isinstance(modules[path], CONTAINERS) or _branch(inside)):
            continue
        skipped.update(inside)
        yield path


def _branch(inside: Sequence[str]) -> bool:
    """Whether some lie beside one another, and not each within the one before."""
    return any(not later.startswith(f"{one}.") for one, later in itertools.pairwise(inside))
