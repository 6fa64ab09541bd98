"""A file of NIR, kept only if it is read back and fires the spikes of the network that it was made of."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import nir
import torch
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.atomic_write import atomic_write
from snnhpo_mpi.snn.data.part import Samples
from snnhpo_mpi.snn.encode import encoded, spike_generator
from snnhpo_mpi.snn.load_network import read_contents
from snnhpo_mpi.snn.nir.graph import graph_of
from snnhpo_mpi.snn.nir.interpreter import run
from snnhpo_mpi.snn.slayer.csnn import LAYOUTS, Csnn
from snnhpo_mpi.snn.slayer.learner import reader_of
from snnhpo_mpi.trial import Params

CPU = torch.device("cpu")


def convert(saved: Path, path: Path, samples: Samples) -> int:
    """Write the NIR of a network that ``snnhpo retrain --save`` kept; see ``write_proven``.

    Args:
        saved: file of the network.
        path: of the new file, ``.nir``.
        samples: ``B x C x H x W ...`` that it is tried on, as ``data`` has them.

    Raises:
        ConfigError: NIR cannot say the network, or the file fires other spikes.
        RecordError: the saved network is missing or damaged.
    """
    contents = read_contents(saved)
    name = contents["network"]
    if name not in LAYOUTS:
        raise ConfigError(f"{saved}: NIR is written of the networks {', '.join(LAYOUTS)}, not of {name}")
    network, encoding = reader_of(contents, CPU).network, EncodingSettings.model_validate(contents["encoding"])
    if not isinstance(network, Csnn):
        raise ConfigError(f"{saved}: trained by engine: library, whose neurons NIR does not have")
    spikes = encoded(torch.from_numpy(samples), encoding, spike_generator(0, CPU))
    return write_proven(path, network, contents["params"], spikes, encoding.dt_ms * 1e-3)


def write_proven(path: Path, network: Csnn, params: Params, spikes: Tensor, dt: float) -> int:
    """Write a network, whole and proven or not at all.

    Both compute in double precision, so that the order of a sum decides no spike.

    Args:
        path: of the file, ``.nir``.
        network: trained.
        params: its hyperparameters.
        spikes: ``B x T x C x H x W`` of samples that it is tried on.
        dt: length of a time step [s].

    Returns:
        How many spikes of all layers were compared.

    Raises:
        ConfigError: NIR cannot say the network, or the file fires other spikes; the message has the first one.
    """
    shape = (spikes.shape[2], spikes.shape[3], spikes.shape[4])
    graph = graph_of(network, shape, params, dt)
    with atomic_write(path, durable=True) as new:
        nir.write(new, graph)
        fired, read = _fired(network, spikes), run(nir.read(new), spikes)
        if fault := first_difference(fired, read):
            raise ConfigError(f"{path.name} is not written: it would not compute what the network does: {fault}")
    return int(sum(layer.sum() for layer in fired.values()))


@torch.no_grad()
def _fired(network: Csnn, spikes: Tensor) -> dict[str, Tensor]:
    """Spikes of each layer: ``B x T x ...``."""
    exact, fired = copy.deepcopy(network).cpu().double().eval(), {}
    x = spikes.double().transpose(0, 1)
    for name, block in exact.blocks.items():
        x = block(x)
        fired[name] = x.transpose(0, 1)
    return fired


def first_difference(fired: Mapping[str, Tensor], read: Mapping[str, Tensor]) -> str | None:
    """Where a file's spikes first differ from the network's, in the order of layers, then steps; None if nowhere.

    Args:
        fired: layer -> ``B x T x ...`` spikes of the network, whose l-th layer, from 1, is l steps late.
        read: node -> ``B x T x ...`` spikes of the file; a layer's are delayed where it has a node for that.
    """
    for late, (name, ours) in enumerate(fired.items(), start=1):
        theirs = read.get(f"{name}_delay", read[name])
        kept = max(ours.shape[1] - late, 0)
        shifted = torch.zeros_like(ours)
        shifted[:, late:] = theirs[:, :kept]
        differs = (ours != shifted).transpose(0, 1).flatten(2)  # T x B x N
        if differs.any():
            step, sample, neuron = differs.nonzero()[0].tolist()
            which = "the network" if ours[sample, step].flatten()[neuron] else "the file"
            return f"layer {name}, sample {sample}, step {step}, neuron {neuron}: only {which} fires"
    return None
