import math

import pytest
import torch

from snnhpo_mpi.snn.encode import poisson, spike_generator


def encode(images: torch.Tensor, n_steps: int, max_rate_hz: float, seed: int = 1, dt_ms: float = 1.0) -> torch.Tensor:
    return poisson(images, n_steps, max_rate_hz, dt_ms, torch.Generator().manual_seed(seed))


def test_shape_and_axis_order() -> None:
    assert encode(torch.zeros(3, 1, 4, 5, dtype=torch.uint8), 7, 100).shape == (3, 7, 1, 4, 5)


def test_rate_follows_the_intensity() -> None:
    images = torch.tensor([0, 64, 255], dtype=torch.uint8).reshape(1, 1, 1, 3)
    share = encode(images, 40_000, 128).float().mean(dim=1).flatten()
    expected = torch.tensor([1 - math.exp(-0.128 * level / 255) for level in (0, 64, 255)])
    assert share[0] == 0
    assert share.tolist() == pytest.approx(expected.tolist(), abs=4 * math.sqrt(0.12 * 0.88 / 40_000))


def test_steps_are_independent() -> None:
    spikes = encode(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8), 50_000, 256).flatten().float()
    centred = spikes - spikes.mean()
    correlation = (centred[1:] * centred[:-1]).mean() / centred.square().mean()
    assert abs(float(correlation)) < 4 / math.sqrt(50_000)


def test_the_same_generator_gives_the_same_spikes() -> None:
    images = torch.full((2, 1, 5, 5), 200, dtype=torch.uint8)
    assert torch.equal(encode(images, 20, 128, seed=3), encode(images, 20, 128, seed=3))
    assert not torch.equal(encode(images, 20, 128, seed=3), encode(images, 20, 128, seed=4))


def test_spikes_do_not_repeat_the_numbers_of_the_initial_weights() -> None:
    cpu = torch.device("cpu")
    weights = torch.rand(50, generator=torch.manual_seed(7))
    assert not torch.equal(torch.rand(50, generator=spike_generator(7, cpu)), weights)
    assert spike_generator(7, cpu).initial_seed() == spike_generator(7, cpu).initial_seed()
    assert spike_generator(7, cpu).initial_seed() != spike_generator(8, cpu).initial_seed()
