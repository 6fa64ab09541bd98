"""What a file of NIR computes, step by step: an interpreter that shares no code with the networks.

Euler steps of NIR's equations, as ``graph`` has them, in double precision. The constants that a step is made of, such
as dt / tau, are rounded to twelve digits: the rest is rounding of what the file has.

Notation: T steps, B samples.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from snnhpo_mpi.errors import RecordError

N_DIGITS = 12


def run(graph: nir.NIRGraph, given: Tensor) -> dict[str, Tensor]:
    """Runs all steps from rest.

    Args:
        graph: a chain of nodes from one input to one output, with ``dt`` [s] in its metadata.
        given: ``B x T x ...`` spikes.

    Returns:
        Of each node what it gives: ``B x T x ...``, in order; of neurons their spikes.

    Raises:
        RecordError: the graph is no chain, or has a node that is not known here.
    """
    dt = float(graph.metadata["dt"])
    x, outputs = given.to(torch.float64).transpose(0, 1), {}
    for name in _chain(graph):
        x = _step_through(graph.nodes[name], x, dt, name)
        outputs[name] = x.transpose(0, 1)
    return outputs


def _chain(graph: nir.NIRGraph) -> list[str]:
    follows: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        follows[source].append(target)
    (name,) = graph.inputs
    names = [name]
    while after := follows[names[-1]]:
        if len(after) > 1 or after[0] in names:
            raise RecordError(f"the graph branches or goes round at {names[-1]}, which is not read here")
        names.append(after[0])
    return names


def _step_through(node: nir.NIRNode, x: Tensor, dt: float, name: str) -> Tensor:
    """All steps of one node: ``T x B x ...`` -> ``T x B x ...``."""
    match node:
        case nir.Input():  # a sample's features may be flat in the file
            return x.reshape(*x.shape[:2], *map(int, node.input_type["input"]))
        case nir.Output():
            return x
        case nir.Flatten():
            return x.flatten(2 + int(node.start_dim), _axis(node.end_dim))
        case nir.Linear():
            return functional.linear(x, _tensor(node.weight))
        case nir.Affine():
            return functional.linear(x, _tensor(node.weight), _tensor(node.bias))
        case nir.Conv2d():
            made = functional.conv2d(
                x.flatten(0, 1),
                _tensor(node.weight),
                _tensor(node.bias),
                _sides(node.stride),
                node.padding if isinstance(node.padding, str) else _sides(node.padding),
                _sides(node.dilation),
                int(node.groups),
            )
            return made.view(*x.shape[:2], *made.shape[1:])
        case nir.SumPool2d() | nir.AvgPool2d():
            divisor = 1 if isinstance(node, nir.SumPool2d) else None
            made = functional.avg_pool2d(
                x.flatten(0, 1),
                _sides(node.kernel_size),
                _sides(node.stride),
                _sides(node.padding),
                divisor_override=divisor,
            )
            return made.view(*x.shape[:2], *made.shape[1:])
        case nir.Delay():
            return _delayed(x, torch.from_numpy(np.rint(node.delay / dt).astype(np.int64)))
        case nir.IF():
            return _fire(node, x, torch.zeros(()), _constant(dt * node.r), torch.zeros(()))
        case nir.LIF():
            share = _constant(dt / node.tau)
            return _fire(node, x, share, _constant(dt / node.tau * node.r), share * _tensor(node.v_leak))
        case nir.CubaLIF():
            share = _constant(dt / node.tau_mem)
            leak = share * _tensor(node.v_leak)
            return _fire(node, _synaptic(node, x, dt), share, _constant(dt / node.tau_mem * node.r), leak)
        case nir.CubaLI():
            current = _integrated(
                x, _constant(dt / node.tau_syn), _constant(dt / node.tau_syn * node.w_in), torch.zeros(())
            )
            share = _constant(dt / node.tau_mem)
            return _integrated(current, share, _constant(dt / node.tau_mem * node.r), share * _tensor(node.v_leak))
        case _:
            raise RecordError(f"{name} is a {type(node).__name__}, which is not read here")


def _fire(node: Any, current: Tensor, lost: Tensor, gain: Tensor, leak: Tensor) -> Tensor:
    """Spikes of neurons that lose a share of their voltage in each step, and reset where they are above threshold."""
    threshold, reset = _tensor(node.v_threshold), _tensor(node.v_reset)
    v, fired = torch.zeros_like(current[0]), torch.empty_like(current)
    for t, arriving in enumerate(current):
        v = (1.0 - lost) * v + gain * arriving + leak
        above = v > threshold
        fired[t] = above
        v = torch.where(above, reset, v)
    return fired


def _synaptic(node: Any, x: Tensor, dt: float) -> Tensor:
    """The synaptic current in each step."""
    lost, gain = _constant(dt / node.tau_syn), _constant(dt / node.tau_syn * node.w_in)
    return _integrated(x, lost, gain, torch.zeros(()))


def _integrated(x: Tensor, lost: Tensor, gain: Tensor, leak: Tensor) -> Tensor:
    """A current or a voltage in each step, of which a share is lost in each."""
    value, values = torch.zeros_like(x[0]), torch.empty_like(x)
    for t, arriving in enumerate(x):
        value = (1.0 - lost) * value + gain * arriving + leak
        values[t] = value
    return values


def _delayed(x: Tensor, steps: Tensor) -> Tensor:
    """Each neuron's spikes so many steps later; what would come after the last is lost."""
    source = torch.arange(len(x)).view(-1, *[1] * (x.dim() - 1)) - steps
    given = x.gather(0, source.clamp(min=0).expand_as(x))
    return given.masked_fill(source < 0, 0.0)


def _constant(numbers: Any) -> Tensor:
    exponents = np.floor(np.log10(np.maximum(np.abs(numbers), 1e-300)))
    scale = 10.0 ** (N_DIGITS - 1 - exponents)
    return _tensor(np.rint(numbers * scale) / scale)


def _tensor(numbers: Any) -> Tensor:
    return torch.as_tensor(np.asarray(numbers), dtype=torch.float64)


def _sides(numbers: Any) -> tuple[int, int]:
    high, wide = np.broadcast_to(numbers, 2)
    return int(high), int(wide)


def _axis(end: Any) -> int:
    """An axis of a sample, from 0 or the end, as one of ``T x B x ...``."""
    return int(end) if end < 0 else int(end) + 2
