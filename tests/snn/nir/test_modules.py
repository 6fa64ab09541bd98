"""Networks of other libraries as files of NIR: the file fires their spikes, or says what it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import pytest
import torch
from torch import Tensor, nn

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.nir.proof import keep_if_proven, modules_written
from snnhpo_mpi.snn.torch.learning import Reading
from snnhpo_mpi.snn.torch.presentation import Presentation
from snnhpo_mpi.snn.torch.probe import probe

DT, N_STEPS, SHAPE = 1e-3, 20, (1, 8, 8)


def spikes() -> Tensor:
    random = torch.Generator().manual_seed(1)
    return (torch.rand(5, N_STEPS, *SHAPE, generator=random) < 0.4).double()


class Steps(nn.Module):
    """A chain whose neurons keep their own state, or are given it, called once a time step."""

    def __init__(self, *parts: nn.Module, states: bool = False) -> None:
        super().__init__()
        self.parts, self.states = nn.ModuleList(parts), states

    def forward(self, x: Tensor) -> Tensor:
        kept: dict[int, Any] = {}
        outputs = []
        for step in x:
            for number, part in enumerate(self.parts):
                if isinstance(part, nn.Linear | nn.Flatten | nn.Conv2d | nn.AvgPool2d | nn.Dropout):
                    step = part(step)
                elif self.states:
                    step, kept[number] = part(step, kept.get(number))
                else:
                    step = part(step)
            outputs.append(step)
        return torch.stack(outputs)


def exported(network: nn.Module, path: Path, layout: str = "TBN", features: str = "CHW") -> nir.NIRGraph:
    presentation = Presentation(layout, features, 0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3.0)
    found = probe(network, presentation, spikes().float(), 10)
    reading = Reading(network, presentation, found, "rate_cross_entropy")
    n_spikes = keep_if_proven(path, modules_written(reading, spikes(), DT), spikes())
    assert n_spikes > 200
    return nir.read(path)


def linear(n: int = 10, n_inputs: int = 64, bias: bool = True) -> nn.Linear:
    return nn.Linear(n_inputs, n, bias=bias)


def test_snntorch(tmp_path: Path) -> None:
    snn = pytest.importorskip("snntorch")
    torch.manual_seed(0)
    lif = {"reset_mechanism": "zero", "init_hidden": True}
    network = Steps(
        nn.Conv2d(1, 4, 3, padding=1),
        snn.Leaky(beta=0.9, **lif),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        linear(),
        snn.Synaptic(alpha=0.5, beta=0.8, reset_delay=False, **lif),
    )
    graph = exported(network, tmp_path / "net.nir")
    assert graph.nodes["parts_1"].tau == pytest.approx(DT / 0.1, rel=1e-6)
    assert graph.nodes["parts_1"].tau.shape == (4, 8, 8)
    assert isinstance(graph.nodes["parts_6"], nir.CubaLIF)


@pytest.mark.parametrize("decay_input", [True, False])
def test_spikingjelly(tmp_path: Path, decay_input: bool) -> None:
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron

    torch.manual_seed(0)
    network = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.LIFNode(tau=3.0, decay_input=decay_input, v_threshold=0.3),
        layer.Flatten(),
        layer.Linear(256, 10),
        neuron.IFNode(v_threshold=0.5),
    )
    network[1].running_mean.uniform_(0, 0.2)
    network[1].running_var.uniform_(0.2, 0.7)
    functional.set_step_mode(network, "m")
    graph = exported(network, tmp_path / "net.nir")
    assert "1" not in graph.nodes and graph.nodes["0"].bias.any()  # the normalisation is part of the convolution
    assert isinstance(graph.nodes["5"], nir.IF)


def test_norse_with_a_potential_as_output(tmp_path: Path) -> None:
    norse = pytest.importorskip("norse.torch")
    torch.manual_seed(0)
    lif = norse.LIFParameters(tau_mem_inv=torch.as_tensor(200.0), v_th=torch.as_tensor(0.3))
    network = Steps(linear(30), norse.LIFCell(lif), linear(10, 30, bias=False), norse.LICell(), states=True)
    graph = exported(network, tmp_path / "net.nir", features="flat")
    assert graph.nodes["parts_1"].tau_mem == pytest.approx(1 / 200.0)
    assert isinstance(graph.nodes["parts_3"], nir.CubaLI)


class Scaled(nn.Module):
    """Something that its modules do not show."""

    def __init__(self, lif: nn.Module) -> None:
        super().__init__()
        self.fc, self.lif = linear(), lif

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.lif(0.7 * self.fc(step)) for step in x])


def snntorch_leaky(**changes: Any) -> nn.Module:
    return pytest.importorskip("snntorch").Leaky(
        **{"beta": 0.9, "reset_mechanism": "zero", "init_hidden": True} | changes
    )


def test_what_functions_do_between_modules_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not written: .* layer lif, sample \d, step 0, neuron \d: "):
        exported(Scaled(snntorch_leaky()), tmp_path / "net.nir", features="flat")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (lambda: snntorch_leaky(reset_mechanism="subtract"), r'parts\.1 \(Leaky\): its reset is "subtract"'),
        (
            lambda: nn.Sequential(nn.MaxPool1d(2), linear(10, 5), snntorch_leaky(reset_mechanism="subtract")),
            r"parts\.1\.0 \(MaxPool1d\).*; NIR cannot say parts\.1\.2 \(Leaky\)",
        ),
        (lambda: nn.Sequential(nn.ReLU(), snntorch_leaky()), r"parts\.1\.0 \(ReLU\), or it is not known here"),
    ],
)
def test_what_nir_cannot_say_is_named(part: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        exported(Steps(linear(), part()), tmp_path / "net.nir", features="flat")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", ["BN", "BNT"])
def test_a_layout_that_is_not_written_is_named(layout: str, tmp_path: Path) -> None:
    class Repeats(nn.Module):
        """Takes one image, or time as the last axis."""

        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = linear(), snntorch_leaky()

        def forward(self, x: Tensor) -> Tensor:
            steps = [x] * N_STEPS if layout == "BN" else x.unbind(-1)
            return torch.stack([self.lif(self.fc(step)) for step in steps], 1 if layout == "BN" else 2)

    with pytest.raises(ConfigError, match=f"layout: BTN, TBN, step; trainer.layout is {layout}"):
        exported(Repeats(), tmp_path / "net.nir", layout=layout, features="flat")
