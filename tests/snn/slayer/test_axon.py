import pytest
import torch

from snnhpo_mpi.snn.slayer.axon import AxonalDelay, _shift_by_index, _shift_by_slices, shift


def time_first(*samples):
    """``B x C x T`` -> ``T x B x C``."""
    return torch.tensor(samples).movedim(-1, 0)


def samples(x: torch.Tensor) -> list[list[list[float]]]:
    return x.movedim(0, -1).tolist()


def delays(*values):
    axon = AxonalDelay(len(values), max_delay=62)
    axon.delay.data = torch.tensor(values)
    return axon


def test_each_channel_moves_by_its_own_number_of_steps():
    x = time_first([[1.0, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]])
    expected = [[[1.0, 2, 3, 4], [0, 1, 2, 3], [3, 4, 0, 0]]]
    assert samples(shift(x, torch.tensor([0, 1, -2]))) == expected


def test_a_delay_longer_than_the_sample_leaves_nothing():
    assert samples(shift(torch.ones(3, 1, 1), torch.tensor([5]))) == [[[0.0, 0, 0]]]


@pytest.mark.parametrize("n_steps", [1, 4])
@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 3, 2)])
def test_slices_and_indices_move_alike(n_steps, shape):
    x, steps = torch.rand(n_steps, *shape), torch.tensor([0, 1, -2, 9, -9])
    assert torch.equal(_shift_by_slices(x, steps.tolist()), _shift_by_index(x, steps))


def test_only_the_whole_part_of_a_delay_counts():
    x = time_first([[1.0, 0, 0], [1, 0, 0]])
    assert samples(delays(0.99, 1.01)(x)) == [[[1.0, 0, 0], [0, 1, 0]]]


def test_a_new_axon_delays_nothing():
    torch.manual_seed(0)
    x = torch.rand(6, 2, 50)
    assert torch.equal(AxonalDelay(50, max_delay=62)(x), x)


def test_delays_are_kept_in_their_range():
    axon = delays(-1.0, 99.0)
    axon(torch.zeros(4, 1, 2))
    assert axon.delay.tolist() == [0.0, 62.0]


def test_a_gradient_pulls_a_spike_towards_the_step_that_wants_it():
    axon = delays(1.0)
    spikes = time_first([[1.0, 0, 0, 0]])
    delayed = axon(spikes)  # fires in step 1
    (-delayed[2, 0, 0]).backward()  # a spike in step 2 would lower the loss
    assert axon.delay.grad is not None and axon.delay.grad.item() == -1.0


@pytest.mark.slayer
@pytest.mark.parametrize("shape", [(9, 3, 5), (9, 3, 5, 4, 2)])
def test_output_and_gradients_are_those_of_lava_dl(shape):
    from snnhpo_mpi.snn.slayer.lava import slayer

    torch.manual_seed(0)
    x, weight = torch.rand(shape), torch.rand(shape)
    values = [0.0, 0.7, 1.0, 3.2, 40.0]
    library = slayer.axon.Delay(max_delay=62)
    library(x.movedim(0, -1))  # takes its number of channels from the first input
    library.delay.data = torch.tensor(values)

    def library_first(given: torch.Tensor) -> torch.Tensor:
        return library(given.movedim(0, -1)).movedim(-1, 0)

    results = []
    for axon, parameter in ((delays(*values), None), (library_first, library.delay)):
        given = x.clone().requires_grad_()
        output = axon(given)
        (output * weight).sum().backward()
        results.append((output.detach(), given.grad, (axon.delay if parameter is None else parameter).grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
