import subprocess
import sys

import pytest
import torch

from snnhpo_mpi.snn.parameters import defaults

pytestmark = pytest.mark.slayer
N_STEPS = 10
# Kernels and filters are small, neurons lively: every layer fires within ten steps.
PARAMS = defaults("slayer", "csnn") | {"c1_filters": 3, "c1_k": 3, "c2_filters": 4, "c2_k": 2, "threshold": 0.4}


def network(side: int = 12, monitored=("output",), n_channels: int = 1, **changes):
    from snnhpo_mpi.snn.csnn import Csnn, Layout

    layout = Layout(changes.pop("input_pool", 1), changes.pop("n_hidden", 0))
    torch.manual_seed(1)
    return Csnn((n_channels, side, side), 10, PARAMS | changes, monitored, layout)


def spikes(n_samples: int = 3, side: int = 12, n_channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return (torch.rand(n_samples, n_channels, side, side, N_STEPS, generator=generator) < 0.4).float()


def test_output_is_a_spike_train_of_each_class():
    output, _ = network()(spikes())
    assert output.shape == (3, 10, N_STEPS)
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
    assert counts["c1"].tolist() == [int((sample == 2.0).sum()) for sample in seen[0]]


def test_kernels_larger_than_their_input_are_clipped_to_it():
    net = network(side=6, c1_k=99, c2_k=99)
    assert net.blocks["c1"].synapse.weight.shape == (3, 1, 6, 6, 1)
    assert net.blocks["c2"].synapse.weight.shape == (4, 3, 1, 1, 1)
    assert net(spikes(side=6))[0].shape == (3, 10, N_STEPS)


@pytest.mark.parametrize("side", [13, 14, 15, 16])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("input_pool", [1, 4])
def test_layers_fit_one_another_whatever_the_remainders_of_pooling(side, kernel, input_pool):
    net = network(side, c1_k=kernel, c2_k=kernel, input_pool=input_pool)
    assert net(spikes(2, side))[0].shape == (2, 10, N_STEPS)


def test_the_gesture_layout_pools_first_and_has_a_hidden_layer():
    net = network(16, ("pool0", "hidden"), n_channels=2, input_pool=4, n_hidden=7)
    assert list(net.blocks) == ["pool0", "c1", "pool1", "c2", "pool2", "flatten", "hidden", "output"]
    output, counts = net(spikes(2, 16, n_channels=2))
    assert output.shape == (2, 10, N_STEPS) and set(counts) == {"pool0", "hidden"}


def test_many_inputs_do_not_round_all_initial_weights_to_zero():
    synapse = network(side=28, c1_filters=128, c2_filters=2, c2_k=12).blocks["c2"].synapse
    rounded = synapse.pre_hook_fx(synapse.weight)
    assert 0.4 < (rounded != 0).float().mean() < 0.6


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


def test_spikes_and_gradients_are_those_of_plain_lava_dl():
    from snnhpo_mpi.snn.csnn import slayer

    names = ("threshold", "threshold_step", "current_decay", "voltage_decay", "threshold_decay", "refractory_decay")
    neuron = {name: PARAMS[name] for name in (*names, "tau_grad", "scale_grad")}
    blocks = slayer.block.alif
    library = torch.nn.Sequential(
        blocks.Conv(neuron, 1, 3, 3, delay=True),
        blocks.Pool(dict(neuron), 2),
        blocks.Conv(neuron, 3, 4, 2, delay=True),
        blocks.Pool(dict(neuron), 2),
        blocks.Flatten(),
        blocks.Dense(neuron, 16, 10),
    )
    x = spikes()
    library(x)  # its delays take their shape from the first input
    net = network().eval()
    net.blocks["c1"].delay.delay.data = torch.tensor([0.0, 1.5, 3.0])
    ours = dict(net.named_parameters())
    theirs = dict(library.named_parameters())
    places = list(net.blocks)

    def counterpart(name: str) -> torch.Tensor:
        place, _, rest = name.partition(".")
        return ours[f"blocks.{places[int(place)]}.{rest}"]

    for name, parameter in theirs.items():
        parameter.data = counterpart(name).data.clone()
    output, expected = net(x)[0], library(x)
    assert output.sum() > 0 and torch.equal(output, expected)
    for spike_trains in (output, expected):
        (spike_trains * torch.arange(N_STEPS)).sum().backward()
    learnt = [name for name, parameter in theirs.items() if parameter.requires_grad]
    assert len(learnt) == 5  # three layers' weights, two layers' delays
    for name in learnt:
        torch.testing.assert_close(counterpart(name).grad, theirs[name].grad)


def test_importing_lava_dl_neither_prints_nor_warns():
    command = [sys.executable, "-W", "error", "-c", "import snnhpo_mpi.snn.csnn"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
