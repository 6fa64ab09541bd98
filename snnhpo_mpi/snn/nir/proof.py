"""A file of NIR, kept only if it is read back and fires the spikes of the network that it was made of."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
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
from snnhpo_mpi.snn.nir.modules import calls_of, graph_of_modules, outputs_of_neurons
from snnhpo_mpi.snn.slayer import learner as slayer_learner
from snnhpo_mpi.snn.slayer.csnn import LAYOUTS, Csnn
from snnhpo_mpi.snn.torch import learner as torch_learner
from snnhpo_mpi.snn.torch.learning import Reading
from snnhpo_mpi.trial import Params

CPU = torch.device("cpu")
WRITTEN = "BTN", "TBN", "step"  # layouts in which modules show one time step after another
ROUNDING = 1e-9  # of a potential that is compared


@dataclass(frozen=True, slots=True)
class Written:
    """A network as NIR says it, and what its layers put out.

    Attributes:
        graph: with a node for each layer.
        outputs: node -> ``B x T' x ...``: spikes, or potentials, of the first T' steps of the file's time.
    """

    graph: nir.NIRGraph
    outputs: Mapping[str, Tensor]


def convert(saved: Path, path: Path, samples: Samples) -> int:
    """Write the NIR of a network that ``snnhpo retrain --save`` kept, whole and proven or not at all.

    Both compute in double precision, so that the order of a sum decides no spike.

    Args:
        saved: file of the network.
        path: of the new file, ``.nir``.
        samples: ``B x C x H x W ...`` that it is tried on, as ``data`` has them.

    Returns:
        How many spikes were compared.

    Raises:
        ConfigError: NIR cannot say the network, or the file fires other spikes; the message has the first one.
        RecordError: the saved network is missing or damaged.
    """
    contents = read_contents(saved)
    if contents["trainer"] == "stdp":
        raise ConfigError(f"{saved}: NIR has no neurons whose thresholds adapt, as those of STDP networks do")
    encoding = EncodingSettings.model_validate(contents["encoding"])
    spikes = encoded(torch.from_numpy(samples), encoding, spike_generator(0, CPU)).double()
    dt = encoding.dt_ms * 1e-3
    if contents["trainer"] == "torch":
        return keep_if_proven(path, modules_written(torch_learner.reader_of(contents, CPU).reading, spikes, dt), spikes)
    network = slayer_learner.reader_of(contents, CPU).network
    if not isinstance(network, Csnn):
        raise ConfigError(
            f"{saved}: NIR is written of the networks {', '.join(LAYOUTS)} with engine: fast, and of those of the "
            "trainer torch"
        )
    return keep_if_proven(path, csnn_written(network, contents["params"], spikes, dt), spikes)


def keep_if_proven(path: Path, written: Written, spikes: Tensor) -> int:
    """Write a file, read it back and compute it: what it puts out must be what the network does.

    Raises:
        ConfigError: it is not; the message has the first difference. The file is not kept.
    """
    with atomic_write(path, durable=True) as new:
        nir.write(new, written.graph)
        if fault := first_difference(written.outputs, run(nir.read(new), spikes)):
            raise ConfigError(f"{path.name} is not written: it would not compute what the network does: {fault}")
    return int(sum(layer.sum() for layer in written.outputs.values() if _is_spikes(layer)))


@torch.no_grad()
def csnn_written(network: Csnn, params: Params, spikes: Tensor, dt: float) -> Written:
    """A network of ours. Its l-th layer, from 1, is l steps later than the file's, and its last steps are lost.

    Args:
        network: trained.
        params: its hyperparameters.
        spikes: ``B x T x C x H x W``.
        dt: length of a time step [s].

    Raises:
        ConfigError: NIR cannot say it.
    """
    graph = graph_of(network, (spikes.shape[2], spikes.shape[3], spikes.shape[4]), params, dt)
    exact, outputs = copy.deepcopy(network).cpu().double().eval(), {}
    x = spikes.transpose(0, 1)
    for late, (name, block) in enumerate(exact.blocks.items(), start=1):
        x = block(x)
        delayed = f"{name}_delay"
        outputs[delayed if delayed in graph.nodes else name] = x[late:].transpose(0, 1)
    return Written(graph, outputs)


def modules_written(reading: Reading, spikes: Tensor, dt: float) -> Written:
    """A network of anybody's modules, one sample after another.

    Raises:
        ConfigError: NIR cannot say it.
    """
    n_steps, presentation = spikes.shape[1], reading.presentation
    if presentation.layout not in WRITTEN:
        raise ConfigError(
            f"NIR is written of networks with layout: {', '.join(WRITTEN)}; trainer.layout is {presentation.layout}"
        )
    exact = copy.deepcopy(reading.network).cpu().double().eval()
    calls = [calls_of(exact, presentation, sample[None]) for sample in spikes]
    features = spikes.shape[2:] if presentation.features == "CHW" else (spikes[0, 0].numel(),)
    graph = graph_of_modules(calls[0], tuple(features), n_steps, dt)
    of_samples = [outputs_of_neurons(one, n_steps) for one in calls]
    return Written(graph, {name: torch.stack([one[name] for one in of_samples]) for name in of_samples[0]})


def first_difference(outputs: Mapping[str, Tensor], read: Mapping[str, Tensor]) -> str | None:
    """Where a file first does something else than its network, in the order of layers, then steps; None if nowhere.

    Args:
        outputs: node -> ``B x T' x ...`` of the network.
        read: node -> ``B x T x ...`` of the file.
    """
    for name, ours in outputs.items():
        theirs = read[name][:, : ours.shape[1]].reshape(ours.shape)
        differs = ours != theirs if _is_spikes(ours) else (ours - theirs).abs() > ROUNDING * (1.0 + ours.abs())
        differs = differs.transpose(0, 1).flatten(2)  # T' x B x N
        if differs.any():
            step, sample, neuron = differs.nonzero()[0].tolist()
            of_network, of_file = (float(one[sample, step].flatten()[neuron]) for one in (ours, theirs))
            return (
                f"layer {name}, sample {sample}, step {step}, neuron {neuron}: {of_network:g} in the network, "
                f"{of_file:g} in the file"
            )
    return None


def _is_spikes(output: Tensor) -> bool:
    return bool((output == output.round()).all())
