import subprocess
import sys

import pytest
import torch

from snnhpo_mpi.hyperparameters.networks import defaults

pytestmark = pytest.mark.slayer
N_STEPS = 10
# Kernels and filters are small, neurons lively: every layer fires within ten steps.
PARAMS = defaults("slayer", "csnn") | {"c1_filters": 3, "c1_k": 3, "c2_filters": 4, "c2_k": 2, "threshold": 0.4}


def network(side: int = 12, monitored=("output",), n_channels: int = 1, **changes):
    from snnhpo_mpi.snn.slayer.csnn import Csnn, Layout

    layout = Layout(changes.pop("input_pool", 1), changes.pop("n_hidden", 0))
    torch.manual_seed(1)
    return Csnn((n_channels, side, side), 10, PARAMS | changes, monitored, layout)


def spikes(n_samples: int = 3, side: int = 12, n_channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return (torch.rand(n_samples, N_STEPS, n_channels, side, side, generator=generator) < 0.4).float()


def test_output_is_a_spike_train_of_each_class():
    output, _ = network()(spikes())
    assert output.shape == (3, N_STEPS, 10)
    assert set(output.unique().tolist()) == {0.0, 1.0}


def test_only_monitored_layers_are_counted_and_by_sample():
    output, counts = network(monitored=("c2", "output"))(spikes())
    assert set(counts) == {"c2", "output"}
    assert counts["output"].tolist() == output.sum((1, 2)).tolist()
    assert counts["c2"].shape == (3,)


def test_spikes_that_dropout_scales_up_are_counted_once_each():
    net = network(monitored=("c1",), dropout=0.5)
    seen = []
    net.blocks["c1"].register_forward_hook(lambda _block, _given, output: seen.append(output))
    _, counts = net(spikes())
    assert counts["c1"].tolist() == (seen[0] == 2.0).flatten(2).sum((0, 2)).tolist()


def test_kernels_larger_than_their_input_are_clipped_to_it():
    net = network(side=6, c1_k=99, c2_k=99)
    assert net.blocks["c1"].weight.shape == (3, 1, 6, 6)
    assert net.blocks["c2"].weight.shape == (4, 3, 1, 1)
    assert net(spikes(side=6))[0].shape == (3, N_STEPS, 10)


@pytest.mark.parametrize("side", [13, 14, 15, 16])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("input_pool", [1, 4])
def test_layers_fit_one_another_whatever_the_remainders_of_pooling(side, kernel, input_pool):
    net = network(side, c1_k=kernel, c2_k=kernel, input_pool=input_pool)
    assert net(spikes(2, side))[0].shape == (2, N_STEPS, 10)


def test_the_gesture_layout_pools_first_and_has_a_hidden_layer():
    net = network(16, ("pool0", "hidden"), n_channels=2, input_pool=4, n_hidden=7)
    assert list(net.blocks) == ["pool0", "c1", "pool1", "c2", "pool2", "hidden", "output"]
    output, counts = net(spikes(2, 16, n_channels=2))
    assert output.shape == (2, N_STEPS, 10) and set(counts) == {"pool0", "hidden"}


def test_many_inputs_do_not_round_all_initial_weights_to_zero():
    rounded = network(side=28, c1_filters=128, c2_filters=2, c2_k=12).blocks["c2"].rounded()
    assert 0.4 < (rounded != 0).float().mean() < 0.6


WIDE = {"c1_filters": 40, "c1_k": 3, "c2_filters": 8, "c2_k": 12}  # c2 has 5,760 inputs


def weights(kind: str, engine: str) -> dict[str, torch.Tensor]:
    from snnhpo_mpi.snn.slayer.learner import build_network

    torch.manual_seed(3)
    network = build_network("csnn", engine, (1, 28, 28), 10, PARAMS | WIDE, (), kind)
    return {name: weight.detach().flatten() for name, weight in learnt(network).items() if name.endswith("weight")}


@pytest.mark.parametrize("engine", ["fast", "library"])
def test_weights_of_the_library_are_those_that_its_own_blocks_draw(engine):
    from snnhpo_mpi.snn.slayer.csnn import MNIST, layers_of
    from snnhpo_mpi.snn.slayer.lava import slayer

    neuron = {"threshold": 1.0, "threshold_step": 0.1, "current_decay": 0.25, "voltage_decay": 0.03,
              "threshold_decay": 0.1, "refractory_decay": 0.1}  # fmt: skip
    torch.manual_seed(3)
    drawn = {}
    for layer in layers_of((1, 28, 28), 10, PARAMS | WIDE, MNIST):
        if layer.kind == "pool":  # its weights are fixed
            continue
        kind, size = (slayer.block.alif.Conv, layer.kernel) if layer.kind == "conv" else (slayer.block.alif.Dense, None)
        block = kind(neuron, layer.n_in, layer.n_out, *([size] if size else []))
        drawn[f"blocks.{layer.name}.weight"] = block.synapse.weight.detach().flatten()
        if layer.learns_delay:
            torch.rand(layer.n_out)  # the library draws delays when it sees the first spikes
    ours = weights("library", engine)
    assert ours.keys() == drawn.keys() and len(ours) == 3
    for name, weight in ours.items():
        assert torch.equal(weight, drawn[name]), name


@pytest.mark.parametrize("engine", ["fast", "library"])
def test_scaled_weights_differ_only_where_rounding_would_erase_most(engine):
    plain, scaled = weights("library", engine), weights("scaled", engine)
    for name in ("blocks.c1.weight", "blocks.output.weight"):  # 9 and 32 inputs
        assert torch.equal(plain[name], scaled[name])
    assert not (plain["blocks.c2.weight"].abs() >= 1 / 64).any()  # rounding to 32nds leaves nothing of them
    torch.testing.assert_close(scaled["blocks.c2.weight"], plain["blocks.c2.weight"] * (5760**0.5 / 32))
    assert torch.equal(weights("scaled", engine)["blocks.c2.weight"], scaled["blocks.c2.weight"])


def test_a_batch_leaves_no_trace_in_the_neurons():
    net = network().eval()
    x = spikes()
    first, _ = net(x)
    net(spikes(2))
    net(1 - x)
    assert torch.equal(net(x)[0], first)


def test_a_sample_alone_gives_what_it_gives_in_a_batch():
    net, x = network().eval(), spikes()
    alone = [network().eval()(sample[None])[0] for sample in x]  # a new network: its neurons have seen no other shape
    assert torch.equal(torch.cat(alone), net(x)[0])
    assert torch.equal(net(x[1:2])[0], alone[1])


def test_dropout_acts_in_training_only():
    net, x = network(dropout=0.5), spikes()
    assert not torch.equal(net(x)[0], net(x)[0])
    net.eval()
    assert torch.equal(net(x)[0], net(x)[0])


LAYOUTS = {
    "mnist": ((1, 12, 12), {}),
    "gesture": ((2, 32, 32), {"input_pool": 4, "n_hidden": 7}),  # deep: needs a low threshold
    "odd sides": ((2, 13, 11), {}),
    "dense": ((1, 1, 30), {"convolves": False}),
}


def pair(layout: str, kind: torch.dtype = torch.float32, **changes):
    """The same network of both libraries, and an input."""
    from snnhpo_mpi.snn.slayer.csnn import Csnn, Layout
    from snnhpo_mpi.snn.slayer.lava import LavaNetwork

    shape, form = LAYOUTS[layout]
    params = PARAMS | {"hidden": 20, "dropout": 0.2} | changes | ({"threshold": 0.1} if layout == "gesture" else {})
    networks = []
    for network in (Csnn, LavaNetwork):
        torch.manual_seed(1)
        networks.append(network(shape, 10, params, ("output",), Layout(**form)).to(kind))
    generator = torch.Generator().manual_seed(2)
    return networks, (torch.rand(4, N_STEPS, *shape, generator=generator) < 0.4).to(kind), params


def learnt(network: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    named = {name.replace(".synapse", ""): parameter for name, parameter in network.named_parameters()}
    return {name: p for name, p in named.items() if p.requires_grad and name.endswith((".weight", "delay.delay"))}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_spikes_and_gradients_are_those_of_plain_lava_dl(layout):
    networks, x, _ = pair(layout, threshold=0.3, threshold_step=0.1)
    gradients = []
    for network in networks:
        if layout != "dense":
            network.blocks["c1"].delay.delay.data = torch.tensor([0.0, 1.5, 3.0])
        torch.manual_seed(4)  # of dropout
        output, counts = network(x)
        assert counts["output"].sum() > 10
        (output * torch.arange(N_STEPS)[:, None]).sum().backward()
        gradients.append((output.detach(), {name: p.grad.flatten() for name, p in learnt(network).items()}))
    (ours, our_grads), (theirs, their_grads) = gradients
    assert torch.equal(ours, theirs)
    assert len(our_grads) == {"mnist": 5, "gesture": 6, "odd sides": 5, "dense": 3}[layout]
    assert our_grads.keys() == their_grads.keys()
    for name, grad in our_grads.items():
        assert grad.abs().max() > 0, name
        torch.testing.assert_close(grad, their_grads[name])


@pytest.mark.parametrize("kernels", [{"c1_k": 12}, {"c1_k": 9, "c2_k": 2}, {"c1_k": 12, "c1_filters": 1}])
def test_maps_of_one_neuron_learn_as_in_the_fast_engine(kernels):
    networks, x, _ = pair("mnist", threshold=0.1, dropout=0.0, **kernels)
    gradients = []
    for network in networks:
        output, counts = network(x)
        assert counts["output"].sum() > 10
        (output * torch.arange(N_STEPS)[:, None]).sum().backward()
        gradients.append({name: p.grad.flatten() for name, p in learnt(network).items()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, grad in gradients[0].items():
        torch.testing.assert_close(grad, gradients[1][name])
    assert gradients[0]["blocks.c1.delay.delay"].abs().max() > 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_twenty_updates_in_double_precision_give_lava_dls_spikes_and_weights(layout):
    from snnhpo_mpi.snn.slayer.backpropagation import Backpropagation

    networks, x, params = pair(layout, torch.float64, threshold=0.5, learning_rate=0.01)
    learners = [Backpropagation(network, params) for network in networks]
    classes = torch.tensor([0, 1, 2, 3])
    before = {name: parameter.detach().clone() for name, parameter in learnt(networks[0]).items()}
    for update in range(20):
        seen = []
        for learner in learners:
            torch.manual_seed(update)
            predicted, counts, _ = learner.train(x.roll(update, 1), classes)
            seen.append((predicted.tolist(), counts["output"].tolist()))
        assert seen[0] == seen[1]
    theirs = learnt(networks[1])
    for name, parameter in learnt(networks[0]).items():
        assert (parameter - before[name]).abs().max() > 1e-3
        torch.testing.assert_close(parameter.flatten(), theirs[name].flatten(), atol=1e-9, rtol=0)


def test_importing_lava_dl_neither_prints_nor_warns():
    program = "from snnhpo_mpi.host.process_tuning import quiet_libraries; quiet_libraries()"  # as an evaluator does
    program += "; import snnhpo_mpi.snn.slayer.lava"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
