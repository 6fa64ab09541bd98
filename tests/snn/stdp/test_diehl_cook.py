import numpy as np
import pytest
import torch

from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.snn.stdp.in_batches import Response

pytestmark = pytest.mark.stdp
N_INPUTS, N_STEPS = 36, 60
PARAMS = defaults("stdp", "diehl_cook") | {"map_size": 20, "norm": 36.0, "i_refrac": 1, "i_tc_decay": 30.0}


def spikes(n_samples: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_samples, N_STEPS, 1, 6, 6, generator=generator) < 0.25


def ours(**changes: float):
    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook

    torch.manual_seed(5)
    return DiehlCook(PARAMS | changes, N_INPUTS, 1.0, torch.device("cpu"))


def library(weights: torch.Tensor, batch_size: int):
    """The network as a user of BindsNET builds it: dense lateral matrices, ``Network.run``, spike monitors."""
    from bindsnet.learning import PostPre
    from bindsnet.network import Network
    from bindsnet.network.monitors import Monitor
    from bindsnet.network.nodes import DiehlAndCookNodes, Input, LIFNodes
    from bindsnet.network.topology import Connection

    p, n = PARAMS, int(PARAMS["map_size"])
    network = Network(dt=1.0, batch_size=batch_size)
    x = Input(n=N_INPUTS, traces=True, tc_trace=p["x_tc_trace"])
    e = DiehlAndCookNodes(
        n=n, traces=True, thresh=p["e_thresh"], rest=p["e_rest"], reset=p["e_reset"], refrac=p["e_refrac"],
        tc_decay=p["e_tc_decay"], tc_trace=p["e_tc_trace"], theta_plus=p["theta_plus"],
        tc_theta_decay=p["tc_theta_decay"] / batch_size,  # a batch takes as long as its samples one after another
    )  # fmt: skip
    i = LIFNodes(
        n=n, thresh=p["i_thresh"], rest=p["i_rest"], reset=p["i_reset"], refrac=p["i_refrac"], tc_decay=p["i_tc_decay"]
    )
    for name, layer in (("X", x), ("Ae", e), ("Ai", i)):
        network.add_layer(layer, name)
    nu = (p["nu_pre"], p["nu_post"])
    learnt = Connection(x, e, w=weights.clone(), update_rule=PostPre, nu=nu, norm=p["norm"], wmin=0.0, wmax=1.0)
    network.add_connection(learnt, "X", "Ae")
    network.add_connection(Connection(e, i, w=p["strength_exc"] * torch.eye(n)), "Ae", "Ai")
    network.add_connection(Connection(i, e, w=p["strength_inh"] * (torch.eye(n) - 1)), "Ai", "Ae")
    for name in ("Ae", "Ai"):
        network.add_monitor(Monitor(network.layers[name], ["s"], time=N_STEPS), name)
    return network


@pytest.mark.parametrize("batch_size", [2, 4])
def test_training_on_batches_equals_the_librarys_own_loop(batch_size: int) -> None:
    network = ours()
    reference = library(network.w, batch_size)
    for seed in range(6):
        learning = seed < 4
        batch = spikes(batch_size, seed)
        torch.manual_seed(seed)
        reference.reset_state_variables()
        reference.train(learning)
        reference.run({"X": batch.flatten(2).transpose(0, 1).clone()}, time=N_STEPS)
        torch.manual_seed(seed)
        if learning:
            response = network.train(batch)
        else:  # the compiled code has random numbers of its own
            winners = winners_of(reference.monitors["Ae"].get("s").transpose(0, 1))
            rasters = network._one_by_one.respond(batch.flatten(2).numpy(), learning=False, winners=winners)
            response = Response(*map(torch.from_numpy, rasters))
        assert response.excitatory.sum() > 10 * batch_size
        assert torch.equal(response.excitatory.transpose(0, 1), reference.monitors["Ae"].get("s"))
        assert torch.equal(response.inhibitory.transpose(0, 1), reference.monitors["Ai"].get("s"))
        torch.testing.assert_close(network.w, reference.connections[("X", "Ae")].w)
        torch.testing.assert_close(network.theta, reference.layers["Ae"].theta)


def winners_of(excitatory: torch.Tensor) -> np.ndarray:
    """Spikes ``B x T x N``, one a step at most -> ``B x T``, -1 where there is none."""
    return torch.where(excitatory.any(2), excitatory.int().argmax(2), -1).to(torch.int32).numpy()


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch):
    """BindsNET computes in single precision by name; let these names mean double."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


RESTLESS = {"e_rest": -50.0, "e_thresh": -51.0, "i_rest": -39.0, "e_refrac": 2}  # at rest over their thresholds
LATERAL = {"reset_interval": 25, "strength_inh": 60.0, "theta_plus": 0.2}
CASES = [
    ("diehl_cook", {}),
    ("diehl_cook", {"e_thresh": -59.0, "norm": 300.0}),  # many neurons over their thresholds in the same step
    ("diehl_cook", RESTLESS),
    ("diehl_cook", {"nu_pre": 0.0, "e_refrac": 0, "i_refrac": 0}),
    ("diehl_cook", {"nu_post": 0.0, "nu_pre": 0.01}),
    ("diehl_cook_distance", LATERAL),
    ("diehl_cook_distance", LATERAL | {"reset_interval": 100, "strength_inh": 0.0}),
]


@pytest.mark.parametrize(("form", "changes"), CASES)
@pytest.mark.usefixtures("double")
def test_twenty_updates_in_double_precision_give_the_librarys_spikes_and_weights(form, changes) -> None:
    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook
    from snnhpo_mpi.snn.stdp.engines.bindsnet import BindsnetNetwork
    from snnhpo_mpi.snn.stdp.equations import FORMS

    params = defaults("stdp", form) | PARAMS | changes
    cpu = torch.device("cpu")
    torch.manual_seed(3)
    network = DiehlCook(params, N_INPUTS, 1.0, cpu, FORMS[form], torch.float64)
    torch.manual_seed(3)
    reference = BindsnetNetwork(params, N_INPUTS, 1.0, cpu, FORMS[form])
    assert network.w.dtype == reference.w.dtype == torch.float64
    first = network.w.clone()
    n_spikes = 0
    for update in range(20):
        responses = []
        for one in (network, reference):
            torch.manual_seed(update)
            responses.append(one.train(spikes(4, update)))
        assert torch.equal(responses[0].excitatory, responses[1].excitatory)
        assert torch.equal(responses[0].inhibitory, responses[1].inhibitory)
        n_spikes += int(responses[0].excitatory.sum())
    assert n_spikes > 500
    assert (network.w - first).abs().max() > 0.01
    # The library keeps its learning rates in single precision.
    torch.testing.assert_close(network.w, reference.w, atol=1e-6, rtol=0)
    torch.testing.assert_close(network.theta, reference.theta, atol=1e-6, rtol=0)


def test_the_winner_of_a_gpu_is_drawn_evenly_among_those_over_their_threshold() -> None:
    from snnhpo_mpi.snn.stdp.engines.dense import one_winner

    torch.manual_seed(0)
    over = torch.zeros(3000, 4, dtype=torch.bool)
    over[:2000, 1] = over[:2000, 3] = over[:1000, 0] = True
    won = one_winner(over, torch.float32)
    assert won.sum(1).tolist() == [1] * 2000 + [0] * 1000
    assert won[:1000].sum(0).tolist() == pytest.approx([333, 333, 0, 333], abs=60)
    assert won[1000:2000].sum(0).tolist() == pytest.approx([0, 500, 0, 500], abs=64)


def test_weights_stay_in_their_bounds_also_where_few_inputs_spike() -> None:
    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook

    torch.manual_seed(5)
    params = PARAMS | {"nu_pre": 0.3, "nu_post": 0.5, "norm": 400.0, "strength_inh": 0.0}
    network = DiehlCook(params, 4000, 1.0, torch.device("cpu"))
    few = torch.zeros(4, N_STEPS, 1, 1, 4000, dtype=torch.bool)
    few[..., :200] = torch.rand(4, N_STEPS, 1, 1, 200) < 0.3
    bounds = []
    normalize = network._normalize

    def look() -> None:
        bounds.append((float(network.w.min()), float(network.w.max())))
        normalize()

    network._normalize = look  # type: ignore[method-assign]
    assert network.train(few).excitatory.sum() > 50
    assert bounds == [(0.0, 1.0)]


def test_a_threshold_decays_by_the_time_of_all_samples_of_a_batch() -> None:
    left = []
    for batch_size in (1, 4):
        network = ours(e_thresh=1000.0, tc_theta_decay=500.0)  # silent
        network.theta.fill_(2.0)
        for batch in torch.split(spikes(8, 0), batch_size):
            network.train(batch)
        left.append(network.theta.clone())
    torch.testing.assert_close(left[0], torch.full((20,), 2.0 * np.exp(-8 * N_STEPS / 500.0), dtype=torch.float32))
    torch.testing.assert_close(left[0], left[1])


def test_inhibition_grows_with_distance_and_spares_oneself() -> None:
    from snnhpo_mpi.snn.stdp.equations import distance_inhibition

    assert distance_inhibition(3, 8.0).tolist() == [[0, 4, 8], [4, 0, 4], [8, 4, 0]]


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("form", ["diehl_cook", "diehl_cook_distance"])
def test_a_gpu_trains_without_waiting_for_the_host(form: str) -> None:
    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook
    from snnhpo_mpi.snn.stdp.equations import FORMS

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    params = defaults("stdp", form) | PARAMS
    network = DiehlCook(params, N_INPUTS, 1.0, torch.device("cuda:0"), FORMS[form])
    batch = spikes(4, 0).to("cuda:0")
    for _ in range(2):
        network.train(batch)  # compiles, captures
    torch.cuda.set_sync_debug_mode("error")
    try:
        response = network.train(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert response.excitatory.sum() > 10


def test_scoring_changes_neither_weights_nor_thresholds() -> None:
    network = ours()
    network.train(spikes(4, 0))
    weights, theta = network.w.clone(), network.theta.clone()
    network.score(spikes(8, 1))
    assert torch.equal(network.w, weights)
    assert torch.equal(network.theta, theta)


def test_weights_into_a_neuron_sum_to_the_norm_from_the_start() -> None:
    network = ours(norm=30.0)
    torch.testing.assert_close(network.w.sum(0), torch.full((20,), 30.0))


def test_a_presentation_leaves_no_trace_in_the_next_and_the_input_as_it_was() -> None:
    network = ours()
    batch = spikes(4, 1)
    kept = batch.clone()
    torch.manual_seed(0)
    first = network.score(batch)
    network.score(spikes(3, 2))
    torch.manual_seed(0)
    again = network.score(batch)
    assert torch.equal(first.excitatory, again.excitatory)
    assert torch.equal(first.inhibitory, again.inhibitory)
    assert torch.equal(batch, kept)


def test_without_learning_rates_the_weights_stay() -> None:
    network = ours(nu_pre=0.0, nu_post=0.0, norm=10.0)  # no weight is near its bound
    weights = network.w.clone()
    network.train(spikes(4, 0))
    torch.testing.assert_close(network.w, weights)


def test_a_neuron_follows_the_leaky_integrator_by_hand() -> None:
    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook

    params = PARAMS | {"map_size": 2, "norm": 8.0, "e_tc_decay": 100.0, "e_thresh": -45.5, "e_refrac": 2}
    network = DiehlCook(params, 1, 1.0, torch.device("cpu"))  # one input of weight 8 to each neuron
    trains = torch.ones(1, 8, 1, 1, 1, dtype=torch.bool)
    # 8 mV a step, arriving a step late, and a leak of exp(-1/100): -57, -49.1, -41.2 >= -45.5 at step 3; reset to
    # -60, two steps refractory at 4 and 5, then -52.2 and -44.3 at step 7.
    fired = network.score(trains).excitatory.any(2)[0]
    assert fired.nonzero().flatten().tolist() == [3, 7]
