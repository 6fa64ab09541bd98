"""Neurons ``lif`` and ``cuba``: spikes and gradients of a plain loop that torch differentiates by itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from snnhpo_mpi.hyperparameters.neurons import NEURONS
from snnhpo_mpi.snn.slayer.neurons import neuron_of
from snnhpo_mpi.snn.slayer.neurons.lif import Lif, lif

N_STEPS = 40


class _Step(torch.autograd.Function):
    """1 above 0; the gradient of the surrogate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, neuron: Lif) -> Tensor:
        ctx.neuron = neuron
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,), neuron = ctx.saved_tensors, ctx.neuron
        return grads[0] * neuron.scale / (2 * neuron.tau) * torch.exp(-x.abs() / neuron.tau), None


def _plain(current: Tensor, neuron: Lif) -> Tensor:
    """The equations as they stand, a step at a time."""
    u, v, fired = torch.zeros_like(current[0]), torch.zeros_like(current[0]), []
    for arriving in current:
        u = neuron.keep_current * u + arriving
        v = neuron.keep_voltage * v + u
        spike = _Step.apply(v - neuron.threshold, neuron)
        fired.append(spike)
        v = v * (1 - spike.detach())
    return torch.stack([torch.zeros_like(fired[0]), *fired[:-1]])


def _params(kind: str, **changes: float) -> dict[str, float | str]:
    values: dict[str, Any] = {name: one.default for name, one in NEURONS[kind].takes.items()}
    return values | changes | {"neuron": kind}


@pytest.mark.parametrize("kind", ["lif", "cuba"])
@pytest.mark.parametrize("decay", [0.0, 0.03, 0.5, 1.0])
def test_spikes_and_gradients_are_those_of_a_plain_loop(kind: str, decay: float) -> None:
    params = _params(kind, voltage_decay=decay)
    random = torch.Generator().manual_seed(0)
    current = torch.randn(N_STEPS, 3, 5, generator=random, dtype=torch.float64).add_(0.2)
    weight = torch.randn(N_STEPS, 3, 5, generator=random, dtype=torch.float64)
    ours, plain = current.clone().requires_grad_(), current.clone().requires_grad_()
    fired, expected = neuron_of(params)(ours), _plain(plain, lif(params))
    assert torch.equal(fired, expected) and 0 < fired.sum() < fired.numel()
    (fired * weight).sum().backward()
    (expected * weight).sum().backward()
    assert torch.allclose(ours.grad, plain.grad, rtol=1e-12, atol=0) and (ours.grad != 0).any()


def test_a_spike_puts_the_voltage_back_to_rest_and_leaves_a_step_later() -> None:
    current = torch.tensor([0.75, 0.75, 0.75, 0.75, 0.75, 0.0])
    fired = neuron_of(_params("lif", threshold=1.25, voltage_decay=0.0))(current)
    assert fired.tolist() == [0, 0, 1, 0, 1, 0]  # 0.75, 1.5 fires, 0.75, 1.5 fires


def test_a_current_outlasts_the_spike_that_it_caused() -> None:
    current = torch.tensor([2.0, 0.0, 0.0, 0.0])
    assert neuron_of(_params("cuba", threshold=1.5, current_decay=0.0, voltage_decay=0.0))(current).sum() == 3
    assert neuron_of(_params("lif", threshold=1.5, voltage_decay=0.0))(current).sum() == 1


def test_exactly_the_threshold_is_no_spike() -> None:
    params = _params("lif", threshold=1.25, voltage_decay=1.0)
    assert neuron_of(params)(torch.tensor([1.25, 0.0])).sum() == 0
