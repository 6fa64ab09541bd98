import numpy as np
import pytest
import torch

from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.snn.stdp.equations import FORMS
from snnhpo_mpi.snn.stdp.one_by_one import OneByOne

CPU = torch.device("cpu")
N_INPUTS, N_STEPS = 36, 60
SMALL = {"map_size": 20, "norm": 36.0, "i_refrac": 1, "i_tc_decay": 30.0}
RESTLESS = {"e_rest": -50.0, "e_thresh": -51.0, "i_rest": -39.0, "e_refrac": 2}  # at rest over their thresholds
LATERAL = {"reset_interval": 25, "strength_inh": 60.0, "theta_plus": 0.2}
CASES = {
    "library's values": ("diehl_cook", {}),
    "many over their thresholds at once": ("diehl_cook", {"e_thresh": -59.0, "norm": 300.0}),
    "few spikes, strong inhibition": ("diehl_cook", {"strength_inh": 400.0, "e_thresh": -40.0, "i_refrac": 9}),
    "firing at every step": ("diehl_cook", {"e_thresh": -59.0, "norm": 30.0, "strength_inh": 0.0, "theta_plus": 0.0}),
    "firing by themselves": ("diehl_cook", RESTLESS),
    "no refractory period": ("diehl_cook", {"e_refrac": 0, "i_refrac": 0, "strength_exc": 60.0}),
    "no depression": ("diehl_cook", {"nu_pre": 0.0}),
    "no potentiation": ("diehl_cook", {"nu_post": 0.0, "nu_pre": 0.01}),
    "no learning": ("diehl_cook", {"nu_post": 0.0, "nu_pre": 0.0}),
    "weights above their bound": ("diehl_cook", {"norm": 30.0, "nu_pre": 0.02, "nu_post": 0.3}),
    "large network, few columns": ("diehl_cook", {"map_size": 400, "norm": 18.0, "nu_post": 0.2, "e_tc_trace": 3.0}),
    "by distance": ("diehl_cook_distance", LATERAL),
    "by distance, firing at every step": ("diehl_cook_distance", LATERAL | {"strength_inh": 0.0, "e_refrac": 0}),
    "by distance, few columns": ("diehl_cook_distance", LATERAL | {"map_size": 200, "norm": 14.0, "nu_post": 0.2}),
}  # fmt: skip


def spikes(n_samples: int, seed: int, rate: float = 0.25) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_samples, N_STEPS, 1, 6, 6, generator=generator) < rate


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch):
    """BindsNET computes in single precision by name; let these names mean double."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def winners_of(excitatory: torch.Tensor) -> np.ndarray:
    """Spikes ``B x T x N``, one a step at most -> ``B x T``, -1 where there is none."""
    return torch.where(excitatory.any(2), excitatory.int().argmax(2), -1).to(torch.int32).numpy()


@pytest.mark.stdp
@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("double")
def test_the_librarys_winners_give_its_spikes_and_weights(case: str) -> None:
    from snnhpo_mpi.snn.stdp.engines.bindsnet import BindsnetNetwork

    form, changes = CASES[case]
    params = defaults("stdp", form) | SMALL | changes
    torch.manual_seed(3)
    reference = BindsnetNetwork(params, N_INPUTS, 1.0, CPU, FORMS[form])
    network = OneByOne(params, N_INPUTS, 1.0, seed=3, form=FORMS[form], real=np.float64)
    network.w[:] = reference.w.numpy()  # the same numbers of more digits
    assert reference.w.dtype == torch.float64
    n_fired = n_inhibitory = 0
    for sample in range(30):
        learning = sample % 5 < 4
        shown = spikes(1, sample, rate=0.25 if sample % 3 else 0.05)
        theirs = (reference.train if learning else reference.score)(shown)
        winners = winners_of(theirs.excitatory)
        excitatory, inhibitory = network.engine.respond(shown.flatten(2).numpy(), learning, winners=winners)
        assert np.array_equal(excitatory, theirs.excitatory), sample
        assert np.array_equal(inhibitory, theirs.inhibitory), sample
        # The library keeps its learning rates in single precision.
        np.testing.assert_allclose(network.w, reference.w, atol=1e-6, rtol=0)
        np.testing.assert_allclose(network.theta, reference.theta, atol=1e-6, rtol=0)
        n_fired += int(excitatory.sum())
        n_inhibitory += int(inhibitory.sum())
    assert n_fired > 50
