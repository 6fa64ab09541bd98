import pytest
import torch

from snnhpo_mpi.snn.parameters import defaults

pytestmark = pytest.mark.stdp
N_INPUTS, N_STEPS = 36, 60
PARAMS = defaults("stdp", "diehl_cook") | {"map_size": 20, "norm": 36.0, "i_refrac": 1, "i_tc_decay": 30.0}


def spikes(n_samples: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_samples, N_STEPS, 1, 6, 6, generator=generator) < 0.25


def ours(**changes: float):
    from snnhpo_mpi.snn.diehl_cook import DiehlCook

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
        tc_theta_decay=p["tc_theta_decay"],
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


@pytest.mark.parametrize("batch_size", [1, 4])
def test_training_and_scoring_equal_the_librarys_own_loop(batch_size: int) -> None:
    network = ours()
    reference = library(network.synapses.w, batch_size)
    for seed in range(6):
        learning = seed < 4
        batch = spikes(batch_size, seed)
        torch.manual_seed(seed)
        response = (network.train if learning else network.score)(batch)
        torch.manual_seed(seed)
        reference.reset_state_variables()
        reference.train(learning)
        reference.run({"X": batch.flatten(2).transpose(0, 1).clone()}, time=N_STEPS)
        assert response.excitatory.sum() > 10 * batch_size
        assert torch.equal(response.excitatory.transpose(0, 1), reference.monitors["Ae"].get("s"))
        assert torch.equal(response.inhibitory.transpose(0, 1), reference.monitors["Ai"].get("s"))
        torch.testing.assert_close(network.synapses.w, reference.connections[("X", "Ae")].w)
        torch.testing.assert_close(network.excitatory.theta, reference.layers["Ae"].theta)


def test_scoring_changes_neither_weights_nor_thresholds() -> None:
    network = ours()
    network.train(spikes(4, 0))
    weights, theta = network.synapses.w.clone(), network.excitatory.theta.clone()
    network.score(spikes(8, 1))
    assert torch.equal(network.synapses.w, weights)
    assert torch.equal(network.excitatory.theta, theta)


def test_weights_into_a_neuron_sum_to_the_norm_from_the_start() -> None:
    network = ours(norm=30.0)
    torch.testing.assert_close(network.synapses.w.sum(0), torch.full((20,), 30.0))


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
    weights = network.synapses.w.clone()
    network.train(spikes(4, 0))
    torch.testing.assert_close(network.synapses.w, weights)


def test_a_neuron_follows_the_leaky_integrator_by_hand() -> None:
    from snnhpo_mpi.snn.diehl_cook import DiehlCook

    params = PARAMS | {"map_size": 2, "norm": 8.0, "e_tc_decay": 100.0, "e_thresh": -45.5, "e_refrac": 2}
    network = DiehlCook(params, 1, 1.0, torch.device("cpu"))  # one input of weight 8 to each neuron
    trains = torch.ones(1, 8, 1, 1, 1, dtype=torch.bool)
    # 8 mV a step, arriving a step late, and a leak of exp(-1/100): -57, -49.1, -41.2 >= -45.5 at step 3; reset to
    # -60, two steps refractory at 4 and 5, then -52.2 and -44.3 at step 7.
    fired = network.score(trains).excitatory.any(2)[0]
    assert fired.nonzero().flatten().tolist() == [3, 7]
