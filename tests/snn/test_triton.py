"""The fused kernels against torch's operations: on a GPU where there is one, else by Triton's interpreter."""

import logging
from importlib.metadata import version

import numpy as np
import pytest
import torch

pytest.importorskip("triton")

from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.snn import triton_available
from snnhpo_mpi.snn.slayer.neurons import alif_torch as alif_steps
from snnhpo_mpi.snn.slayer.neurons import alif_triton as fused_alif
from snnhpo_mpi.snn.slayer.neurons.alif import alif
from snnhpo_mpi.snn.stdp.engines import triton as steps
from snnhpo_mpi.snn.stdp.engines.dense import DenseSteps
from snnhpo_mpi.snn.stdp.engines.triton import FusedSteps
from snnhpo_mpi.snn.stdp.equations import FORMS, Form, equations

# The interpreter of Triton 3.2, torch 2.6's, reads a number out of an array as NumPy no longer likes it.
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array with ndim:DeprecationWarning")
DEVICE = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
needs_int1 = pytest.mark.skipif(
    DEVICE.type == "cpu" and version("triton").startswith("3.2."), reason="Triton 3.2's interpreter has no int1"
)


@needs_int1
@pytest.mark.parametrize("changes", [{}, {"threshold": 1.5, "threshold_step": 0.3, "tau_grad": 0.05}])
def test_a_layer_of_alif_neurons_and_its_gradient(changes: dict[str, float]) -> None:
    neuron = alif(defaults("slayer", "csnn") | changes)
    torch.manual_seed(0)
    current, grad_output = torch.randn(2, 20, 3, 50, device=DEVICE).unbind()
    current = 2.0 * current
    expected, spikes = alif_steps.run(current, neuron)
    distance, output = fused_alif.run(current, neuron)
    assert torch.equal(distance, expected)
    assert torch.equal(output, spikes)
    assert 0.1 < output.mean() < 0.9
    grad = alif_steps.back(distance, grad_output, neuron)
    torch.testing.assert_close(fused_alif.back(distance, grad_output, neuron), grad, rtol=1e-5, atol=1e-8)


def steps_of(
    kind: type, form: str, w: torch.Tensor, other: Form | None = None, **changes: float
) -> tuple[torch.Tensor, torch.Tensor, object]:
    """A network's weights, thresholds' rise and steps."""
    params = defaults("stdp", form) | {"map_size": w.shape[1], **changes}
    w, theta = w.clone(), w.new_zeros(w.shape[1])
    return w, theta, kind(equations(params, other or FORMS[form], 1.0, np.float32), w, theta)


def present(network: object, spikes: torch.Tensor, n: int, learning: bool) -> list[torch.Tensor]:
    """Spikes of both layers."""
    records = [torch.empty(*spikes.shape[:2], n, dtype=torch.bool, device=DEVICE) for _ in range(2)]
    network.run(spikes, *records, learning)  # type: ignore[attr-defined]
    return records


@pytest.mark.parametrize(
    ("form", "changes"),
    [
        ("diehl_cook_distance", {}),
        ("diehl_cook", {}),
        ("diehl_cook", {"nu_pre": 0.0, "nu_post": 0.0, "e_refrac": 0}),
    ],
)
def test_presentations_without_draws(form: str, changes: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    n_steps, n_samples, m, n = 7, 33, 130, 11
    monkeypatch.setattr(steps, "MOST_PARTS", 2)  # of two pieces each, the last of them short
    monkeypatch.setattr(steps, "CURRENT_BYTES", 4 * n_samples * (m + n) * 3)  # three steps at a time
    torch.manual_seed(0)
    first = torch.rand(m, n, device=DEVICE)
    first *= 25.0 / first.sum(0)
    changes = {
        "nu_pre": 1e-3, "nu_post": 5e-2, "theta_plus": 0.3, "tc_theta_decay": 50.0,
        "strength_exc": 60.0, "strength_inh": 4.0,
    } | changes  # fmt: skip
    all_that_reach_it = Form(one_winner=False, by_distance=form == "diehl_cook_distance")
    networks = [steps_of(kind, form, first, all_that_reach_it, **changes) for kind in (DenseSteps, FusedSteps)]
    for number, learning in enumerate((True, True, False)):
        spikes = torch.rand(n_steps, n_samples, m, device=DEVICE) < (0.12 + 0.02 * number)
        (e, i), (fused_e, fused_i) = (present(network, spikes, n, learning) for _, _, network in networks)
        assert 0.005 < e.float().mean() < 0.5
        assert i.any()
        assert torch.equal(fused_e, e)
        assert torch.equal(fused_i, i)
    (w, theta, _), (fused_w, fused_theta, _) = networks
    assert bool((w - first).abs().max() > 0.03) == (changes["nu_post"] > 0)
    assert theta.max() > 0
    torch.testing.assert_close(fused_w, w)
    torch.testing.assert_close(fused_theta, theta)


def test_one_neuron_of_a_sample_wins_a_step() -> None:
    torch.manual_seed(0)
    first = torch.rand(70, 20, device=DEVICE)
    first *= 60.0 / first.sum(0)
    networks = [steps_of(kind, "diehl_cook", first, theta_plus=0.3) for kind in (DenseSteps, FusedSteps)]
    rates = []
    for _, _, network in networks:
        torch.manual_seed(1)
        spikes = torch.rand(12, 8, 70, device=DEVICE) < 0.15
        e = present(network, spikes, 20, learning=True)[0]
        assert e.sum(2).max() == 1
        rates.append(float(e.float().mean()))
    assert rates[1] == pytest.approx(rates[0], rel=0.1)
    # Draws differ, and with them who learns; not how often thresholds are reached.
    torch.testing.assert_close(networks[1][1].sum(), networks[0][1].sum(), rtol=0.1, atol=0.0)


def test_winners_are_drawn_evenly_and_anew() -> None:
    w = torch.full((8, 3), 4.0, device=DEVICE)
    w[:, 2] = 0.0
    _, _, network = steps_of(FusedSteps, "diehl_cook", w, strength_inh=0.0, e_refrac=0)
    spikes = torch.ones(3, 60, 8, dtype=torch.bool, device=DEVICE)
    torch.manual_seed(0)
    e, again = (present(network, spikes, 3, learning=False)[0] for _ in range(2))
    assert e.sum(2).unique().tolist() == [0, 1]
    n_won = e.sum((0, 1))
    assert n_won[2] == 0
    assert int(n_won[0]) == pytest.approx(int(n_won.sum()) / 2, abs=3.0 * float(n_won.sum()) ** 0.5 / 2)
    assert not torch.equal(e, again)
    torch.manual_seed(0)
    assert torch.equal(present(network, spikes, 3, learning=False)[0], e)


def test_without_a_compiler_torch_computes_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run(*_: object) -> None:
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC")

    monkeypatch.setattr(fused_alif, "run", run)
    triton_available._compiles.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert not triton_available._compiles("cpu")
        assert not triton_available._compiles("cpu")
    triton_available._compiles.cache_clear()
    (warning,) = caplog.messages
    assert "cpu: networks are computed by torch's operations" in warning
    assert "Failed to find C compiler. (it needs" in warning


def test_only_single_precision_on_a_gpu_is_fused() -> None:
    assert not triton_available.fuses(torch.zeros(1))
    if DEVICE.type == "cuda":
        assert triton_available.fuses(torch.zeros(1, device=DEVICE))
        assert not triton_available.fuses(torch.zeros(1, device=DEVICE, dtype=torch.float64))


@needs_int1
def test_a_full_gpu_is_no_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    triton_available._compiles.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(fused_alif, "run", run)
        with pytest.raises(torch.cuda.OutOfMemoryError):
            triton_available._compiles("cpu")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    assert triton_available._compiles("cpu") == (DEVICE.type == "cpu")
    triton_available._compiles.cache_clear()
