import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from snnhpo_mpi.snn.stdp.decode import ABSTAIN, SpikeTrains, decoder_of, decoder_state, fit_decoder, join


def trains(*samples: list[int], n_neurons: int = 4) -> SpikeTrains:
    """Each sample as its neurons in order of firing."""
    per_sample = np.array([len(neurons) for neurons in samples], dtype=np.int64)
    return SpikeTrains.of(per_sample, np.array([n for neurons in samples for n in neurons], dtype=np.int64), n_neurons)


def test_counts_by_hand() -> None:
    assert trains([0, 0, 2], [], [3]).counts().toarray().tolist() == [[2, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


def test_spikes_per_sample_by_hand() -> None:
    assert trains([0, 0, 2], [], [3], []).per_sample().tolist() == [3, 0, 1, 0]


def test_ngrams_of_three_spikes() -> None:
    sample, key = trains([2, 1, 3]).ngrams(2)
    assert sample.tolist() == [0, 0]
    assert key.tolist() == [2 * 4 + 1, 1 * 4 + 3]
    sample, key = trains([2, 1, 3]).ngrams(3)
    assert (sample.tolist(), key.tolist()) == ([0], [2 * 16 + 1 * 4 + 3])


def test_ngrams_do_not_cross_samples() -> None:
    sample, key = trains([0, 1], [2], [3, 0]).ngrams(2)
    assert sample.tolist() == [0, 2]
    assert key.tolist() == [1, 12]


def test_ngrams_beyond_64_bits_are_refused() -> None:
    with pytest.raises(OverflowError, match="3-grams"):
        trains([0], n_neurons=3_000_000).ngrams(3)


def test_joined_parts_keep_their_samples_apart() -> None:
    joined = join([trains([0], []), trains([3, 2])])
    assert joined.n_samples == 3
    assert joined.counts().toarray().tolist() == trains([0], [], [3, 2]).counts().toarray().tolist()


def test_all_averages_over_the_neurons_of_a_class() -> None:
    # Neurons 0 and 1 belong to class 0, neuron 2 to class 1, neuron 3 never fired.
    decoder = fit_decoder("all", [(trains([0, 0, 1], [2, 2, 1]), np.array([0, 1]))], 2)
    # Two spikes of class 0 over two neurons against one of class 1: a draw, which the first class wins.
    assert decoder.predict(trains([0, 1, 2], [0, 2], [3], [])).tolist() == [0, 1, ABSTAIN, ABSTAIN]


def test_vote_weighs_a_neuron_by_how_sure_it_is() -> None:
    # Neuron 0: rates 3 and 1, so class 0 with weight 3/4; neuron 1: rates 0 and 2, so class 1 with weight 1.
    decoder = fit_decoder("vote", [(trains([0, 0, 0], [0, 1, 1]), np.array([0, 1]))], 2)
    np.testing.assert_allclose(decoder.weights[:2], [[0.75, 0.0], [0.0, 1.0]])
    assert decoder.predict(trains([0, 1], [0, 0, 1], [2])).tolist() == [1, 0, ABSTAIN]


def test_rates_are_means_so_that_a_frequent_class_does_not_win() -> None:
    # Neuron 0 fires once on each of three samples of class 0 and twice on the only one of class 1.
    decoder = fit_decoder("all", [(trains([0], [0], [0], [0, 0]), np.array([0, 0, 0, 1]))], 2)
    assert decoder.predict(trains([0])).tolist() == [1]


def test_2gram_knows_the_order_of_spikes() -> None:
    decoder = fit_decoder("2gram", [(trains([0, 1, 2], [2, 1, 0]), np.array([0, 1]))], 2)
    assert decoder.predict(trains([0, 1], [1, 0], [1, 2, 0], [0, 2], [3])).tolist() == [0, 1, 0, ABSTAIN, ABSTAIN]


def test_3gram_adds_up_how_often_a_sequence_was_seen() -> None:
    fitted_on = trains([0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 3, 3])
    decoder = fit_decoder("3gram", [(fitted_on, np.array([0, 1]))], 2)
    assert decoder.predict(trains([0, 1, 2], [1, 2, 3], [0, 1, 3], [2, 3, 3, 0, 1, 2])).tolist() == [0, 1, ABSTAIN, 0]


@pytest.mark.parametrize("name", ["all", "vote", "2gram", "3gram"])
def test_silence_is_decoded_by_abstaining(name: str) -> None:
    decoder = fit_decoder(name, [(trains([], []), np.array([0, 1]))], 3)
    assert decoder.predict(trains([0, 1, 2], [])).tolist() == [ABSTAIN, ABSTAIN]


@given(st.lists(st.lists(st.integers(0, 3), max_size=8), min_size=1, max_size=6), st.integers(1, 3))
def test_ngrams_are_those_of_a_plain_loop(samples: list[list[int]], n: int) -> None:
    expected = [
        (b, sum(neuron * 4 ** (n - 1 - i) for i, neuron in enumerate(neurons[start : start + n])))
        for b, neurons in enumerate(samples)
        for start in range(len(neurons) - n + 1)
    ]
    sample, key = trains(*samples).ngrams(n)
    assert list(zip(sample.tolist(), key.tolist(), strict=True)) == expected


def one_spike_a_step(seed: int, n_samples: int = 60, n_steps: int = 30, n_neurons: int = 12):
    """Activity in which the class is told by which neurons fire, as BindsNET's ``B x T x N`` and as events."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, n_samples)
    neuron = (rng.integers(0, 6, (n_samples, n_steps)) + 3 * classes[:, None]) % n_neurons
    fires = rng.random((n_samples, n_steps)) < 0.5
    dense = torch.zeros(n_samples, n_steps, n_neurons)
    sample, step = np.nonzero(fires)
    dense[sample, step, neuron[sample, step]] = 1.0
    return dense, SpikeTrains.of(fires.sum(1), neuron[sample, step], n_neurons), classes


@pytest.mark.stdp
def test_all_and_vote_agree_with_the_library() -> None:
    from bindsnet.evaluation import all_activity, assign_labels, proportion_weighting

    dense, events, classes = one_spike_a_step(1)
    later, later_events, _ = one_spike_a_step(2)
    assignments, proportions, _ = assign_labels(dense, torch.from_numpy(classes), 3)
    expected = {
        "all": all_activity(later, assignments, 3),
        "vote": proportion_weighting(later, assignments, proportions, 3),
    }
    for name, predictions in expected.items():
        assert fit_decoder(name, [(events, classes)], 3).predict(later_events).tolist() == predictions.tolist()


@pytest.mark.stdp
@pytest.mark.parametrize("n", [2, 3])
def test_ngram_scores_agree_with_the_library(n: int) -> None:
    # Its prediction leaves out the last n-gram of each sample, so that the tables are compared, not the predictions.
    from bindsnet.evaluation import update_ngram_scores

    dense, events, classes = one_spike_a_step(3)
    library = update_ngram_scores(dense, torch.from_numpy(classes), 3, n, {})
    decoder = fit_decoder(f"{n}gram", [(events, classes)], 3)
    ours = {
        tuple(int(key) // 12**p % 12 for p in reversed(range(n))): score
        for key, score in zip(decoder.keys, decoder.scores.tolist(), strict=True)
    }
    assert ours == {sequence: score.tolist() for sequence, score in library.items()}


def trains_of(counts: np.ndarray) -> SpikeTrains:
    _, neuron = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    return SpikeTrains.of(counts.sum(1), neuron, counts.shape[1])


@pytest.mark.parametrize("name", ["log", "svm"])
def test_linear_readouts_find_what_no_single_neuron_tells(name: str) -> None:
    counts = np.random.default_rng(0).poisson(6.0, (300, 4))
    classes = (counts[:, 0] + counts[:, 1] > counts[:, 2] + counts[:, 3] + 1).astype(np.int64)
    fitted = fit_decoder(name, [(trains_of(counts), classes)], 2)
    assert (fitted.predict(trains_of(counts)) == classes).mean() > 0.97
    assert (fit_decoder("all", [(trains_of(counts), classes)], 2).predict(trains_of(counts)) == classes).mean() < 0.95


def three_classes(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Counts ``n x 5`` that tell which of three classes each sample has."""
    rng = np.random.default_rng(1)
    counts, classes = rng.poisson(rng.uniform(1, 8, (1, 5)), (n, 5)), np.arange(n) % 3
    counts[:, 0] += 4 * (classes == 0)
    counts[:, 1] += 4 * (classes == 1)
    return counts, classes


@pytest.mark.parametrize("name", ["log", "svm"])
def test_linear_readouts_are_converged_and_give_a_silent_sample_no_class(name: str) -> None:
    counts, classes = three_classes()
    counts[17] = 0
    predicted = fit_decoder(name, [(trains_of(counts), classes)], 3).predict(trains_of(counts))
    assert predicted[17] == ABSTAIN
    scaled = counts / counts.std(0)
    theirs = LogisticRegression() if name == "log" else LinearSVC(intercept_scaling=10.0, tol=1e-8, max_iter=100_000)
    expected = theirs.fit(scaled, classes).predict(scaled)
    expected[17] = ABSTAIN
    assert predicted.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["log", "svm"])
@pytest.mark.parametrize("present", [[2], [0, 2], [0, 1, 2]])
def test_linear_readouts_never_read_a_class_that_no_fitted_sample_has(name: str, present: list[int]) -> None:
    counts, classes = three_classes()
    counts[:, 4] = 3  # a neuron that says nothing
    fitted_on = np.isin(classes, present)
    decoder = fit_decoder(name, [(trains_of(counts[fitted_on]), classes[fitted_on])], 5)
    assert set(decoder.predict(trains_of(counts)).tolist()) == set(present)
    right = decoder.predict(trains_of(counts[fitted_on])) == classes[fitted_on]
    assert right.mean() > 0.7
    again = decoder_of(decoder_state(decoder))
    assert again.predict(trains_of(counts)).tolist() == decoder.predict(trains_of(counts)).tolist()


def test_a_spike_takes_the_bytes_that_its_neuron_needs() -> None:
    for n_neurons, kind in ((256, np.uint8), (257, np.uint16), (2000, np.uint16), (70_000, np.uint32)):
        assert SpikeTrains.of(np.array([1]), np.array([n_neurons - 1]), n_neurons).neuron.dtype == kind


@pytest.mark.parametrize("at_once", [1, 7, 100])
@pytest.mark.parametrize("name", ["all", "vote", "2gram", "3gram", "log", "svm"])
def test_parts_of_the_samples_give_the_same_decoder(name: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, events, classes = one_spike_a_step(4)
    later = one_spike_a_step(5)[1]
    whole = fit_decoder(name, [(events, classes)], 3)
    expected, counts = whole.predict(later), events.counts()
    monkeypatch.setattr("snnhpo_mpi.snn.stdp.decode.AT_ONCE", at_once)
    parts = [(events.part(a, b), classes[a:b]) for a, b in ((0, 1), (1, 1), (1, 40), (40, 60))]
    fitted = fit_decoder(name, iter(parts), 3)
    assert fitted.predict(later).tolist() == expected.tolist()
    assert (events.counts() != counts).nnz == 0
    for name, value in decoder_state(whole).items():
        np.testing.assert_array_equal(decoder_state(fitted)[name], value)


def test_a_saved_linear_readout_of_before_is_read() -> None:
    saved = {"weights": np.array([[1.0, -1.0], [-1.0, 1.0]]), "bias": np.array([0.0, 0.5])}
    assert decoder_of(saved).predict(trains_of(np.array([[2, 1], [0, 3], [0, 0]]))).tolist() == [0, 1, ABSTAIN]
