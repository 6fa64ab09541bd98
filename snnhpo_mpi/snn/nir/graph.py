"""A network of ours as a graph of NIR: linear maps, convolutions and sums in space, and its neurons.

NIR's equations are continuous in time. Ours are their forward Euler steps of length dt:

    LIF       v <- v + dt / tau (v_leak - v + r I)                      ours: tau = dt / d_v, r = 1 / d_v
    CubaLIF   I <- I + dt / tau_syn (-I + w_in S), then as LIF of I     ours: tau_syn = dt / d_u, w_in = 1 / d_u
    IF        v <- v + dt r I                                           ours: r = 1 / dt, where nothing leaks

Each layer of ours takes a step of time, and the last steps' spikes are lost. The graph has no such steps: what layer l
of the network does in step t, layer l of the graph does in step t - l.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.neurons import DEFAULT
from snnhpo_mpi.snn.slayer.csnn import Conv, Csnn, Dense, Pool, Shape
from snnhpo_mpi.trial import Params

Array = NDArray[Any]
WRITES = ("lif", "cuba")  # neurons that NIR has


def graph_of(network: Csnn, input_shape: Shape, params: Params, dt: float) -> nir.NIRGraph:
    """The network as NIR says it. A layer's neurons have its name, what drives them has ``_in`` after it.

    Args:
        network: trained.
        input_shape: ``C x H x W`` of its input.
        params: its hyperparameters.
        dt: length of a time step [s].

    Raises:
        ConfigError: something of the network cannot be said in NIR; the message names it.
    """
    neuron = _neuron(params)
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array(input_shape)})}
    shape: tuple[int, ...] = input_shape
    for name, block in network.blocks.items():
        if isinstance(block, Dense) and len(shape) > 1:
            nodes["flatten"] = nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)
        nodes[f"{name}_in"], shape = _drive(name, block, shape)
        nodes[name] = neuron(shape, params, dt)
        if delays := _delays(block, shape, dt):
            nodes[f"{name}_delay"] = delays
    nodes["result"] = nir.Output({"output": np.array(shape)})
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": dt})


def _neuron(params: Params) -> Any:
    kind = str(params.get("neuron", DEFAULT))
    if kind not in WRITES:
        raise ConfigError(
            f"NIR has no {kind} neurons, whose thresholds adapt and which have a refractory response: search with "
            f"neuron: {' or '.join(WRITES)} to deploy what is found"
        )
    if kind == "lif":
        return _lif
    for name in ("current_decay", "voltage_decay"):
        if float(params[name]) == 0.0:
            raise ConfigError(f"NIR has no cuba neurons that keep everything: {name} must be above 0")
    return _cuba


def _lif(shape: tuple[int, ...], params: Params, dt: float) -> nir.NIRNode:
    decay, threshold = float(params["voltage_decay"]), np.full(shape, float(params["threshold"]))
    if decay == 0.0:
        return nir.IF(r=np.full(shape, 1.0 / dt), v_threshold=threshold)
    return nir.LIF(
        tau=np.full(shape, dt / decay), r=np.full(shape, 1.0 / decay), v_leak=np.zeros(shape), v_threshold=threshold
    )


def _cuba(shape: tuple[int, ...], params: Params, dt: float) -> nir.NIRNode:
    current, voltage = float(params["current_decay"]), float(params["voltage_decay"])
    return nir.CubaLIF(
        tau_syn=np.full(shape, dt / current),
        tau_mem=np.full(shape, dt / voltage),
        r=np.full(shape, 1.0 / voltage),
        v_leak=np.zeros(shape),
        v_threshold=np.full(shape, float(params["threshold"])),
        w_in=np.full(shape, 1.0 / current),
    )


def _drive(name: str, block: torch.nn.Module, shape: tuple[int, ...]) -> tuple[nir.NIRNode, tuple[int, ...]]:
    """What reaches a layer's neurons, and their shape."""
    match block:
        case Conv():
            weight = _numbers(block.rounded())
            sides = tuple(side - k + 1 for side, k in zip(shape[1:], weight.shape[2:], strict=True))
            bias = np.zeros(len(weight), weight.dtype)
            return nir.Conv2d(shape[1:], weight, 1, 0, 1, 1, bias), (len(weight), *sides)
        case Dense():
            weight = _numbers(block.rounded().flatten(1))
            return nir.Linear(weight), (len(weight),)
        case Pool():
            side = np.array([block.side, block.side])
            if any(length % block.side for length in shape[1:]):
                rows, columns = shape[1:]
                raise ConfigError(
                    f"NIR cannot say {name}: it pads a map of {rows} x {columns} on one side to fill squares of "
                    f"{block.side} x {block.side}: choose kernel sizes that leave a multiple of {block.side}"
                )
            pooled = tuple(length // block.side for length in shape[1:])
            return nir.SumPool2d(side, side, np.array([0, 0])), (shape[0], *pooled)
        case _:
            raise AssertionError(block)


def _delays(block: torch.nn.Module, shape: tuple[int, ...], dt: float) -> nir.NIRNode | None:
    """The delays of a layer's axons, None where all of them are less than a step."""
    if not isinstance(block, Conv | Dense) or block.delay is None:
        return None
    steps = np.floor(_numbers(block.delay.delay).clip(0, block.delay.max_delay))
    if not steps.any():
        return None
    return nir.Delay(np.broadcast_to(dt * steps.reshape(-1, *[1] * (len(shape) - 1)), shape).copy())


def _numbers(tensor: torch.Tensor) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array
