"""A network of anybody's modules as a graph of NIR, from what its modules do with one sample.

Modules are taken in the order in which they are called, as a chain. Whether ``forward`` is one is not asked here: a
file that fires other spikes than the network is not kept (``proof``). Equations of a step, and how NIR says them
(``graph``):

    snnTorch Leaky, Synaptic     v <- beta v + I, with I <- alpha I + x before         reset to zero
    SpikingJelly LIFNode         v <- v + (x - v) / tau, or v - v / tau + x            v >= threshold fires
    Norse LIFCell, LICell        I <- (1 - dt / tau_syn) I + x, v <- v + dt / tau_mem (I - v)

Sources: snnTorch 1.0.0, SpikingJelly 2.0.0, Norse 1.1.0.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.torch.adapters import resets
from snnhpo_mpi.snn.torch.axes import first_tensor
from snnhpo_mpi.snn.torch.presentation import Presentation

Array = NDArray[Any]
Shape = tuple[int, ...]
SILENT_IN_EVAL = (torch.nn.Identity, torch.nn.modules.dropout._DropoutNd)  # do nothing to what a trained network reads


@dataclass(slots=True)
class _Calls:
    """What a module put out, call by call."""

    module: torch.nn.Module
    outputs: list[Tensor] = field(default_factory=list)


@torch.no_grad()
def calls_of(network: torch.nn.Module, presentation: Presentation, sample: Tensor) -> dict[str, _Calls]:
    """Present one sample, from a state without any past.

    Args:
        network: in double precision, in eval mode.
        presentation: how it takes samples.
        sample: ``1 x T x C x H x W``.

    Returns:
        Path -> what the module put out, of modules that hold no others or that are known here, in order.
    """
    found: dict[str, _Calls] = {}

    def keep(path: str, module: torch.nn.Module, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is not None:
            found.setdefault(path, _Calls(module)).outputs.append(tensor)

    handles = []
    for path, module in _parts(network, ""):
        handles.append(module.register_forward_pre_hook(_in_double))
        handles.append(
            module.register_forward_hook(lambda module, given, output, path=path: keep(path, module, output))
        )
    try:
        for reset in resets(network):
            reset()
        presentation.returned(network, sample)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _in_double(module: torch.nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """A module's arguments, of which snnTorch makes some in single precision, whatever its own is."""
    return tuple(one.double() if isinstance(one, Tensor) and one.is_floating_point() else one for one in given)


def _parts(module: torch.nn.Module, path: str) -> Iterator[tuple[str, torch.nn.Module]]:
    """The modules that are taken as one: those that are known, and those that hold no others."""
    children = list(module.named_children())
    if _neuron(module) is not None or not children:
        yield path, module
        return
    for name, child in children:
        yield from _parts(child, f"{path}.{name}" if path else name)


def graph_of_modules(calls: Mapping[str, _Calls], features: Shape, n_steps: int, dt: float) -> nir.NIRGraph:
    """The modules as NIR says them, each under its path.

    Args:
        calls: of one sample.
        features: shape of a step of the sample, as the network takes it.
        n_steps: T.
        dt: length of a time step [s].

    Raises:
        ConfigError: NIR cannot say modules, or they are not known here; the message names each.
    """
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array(features)})}
    shape = features
    faults: list[str] = []
    for path, one in calls.items():
        if isinstance(one.module, SILENT_IN_EVAL):
            continue
        name = _name(path)
        if isinstance(one.module, torch.nn.modules.batchnorm._BatchNorm):
            if not faults:
                _fold(nodes, one.module, path)
            continue
        if isinstance(one.module, torch.nn.Linear | torch.nn.Flatten) and len(shape) > 1:
            nodes[f"{name}_flatten"] = nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)
            shape = (int(np.prod(shape)),)
        if isinstance(one.module, torch.nn.Flatten):
            continue
        try:
            nodes[name], shape = _node(path, one.module, shape, dt)
        except ConfigError as error:
            faults.append(str(error))
            shape = tuple(one.outputs[0].shape[-len(shape) :])
            continue
        if sum(output.numel() for output in one.outputs) != n_steps * int(np.prod(shape)):
            raise ConfigError(f"{path} is not called once for each of {n_steps} steps, so NIR cannot say the network")
    if faults:
        raise ConfigError("; ".join(faults))
    nodes["result"] = nir.Output({"output": np.array(shape)})
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": dt})


def outputs_of_neurons(calls: Mapping[str, _Calls], n_steps: int) -> dict[str, Tensor]:
    """Node -> ``T x N`` of what one sample makes each layer of neurons put out."""
    return {
        _name(path): torch.cat([output.reshape(-1) for output in one.outputs]).view(n_steps, -1)
        for path, one in calls.items()
        if _neuron(one.module) is not None
    }


def _name(path: str) -> str:
    return path.replace(".", "_")


def _node(path: str, module: torch.nn.Module, shape: Shape, dt: float) -> tuple[nir.NIRNode, Shape]:
    if (neuron := _neuron(module)) is not None:
        try:
            return neuron(module, shape, dt), shape
        except ValueError as error:
            raise ConfigError(f"NIR cannot say {path} ({type(module).__name__}): {error}") from None
    match module:
        case torch.nn.Linear():
            weight = _array(module.weight)
            return nir.Affine(weight, _array(module.bias)) if module.bias is not None else nir.Linear(
                weight
            ), weight.shape[:1]
        case torch.nn.Conv2d() if module.padding_mode == "zeros":
            weight = _array(module.weight)
            bias = np.zeros(len(weight)) if module.bias is None else _array(module.bias)
            node = nir.Conv2d(shape[1:], weight, module.stride, module.padding, module.dilation, module.groups, bias)
            return node, tuple(int(side) for side in node.output_type["output"])
        case torch.nn.AvgPool2d() if not module.ceil_mode and module.divisor_override is None:
            sizes = [np.broadcast_to(one, 2) for one in (module.kernel_size, module.stride, module.padding)]
            if not module.count_include_pad and sizes[2].any():
                raise ConfigError(f"NIR cannot say {path}: it leaves the padding out of averages")
            sides = [
                (length + 2 * int(pad) - int(kernel)) // int(step) + 1
                for length, kernel, step, pad in zip(shape[1:], *sizes, strict=True)
            ]
            return nir.AvgPool2d(*(size.copy() for size in sizes)), (shape[0], *sides)
        case _:
            neurons = ", ".join(f"{where.partition('.')[0]}'s {name}" for where, name in NEURONS)
            raise ConfigError(
                f"NIR cannot say {path} ({type(module).__name__}), or it is not known here: Linear, Conv2d, AvgPool2d, "
                f"Flatten, BatchNorm and Dropout of torch are, and {neurons}"
            )


def _fold(nodes: dict[str, nir.NIRNode], norm: Any, path: str) -> None:
    """Take a normalisation into the linear map before it: its averages are fixed once it is trained."""
    name, before = list(nodes.items())[-1]
    if not isinstance(before, nir.Linear | nir.Affine | nir.Conv2d) or norm.running_var is None:
        raise ConfigError(
            f"NIR cannot say {path} ({type(norm).__name__}): it does not follow a linear map or convolution"
        )
    scale = 1.0 / np.sqrt(_array(norm.running_var) + norm.eps)
    if norm.weight is not None:
        scale = scale * _array(norm.weight)
    offset = -_array(norm.running_mean) * scale + (0.0 if norm.bias is None else _array(norm.bias))
    weight = before.weight * scale.reshape(-1, *[1] * (before.weight.ndim - 1))
    bias = getattr(before, "bias", 0.0) * scale + offset
    if isinstance(before, nir.Conv2d):
        before.weight, before.bias = weight, bias
    else:
        nodes[name] = nir.Affine(weight, bias)


# Neurons: each function gives the node of one kind, or raises ValueError with what NIR cannot say.

FROM_WHERE = "NIR does not say from which voltage a neuron begins"
Convert = Callable[[Any, Shape, float], nir.NIRNode]


def _leaky(module: Any, shape: Shape, dt: float) -> nir.NIRNode:
    _refuse_snntorch(module)
    return _lif(shape, dt, share=1.0 - _array(module.beta).clip(0, 1), gain=1.0, threshold=_array(module.threshold))


def _synaptic(module: Any, shape: Shape, dt: float) -> nir.NIRNode:
    _refuse_snntorch(module)
    if module.reset_delay:
        raise ValueError("it loses the input of the step after a spike: reset_delay=False does not")
    share, lost = (1.0 - _array(one).clip(0, 1) for one in (module.beta, module.alpha))
    return _cuba(shape, dt, share, 1.0, lost, _array(module.threshold))


def _refuse_snntorch(module: Any) -> None:
    if module.reset_mechanism != "zero":
        raise ValueError(
            f'its reset is "{module.reset_mechanism}", NIR\'s is to a value: reset_mechanism="zero" is needed'
        )
    if module.inhibition or module.state_quant or float(module.graded_spikes_factor) != 1.0:
        raise ValueError("inhibition, state_quant and graded_spikes_factor have no counterpart")


def _spikingjelly_lif(module: Any, shape: Shape, dt: float) -> nir.NIRNode:
    share = 1.0 / float(module.tau)
    return _lif(shape, dt, share, share if module.decay_input else 1.0, _at_or_above(module))


def _spikingjelly_if(module: Any, shape: Shape, dt: float) -> nir.NIRNode:
    return _lif(shape, dt, 0.0, 1.0, _at_or_above(module))


def _at_or_above(module: Any) -> Array:
    """The threshold of neurons that fire at it too: NIR's fire above theirs."""
    if module.v_reset is None:
        raise ValueError("it resets by subtraction, NIR to a value: v_reset=0.0 is needed")
    if module.v_reset != 0.0:
        raise ValueError(
            f"NIR does not say from which voltage a neuron begins: v_reset=0.0 is needed, found {module.v_reset}"
        )
    below: Array = np.nextafter(np.float64(module.v_threshold), -np.inf)
    return below


def _norse_lif(module: Any, shape: Shape, dt: float) -> nir.NIRNode:
    share, lost = _norse_shares(module, dt)
    node = _cuba(shape, dt, share, share, lost, _array(module.p.v_th))
    node.v_reset = np.broadcast_to(_array(module.p.v_reset), shape).copy()
    return node


def _norse_li(module: Any, shape: Shape, dt: float) -> nir.NIRNode:
    share, lost = _norse_shares(module, dt)
    return nir.CubaLI(
        tau_syn=_filled(dt / lost, shape), tau_mem=_filled(dt / share, shape), r=np.ones(shape), v_leak=np.zeros(shape),
        w_in=_filled(1.0 / lost, shape),
    )  # fmt: skip


def _norse_shares(module: Any, dt: float) -> tuple[Array, Array]:
    """Of voltage and current, what a step loses."""
    if float(module.dt) != dt:
        raise ValueError(f"its dt is {module.dt:g} s, the encoding's dt_ms is {1e3 * dt:g}")
    if _array(module.p.v_leak).any():
        raise ValueError(f"{FROM_WHERE}: v_leak=0 is needed")
    return _array(module.dt * module.p.tau_mem_inv), _array(module.dt * module.p.tau_syn_inv)


NEURONS: Mapping[tuple[str, str], Convert] = {
    ("snntorch", "Leaky"): _leaky,
    ("snntorch", "Synaptic"): _synaptic,
    ("spikingjelly.activation_based.neuron", "LIFNode"): _spikingjelly_lif,
    ("spikingjelly.activation_based.neuron", "IFNode"): _spikingjelly_if,
    ("norse.torch", "LIFCell"): _norse_lif,
    ("norse.torch", "LICell"): _norse_li,
}
"""(module, class) -> how NIR says its neurons; exactly this class, as what derives from it may do something else."""


def _neuron(module: torch.nn.Module) -> Convert | None:
    for (where, name), convert in NEURONS.items():
        if type(module) is getattr(sys.modules.get(where), name, None):
            return convert
    return None


def _lif(shape: Shape, dt: float, share: Any, gain: Any, threshold: Any) -> nir.NIRNode:
    """V <- (1 - share) v + gain I."""
    if not np.any(share):
        return nir.IF(r=_filled(gain / dt, shape), v_threshold=_filled(threshold, shape))
    if not np.all(share):
        raise ValueError("some of its neurons leak and others do not")
    return nir.LIF(
        tau=_filled(dt / share, shape), r=_filled(gain / share, shape), v_leak=np.zeros(shape),
        v_threshold=_filled(threshold, shape),
    )  # fmt: skip


def _cuba(shape: Shape, dt: float, share: Any, gain: Any, lost: Any, threshold: Any) -> nir.NIRNode:
    """I <- (1 - lost) I + x, v <- (1 - share) v + gain I."""
    if not (np.all(share) and np.all(lost)):
        raise ValueError("a voltage or a current of it does not leak")
    return nir.CubaLIF(
        tau_syn=_filled(dt / lost, shape), tau_mem=_filled(dt / share, shape), r=_filled(gain / share, shape),
        v_leak=np.zeros(shape), v_threshold=_filled(threshold, shape), w_in=_filled(1.0 / lost, shape),
    )  # fmt: skip


def _filled(values: Any, shape: Shape) -> Array:
    return np.broadcast_to(values, shape).astype(np.float64)


def _array(values: Any) -> Array:
    array: Array = torch.as_tensor(values).detach().cpu().double().numpy()
    return array
