"""What the answer of a network depends on: one thing is changed, and the answer compared.

The networks that are handed in are copies, in eval mode; their random numbers are not those of a training.

Notation: B samples, T steps, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.snn.torch.adapters import resets
from snnhpo_mpi.snn.torch.axes import Readout, first_tensor
from snnhpo_mpi.snn.torch.presentation import Presentation

SEED = 1
STRENGTHS = (1.0, 10.0, 100.0, 1000.0, 10000.0)  # times the samples: a silent network shows nothing


def answer(network: torch.nn.Module, presentation: Presentation, readout: Readout, samples: Tensor) -> Tensor:
    """``B x T x K`` from a state without any past, with the same random numbers each time."""
    for reset in resets(network):
        reset()
    torch.manual_seed(SEED)
    calls = presentation.returned(network, samples)
    return torch.cat([readout.read(presentation.chosen(one), len(samples)) for one in calls], 1)


def mixes_samples(network: torch.nn.Module, presentation: Presentation, readout: Readout, samples: Tensor) -> bool:
    """Whether another first sample changes the answers to the others; a batch's own normalisation may do so."""
    batch_norm = torch.nn.modules.batchnorm._BatchNorm
    if any(isinstance(one, batch_norm) and one.running_mean is None for one in network.modules()):
        return False
    before = answer(network, presentation, readout, samples)[1:]
    draws = torch.Generator().manual_seed(SEED)
    for strength in STRENGTHS:
        other = samples.clone()
        other[0] = strength * torch.rand(samples.shape[1:], generator=draws).to(samples.device)
        after = answer(network, presentation, readout, other)[1:]
        if not torch.allclose(before, after, rtol=1e-3, atol=1e-6, equal_nan=True):
            return True
    return False


def unread(
    network: torch.nn.Module,
    presentation: Presentation,
    readout: Readout,
    samples: Tensor,
    paths: Sequence[str],
) -> set[str]:
    """The modules whose spikes do not reach the answer, as of a last layer whose potentials are read.

    No gradient leads from the answer to these spikes, and the answer is the same without them.

    Args:
        network: as above.
        presentation: how it takes samples, and which output is read.
        readout: of that output.
        samples: ``B x T x C x H x W``.
        paths: of modules that spike.
    """
    found: dict[str, list[Tensor]] = {path: [] for path in paths}

    def keep(path: str, output: Any) -> None:
        spikes = first_tensor(output)
        if spikes is not None and spikes.requires_grad:
            found[path].append(spikes)

    hooks = [
        network.get_submodule(path).register_forward_hook(lambda module, given, output, path=path: keep(path, output))
        for path in paths
    ]
    with torch.enable_grad():
        total = answer(network, presentation, readout, samples).sum()
    for hook in hooks:
        hook.remove()
    tensors = [(path, one) for path, ones in found.items() for one in ones]
    if not total.requires_grad or not tensors:
        return set()
    slopes = torch.autograd.grad(total, [one for _, one in tensors], allow_unused=True)
    reached = {path for (path, _), slope in zip(tensors, slopes, strict=True) if slope is not None}
    apart = [path for path, ones in found.items() if ones and path not in reached]
    return {path for path in apart if not _changes(network, presentation, readout, samples, path)}


def _changes(
    network: torch.nn.Module, presentation: Presentation, readout: Readout, samples: Tensor, path: str
) -> bool:
    """Whether the answer is another one without the spikes of a module, which may be used where no gradient leads."""
    fired = False

    def silence(module: torch.nn.Module, given: Any, output: Any) -> None:
        nonlocal fired
        if (spikes := first_tensor(output)) is not None:
            fired |= bool(spikes.any())
            spikes.zero_()

    for strength in STRENGTHS:
        with torch.no_grad():
            before = answer(network, presentation, readout, strength * samples)
            hook = network.get_submodule(path).register_forward_hook(silence)
            after = answer(network, presentation, readout, strength * samples)
        hook.remove()
        if fired:
            return not torch.equal(before, after)
    return False
