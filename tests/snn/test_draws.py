import numpy as np
import pytest
import torch

from snnhpo_mpi.snn.draws import Draws, spike_seed
from snnhpo_mpi.snn.encode import spike_generator


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32 + 5, 2**63 - 1])
def test_draws_are_those_of_torch_on_a_cpu(seed: int) -> None:
    ours = Draws(seed)
    theirs = torch.Generator().manual_seed(seed)
    for shape in ((784, 100), (3,), (17, 1)):
        assert np.array_equal(ours.uniform(shape), torch.rand(shape, generator=theirs))
        assert ours.integer() == int(torch.randint(2**63 - 1, (1,), generator=theirs))


def test_numbers_go_on_where_they_were() -> None:
    ours, other = Draws(3), Draws(4)
    ours.uniform((5,))
    state = ours.state_dict()
    expected = ours.uniform((700,)).tolist(), ours.integer()
    other.load_state_dict(state)
    assert (other.uniform((700,)).tolist(), other.integer()) == expected


def test_spike_trains_are_of_one_seed_whoever_draws_them() -> None:
    assert spike_generator(7, torch.device("cpu")).initial_seed() == spike_seed(7)
    assert Draws(spike_seed(7)).uniform((9,)).tolist() != Draws(7).uniform((9,)).tolist()
