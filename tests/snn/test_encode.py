import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.encode import encoded, poisson, spike_generator, unpacked
from snnhpo_mpi.snn.encodings import input_shape, interval_table


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


ENCODINGS = {
    "poisson": {"max_rate_hz": 128},
    "poisson_intervals": {"max_rate_hz": 128},
    "bernoulli": {"max_probability": 0.4},
    "latency": {},
    "rank_order": {},
    "receptive_fields": {"fields": 5},
}


def by(name: str, images: torch.Tensor, steps: int, seed: int = 1) -> torch.Tensor:
    settings = EncodingSettings(name=name, steps=steps, **ENCODINGS[name])
    return encoded(images, settings, torch.Generator().manual_seed(seed))


def grey(*levels: int, n_samples: int = 1) -> torch.Tensor:
    return torch.tensor(levels, dtype=torch.uint8).repeat(n_samples, 1).reshape(n_samples, 1, 1, len(levels))


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_has_the_shape_it_announces_and_follows_its_generator(name: str) -> None:
    images = 50 * torch.randint(0, 6, (3, 2, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    spikes = by(name, images, 9)
    settings = EncodingSettings(name=name, steps=9, **ENCODINGS[name])
    assert (spikes.shape, spikes.dtype) == ((3, 9, *input_shape(images.shape, settings)), torch.bool)
    assert spikes.any()
    assert torch.equal(spikes, by(name, images, 9))
    assert not torch.equal(spikes, by(name, images, 9, seed=2))


def test_bernoulli_fires_in_proportion_to_the_intensity() -> None:
    share = by("bernoulli", grey(0, 51, 255), 40_000).float().mean(1).flatten()
    assert share.tolist() == pytest.approx([0.0, 0.08, 0.4], abs=4 * math.sqrt(0.24 / 40_000))


def compiled(name: str, images: torch.Tensor, steps: int, seed: int = 1, **changes: float) -> torch.Tensor:
    """Spikes ``B x T x P`` that the CPU engine makes of images."""
    from snnhpo_mpi.snn.stdp.engines import cpu_steps

    settings = EncodingSettings(name=name, steps=steps, **ENCODINGS[name] | changes)
    table, flat = interval_table(settings), images.flatten(1).numpy()
    whole = [np.empty(flat.shape[1] * steps, np.int32) for _ in range(3)]
    given = cpu_steps.Input(np.empty(steps + 1, np.int32), *whole)
    random, spikes = np.array([seed], np.uint64), torch.zeros(len(flat), steps, flat.shape[1], dtype=torch.bool)
    encode = cpu_steps._encode
    for image, raster in zip(flat, spikes, strict=True):
        encode(image, table, steps, random, given)
        for t in range(steps):
            which = given.which[given.first[t] : given.first[t + 1]]
            assert len(set(which.tolist())) == len(which)
            raster[t, which] = True
    return spikes


def statistics(spikes: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of each pixel of ``B x T x P``: share of samples with a spike in each step, ``T x P``; of so many spikes."""
    return {
        "when": spikes.float().mean(0),
        "how many": torch.stack([(spikes.sum(1) == k).float().mean(0) for k in range(30)]),
    }


@pytest.mark.stdp
@pytest.mark.parametrize("dt_ms", [1.0, 0.5])
@pytest.mark.parametrize("encode", ["torch", "compiled"])
def test_poisson_intervals_are_distributed_as_bindsnets(encode: str, dt_ms: float) -> None:
    n_samples, n_steps, rate_hz = 6000, 60, 400.0
    from snnhpo_mpi.snn.stdp.engines.bindsnet import poisson_encoded

    images = grey(0, 3, 40, 130, 255, n_samples=n_samples)
    settings = EncodingSettings(name="poisson_intervals", steps=n_steps, max_rate_hz=rate_hz, dt_ms=dt_ms)
    torch.manual_seed(2)
    theirs = statistics(poisson_encoded(images, settings).flatten(2))
    if encode == "torch":
        spikes = encoded(images, settings, torch.Generator().manual_seed(1)).flatten(2)
    else:
        spikes = compiled("poisson_intervals", images, n_steps, max_rate_hz=rate_hz, dt_ms=dt_ms)
    for what, share in statistics(spikes).items():
        p = (share + theirs[what]) / 2
        assert ((share - theirs[what]).abs() <= 4.5 * (2 * p * (1 - p) / n_samples).sqrt() + 1e-9).all(), what
    assert not spikes[:, :, 0].any()
    assert spikes[:, :, 4].sum() > n_samples


@pytest.mark.parametrize("name", ["poisson", "bernoulli"])
def test_the_compiled_code_draws_the_other_rate_codes_as_torch_does(name: str) -> None:
    images = grey(0, 3, 40, 130, 255, n_samples=6000)
    ours, theirs = statistics(compiled(name, images, 40)), statistics(by(name, images, 40).flatten(2))
    for what, share in ours.items():
        p = (share + theirs[what]) / 2
        assert ((share - theirs[what]).abs() <= 4.5 * (2 * p * (1 - p) / 6000).sqrt() + 1e-9).all(), what


def test_encodings_whose_spikes_depend_on_one_another_have_no_table_of_intervals() -> None:
    for name, keys in ENCODINGS.items():
        table = interval_table(EncodingSettings(name=name, steps=7, **keys))
        assert (table is None) == (name in ("latency", "rank_order", "receptive_fields"))


class TorchDraws:
    """The random numbers of a generator of torch."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def uniform(self, shape: tuple[int, ...]) -> np.ndarray:
        return torch.rand(shape, generator=self._generator).numpy()

    def integer(self) -> int:
        raise AssertionError


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 100])
@pytest.mark.parametrize("name", ["latency", "rank_order", "receptive_fields"])
def test_a_core_encodes_as_torch_does_from_the_same_random_numbers(name: str, steps: int) -> None:
    from snnhpo_mpi.snn.stdp.engines.cpu_input import shown

    images = 5 * torch.randint(0, 52, (20, 2, 6, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    settings = EncodingSettings(name=name, steps=steps, **ENCODINGS[name])
    samples = shown(images.numpy(), settings, TorchDraws(1))
    spikes = np.moveaxis(np.unpackbits(samples.bits, axis=2, count=steps), 2, 1)
    assert (samples.n_steps, samples.images.size) == (steps, 0)
    assert np.array_equal(spikes, by(name, images, steps).flatten(2))
    assert spikes.any()


def test_a_core_is_shown_recordings_as_they_are() -> None:
    from snnhpo_mpi.snn.stdp.engines.cpu_input import shown

    frames = np.random.default_rng(0).random((2, 2, 3, 5, 11)) < 0.3
    samples = shown(np.packbits(frames, axis=-1), EncodingSettings(name="events", steps=11), TorchDraws(1))
    assert np.array_equal(np.unpackbits(samples.bits, axis=2, count=11), frames.reshape(2, 30, 11))


def test_latency_fires_once_and_the_brighter_the_earlier() -> None:
    spikes = by("latency", grey(0, 85, 170, 255, n_samples=4000), 20)[:, :, 0, 0]
    assert spikes.sum(1).unique(dim=0).tolist() == [[0, 1, 1, 1]]
    times = (spikes * torch.arange(20)[:, None]).sum(1).float().mean(0)
    assert times[1:].tolist() == pytest.approx([19 * 2 / 3, 19 / 3, 0], abs=4 * 0.5 / math.sqrt(4000))


def test_rank_order_tells_the_order_alone_and_breaks_ties_at_random() -> None:
    spikes = by("rank_order", grey(0, 9, 7, 250, 7), 4)[0, :, 0, 0]
    assert spikes.sum(0).tolist() == [0, 1, 1, 1, 1]
    assert spikes[:, 3].nonzero().item() == 0 and spikes[:, 1].nonzero().item() == 1
    assert spikes[2:, 2].any() and spikes[2:, 4].any()
    first = by("rank_order", grey(7, 7, n_samples=2000), 2)[:, 0, 0, 0, 0].float().mean()
    assert float(first) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(2000))


def test_a_receptive_field_fires_the_earlier_the_nearer_it_is() -> None:
    spikes = by("receptive_fields", grey(128, n_samples=4000), 30)[:, :, :, 0, 0]  # centres -1/6, 1/6, 1/2, 5/6, 7/6
    assert spikes.sum(1).unique(dim=0).tolist() == [[0, 1, 1, 1, 0]]
    times = (spikes * torch.arange(30)[:, None]).sum(1).float().mean(0)
    wanted = [29 * (1 - math.exp(-0.5 * ((128 / 255 - c) * 4.5) ** 2)) for c in (1 / 6, 1 / 2, 5 / 6)]
    assert times[1:4].tolist() == pytest.approx(wanted, abs=0.05)


def test_bits_of_recordings_are_spikes_in_order_of_time() -> None:
    frames = np.random.default_rng(0).random((2, 2, 3, 5, 11)) < 0.3
    spikes = unpacked(torch.from_numpy(np.packbits(frames, axis=-1)), 11)
    assert np.array_equal(spikes.numpy(), np.moveaxis(frames, -1, 1))


def test_an_encoding_takes_its_own_keys_and_no_others() -> None:
    with pytest.raises(ValidationError, match="encoding poisson needs max_rate_hz"):
        EncodingSettings(steps=5)
    with pytest.raises(ValidationError, match="encoding poisson_intervals needs max_rate_hz"):
        EncodingSettings(name="poisson_intervals", steps=5)
    with pytest.raises(
        ValidationError, match="max_rate_hz belongs to the encodings poisson and poisson_intervals, not to latency"
    ):
        EncodingSettings(name="latency", steps=5, max_rate_hz=100)
    with pytest.raises(ValidationError, match="fields belongs to the encoding receptive_fields, not to latency"):
        EncodingSettings(name="latency", steps=5, fields=4)
