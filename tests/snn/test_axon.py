import pytest
import torch

from snnhpo_mpi.snn.axon import AxonalDelay, shift


def delays(*values):
    axon = AxonalDelay(len(values), max_delay=62)
    axon.delay.data = torch.tensor(values)
    return axon


def test_each_channel_moves_by_its_own_number_of_steps():
    x = torch.tensor([[[1.0, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]])
    expected = [[[1.0, 2, 3, 4], [0, 1, 2, 3], [3, 4, 0, 0]]]
    assert shift(x, [0, 1, -2]).tolist() == expected


def test_a_delay_longer_than_the_sample_leaves_nothing():
    assert shift(torch.ones(1, 1, 3), [5]).tolist() == [[[0.0, 0, 0]]]


def test_only_the_whole_part_of_a_delay_counts():
    x = torch.tensor([[[1.0, 0, 0], [1, 0, 0]]])
    assert delays(0.99, 1.01)(x).tolist() == [[[1.0, 0, 0], [0, 1, 0]]]


def test_a_new_axon_delays_nothing():
    torch.manual_seed(0)
    x = torch.rand(2, 50, 6)
    assert torch.equal(AxonalDelay(50, max_delay=62)(x), x)


def test_delays_are_kept_in_their_range():
    axon = delays(-1.0, 99.0)
    axon(torch.zeros(1, 2, 4))
    assert axon.delay.tolist() == [0.0, 62.0]


def test_a_gradient_pulls_a_spike_towards_the_step_that_wants_it():
    axon = delays(1.0)
    spikes = torch.tensor([[[1.0, 0, 0, 0]]])
    delayed = axon(spikes)  # fires in step 1
    (-delayed[0, 0, 2]).backward()  # a spike in step 2 would lower the loss
    assert axon.delay.grad is not None and axon.delay.grad.item() == -1.0


@pytest.mark.slayer
@pytest.mark.parametrize("shape", [(3, 5, 9), (3, 5, 4, 2, 9)])
def test_output_and_gradients_are_those_of_lava_dl(shape):
    from snnhpo_mpi.snn.csnn import slayer

    torch.manual_seed(0)
    x, weight = torch.rand(shape), torch.rand(shape)
    values = [0.0, 0.7, 1.0, 3.2, 40.0]
    library = slayer.axon.Delay(max_delay=62)
    library(x)  # takes its number of channels from the first input
    library.delay.data = torch.tensor(values)
    results = []
    for axon in (delays(*values), library):
        given = x.clone().requires_grad_()
        output = axon(given)
        (output * weight).sum().backward()
        results.append((output.detach(), given.grad, axon.delay.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
