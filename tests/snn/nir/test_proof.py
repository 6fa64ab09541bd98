"""Files of NIR: what they hold, what is refused, and that a file which fires other spikes is never kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from torch import Tensor

from snnhpo_mpi.errors import ConfigError, RecordError
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.snn.nir import proof
from snnhpo_mpi.snn.nir.graph import graph_of
from snnhpo_mpi.snn.nir.interpreter import run
from snnhpo_mpi.snn.nir.proof import csnn_written, keep_if_proven
from snnhpo_mpi.snn.slayer.csnn import LAYOUTS, MAX_DELAY_STEPS, Csnn

DT, N_STEPS = 1e-3, 30
SHAPE = (1, 14, 14)


def network_of(name: str, delays: bool = False, **params: Any) -> tuple[Csnn, dict[str, Any]]:
    torch.manual_seed(3)
    params = defaults("slayer", name) | {"threshold": 0.2, "c1_k": 3, "c2_k": 3, "hidden": 24} | params
    network = Csnn(SHAPE, 10, params, layout=LAYOUTS[name])
    for module in network.modules() if delays else ():
        if hasattr(module, "delay") and isinstance(module.delay, torch.nn.Parameter):
            module.delay.data.uniform_(-1, MAX_DELAY_STEPS / 8)
    return network, params


def spikes(n_samples: int = 6) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return (torch.rand(n_samples, N_STEPS, *SHAPE, generator=random) < 0.3).double()


def write(path: Path, network: Csnn, params: dict[str, Any]) -> int:
    return keep_if_proven(path, csnn_written(network, params, spikes(), DT), spikes())


@pytest.mark.parametrize("name", ["dense", "csnn"])
@pytest.mark.parametrize("delays", [False, True])
@pytest.mark.parametrize(
    ("neuron", "decays"),
    [
        ("lif", {"voltage_decay": 0.03}),
        ("lif", {"voltage_decay": 0.0}),
        ("lif", {"voltage_decay": 1.0}),
        ("cuba", {"current_decay": 0.25, "voltage_decay": 0.1}),
        ("cuba", {"current_decay": 1.0, "voltage_decay": 0.3}),
    ],
)
def test_a_file_fires_the_spikes_of_its_network(
    name: str, delays: bool, neuron: str, decays: dict[str, float], tmp_path: Path
) -> None:
    network, params = network_of(name, delays, neuron=neuron, **decays)
    path = tmp_path / "net.nir"
    n_spikes = write(path, network, params)
    fired = run(nir.read(path), spikes())
    assert n_spikes > 300 and fired["result"].shape == (6, N_STEPS, 10) and fired["result"].sum() > 10
    assert any(one.endswith("_delay") for one in fired) == delays


def test_numbers_are_vectors_with_a_value_for_each_neuron(tmp_path: Path) -> None:
    network, params = network_of("csnn", neuron="cuba")
    write(tmp_path / "net.nir", network, params)
    graph = nir.read(tmp_path / "net.nir")
    assert graph.nodes["c1"].tau_mem.shape == (8, 12, 12)
    assert graph.nodes["c1"].tau_mem == pytest.approx(DT / params["voltage_decay"])
    assert graph.nodes["output"].r.shape == (10,)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("dense", {"neuron": "alif"}, "NIR has no alif neurons"),
        ("dense", {"neuron": "cuba", "current_decay": 0.0}, "current_decay must be above 0"),
        ("csnn", {"neuron": "lif", "c1_k": 4}, "NIR cannot say pool1: it pads a map of 11 x 11"),
    ],
)
def test_what_nir_cannot_say_is_named(name: str, params: dict[str, Any], said: str, tmp_path: Path) -> None:
    network, params = network_of(name, **params)
    with pytest.raises(ConfigError, match=said):
        write(tmp_path / "net.nir", network, params)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layer", ["hidden", "output"])
def test_a_file_that_fires_other_spikes_is_not_kept(
    layer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*given: Any) -> nir.NIRGraph:
        graph = graph_of(*given)
        graph.nodes[layer].v_threshold *= 1.1
        return graph

    monkeypatch.setattr(proof, "graph_of", wrong)
    network, params = network_of("dense", neuron="lif")
    with pytest.raises(
        ConfigError, match=rf"layer {layer}, sample \d+, step \d+, neuron \d+: 1 in the network, 0 in the file"
    ):
        write(tmp_path / "net.nir", network, params)
    assert not list(tmp_path.iterdir())


def lif(n: int = 1, **changes: float) -> nir.LIF:
    values = {"tau": 2 * DT, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | changes
    return nir.LIF(**{name: np.full(n, value) for name, value in values.items()})


def graph(*nodes: nir.NIRNode) -> nir.NIRGraph:
    made = nir.NIRGraph.from_list(*nodes)
    made.metadata = {"dt": DT}
    return made


def test_a_step_of_lif_by_hand() -> None:
    """Half of the voltage is left; a current counts once."""
    given = torch.tensor([0.8, 0.8, 0.0, 0.6, 0.6, 0.6]).view(1, 6, 1)  # 0.8, 1.2 fires, 0, 0.6, 0.9, 1.05 fires
    assert run(graph(lif()), given)["lif"].flatten().tolist() == [0, 1, 0, 0, 0, 1]


def test_leak_and_reset_need_not_be_zero() -> None:
    given = torch.zeros(1, 6, 1)  # v: 1, 1.5 fires, back to -1, 0.5, 1.25 ...
    fired = run(graph(lif(v_leak=2.0, v_reset=-1.0, v_threshold=1.2)), given)["lif"]
    assert fired.flatten().tolist() == [0, 1, 0, 1, 0, 1]


def test_what_is_no_chain_or_not_known_is_named() -> None:
    with pytest.raises(RecordError, match="is a Threshold"):
        run(graph(nir.Threshold(np.ones(1))), torch.zeros(1, 2, 1))
    loop = nir.NIRGraph(
        {"input": nir.Input({"input": np.array([1])}), "lif": lif(), "output": nir.Output({"output": np.array([1])})},
        [("input", "lif"), ("lif", "lif"), ("lif", "output")],
        metadata={"dt": DT},
    )
    with pytest.raises(RecordError, match="branches or goes round at lif"):
        run(loop, torch.zeros(1, 2, 1))
