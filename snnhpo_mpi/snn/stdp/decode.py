"""From excitatory spikes to classes: decoders fitted on training activity only.

Sources: ``all`` Diehl & Cook, Front. Comput. Neurosci. 2015, section 2.6; ``vote`` (proportion weighting) and n-grams
Hazan et al., Front. Neuroinform. 2018 (BindsNET), section 4, and Saunders et al., IJCNN 2018; ``log`` and ``svm``:
``decode_linear``.

Notation
    B samples    N neurons    K classes    S spikes    G distinct n-grams
    rate  N x K  mean spikes of a neuron on the samples of a class
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from snnhpo_mpi.snn.stdp.decode_linear import LinearFit, fit_linear

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
ABSTAIN = -1  # a sample without a spike that means anything has no class; it counts as wrong
AT_ONCE = 2**19  # spikes that are counted together, about: networks that fire constantly give many times as many


@dataclass(frozen=True, slots=True)
class SpikeTrains:
    """The spikes of one layer on B samples, in order of sample, then step, then neuron.

    Attributes:
        first: ``B + 1``; the spikes of sample b are ``first[b]`` to ``first[b + 1]`` - 1.
        neuron: ``S``, of a type that is just large enough.
        n_neurons: N.
    """

    first: Ints
    neuron: NDArray[np.unsignedinteger[Any]]
    n_neurons: int

    @classmethod
    def of(cls, per_sample: NDArray[np.integer[Any]], neuron: NDArray[np.integer[Any]], n_neurons: int) -> SpikeTrains:
        """From the spikes of each sample, ``B``, and the neurons that gave them, ``S``."""
        first = np.concatenate([[0], np.cumsum(per_sample, dtype=np.int64)])
        return cls(first, neuron.astype(np.min_scalar_type(n_neurons - 1)), n_neurons)

    @property
    def n_samples(self) -> int:
        """B."""
        return len(self.first) - 1

    def counts(self) -> csr_array:
        """Spikes of each neuron on each sample, ``B x N``."""
        return _stacked([one._counts() for one in self.in_parts()])

    def _counts(self) -> csr_array:
        neuron, first = self.neuron.astype(np.int32), self.first.astype(np.int32)  # which it takes without a look
        counts = csr_array((np.ones(len(neuron)), neuron, first), shape=(self.n_samples, self.n_neurons))
        counts.sum_duplicates()  # in place
        return counts

    def part(self, first: int, end: int) -> SpikeTrains:
        """Samples ``first`` to ``end`` - 1."""
        begin, stop = self.first[first], self.first[end]
        return SpikeTrains(self.first[first : end + 1] - begin, self.neuron[begin:stop], self.n_neurons)

    def in_parts(self) -> Iterator[SpikeTrains]:
        """The samples in parts of at most ``AT_ONCE`` spikes, or one sample; at least one part."""
        end = 0
        while True:
            first, most = end, int(np.searchsorted(self.first, self.first[end] + AT_ONCE, "right")) - 1
            end = min(max(most, first + 1), self.n_samples)
            yield self.part(first, end)
            if end == self.n_samples:
                return

    def per_sample(self) -> Ints:
        """Spikes of the whole layer on each sample, ``B``."""
        return np.diff(self.first)

    def ngrams(self, n: int) -> tuple[Ints, Ints]:
        """Every n spikes in a row of one sample: the samples, and the sequences of neurons as numbers to base N.

        Raises:
            OverflowError: N ** n is beyond 64 bits.
        """
        if self.n_neurons**n >= 2**63:
            raise OverflowError(f"{n}-grams of {self.n_neurons} neurons do not fit in 64 bits")
        sample = np.repeat(np.arange(self.n_samples), self.per_sample())
        n_windows = max(len(sample) - n + 1, 0)
        key = np.zeros(n_windows, dtype=np.int64)
        for position in range(n):
            key = key * self.n_neurons + self.neuron[position : position + n_windows]
        within = sample[:n_windows] == sample[n - 1 :] if n_windows else np.zeros(0, dtype=bool)
        return sample[:n_windows][within], key[within]


def join(parts: Sequence[SpikeTrains]) -> SpikeTrains:
    """The samples of several parts, one after another; at least one part."""
    per_sample = np.concatenate([part.per_sample() for part in parts])
    return SpikeTrains.of(per_sample, np.concatenate([part.neuron for part in parts]), parts[0].n_neurons)


Known = tuple[SpikeTrains, Ints]  # spikes of samples and their classes


def join_known(parts: Sequence[Known]) -> Known:
    """The same of samples whose classes are known."""
    trains, classes = zip(*parts, strict=True)
    return join(trains), np.concatenate(classes)


class Decoder(Protocol):
    """A fitted readout."""

    def predict(self, trains: SpikeTrains) -> Ints:
        """Class of each sample, ``B``; ``ABSTAIN`` where nothing speaks for any."""
        ...


@dataclass(frozen=True, slots=True)
class CountReadout:
    """Classes from spike counts; ``weights`` ``N x K`` is what one spike of a neuron adds to a class."""

    weights: Floats

    def predict(self, trains: SpikeTrains) -> Ints:
        """See ``Decoder``."""
        return _best(trains.counts() @ self.weights)


@dataclass(frozen=True, slots=True)
class LinearReadout:
    """Classes from spike counts by a fitted linear score; a silent sample has none."""

    fit: LinearFit

    def predict(self, trains: SpikeTrains) -> Ints:
        """See ``Decoder``."""
        scores = trains.counts() @ self.fit.weights + self.fit.bias
        return np.where(trains.per_sample() > 0, scores.argmax(1), ABSTAIN)


@dataclass(frozen=True, slots=True)
class NgramReadout:
    """Classes from the order of spikes.

    Attributes:
        n: length of the sequences.
        keys: ``G``, ascending, as ``SpikeTrains.ngrams`` numbers them.
        scores: ``G x K``, how often each was seen in each class.
    """

    n: int
    keys: Ints
    scores: Floats

    def predict(self, trains: SpikeTrains) -> Ints:
        """See ``Decoder``."""
        return np.concatenate([self._predict(part) for part in trains.in_parts()])

    def _predict(self, trains: SpikeTrains) -> Ints:
        sample, key = trains.ngrams(self.n)
        place = np.searchsorted(self.keys, key)
        known = place < len(self.keys)
        known[known] = self.keys[place[known]] == key[known]
        votes = self.scores[place[known]]
        totals = [np.bincount(sample[known], weights=column, minlength=trains.n_samples) for column in votes.T]
        return _best(np.stack(totals, axis=1))


def fit_decoder(name: str, known: Iterable[Known], n_classes: int) -> Decoder:
    """Fit a decoder on labelled training activity.

    Args:
        name: all, vote, 2gram, 3gram, log or svm.
        known: excitatory spikes and classes of samples, in any number of parts, which are taken one after another.
        n_classes: K.
    """
    match name:
        case "all" | "vote":
            return rate_readout(name, class_rates(known, n_classes))
        case "log" | "svm":
            counts, classes = zip(*((trains.counts(), classes) for trains, classes in _gathered(known)), strict=True)
            return LinearReadout(fit_linear(name, _stacked(counts), np.concatenate(classes), n_classes))
        case "2gram" | "3gram":
            return reduce(added, (_ngrams(int(name[0]), *one, n_classes) for one in _gathered(known)))
        case _:
            raise ValueError(f"no decoder {name}")


def _stacked(counts: Sequence[csr_array]) -> csr_array:
    return counts[0] if len(counts) == 1 else vstack(counts, format="csr")


def _gathered(known: Iterable[Known]) -> Iterator[Known]:
    """The same samples in parts of about ``AT_ONCE`` spikes; at least one part."""
    begun: list[Known] = []
    for trains, classes in known:
        first = 0
        for part in trains.in_parts():
            begun.append((part, classes[first : first + part.n_samples]))
            first += part.n_samples
            if sum(len(one.neuron) for one, _ in begun) >= AT_ONCE:
                yield join_known(begun)
                begun = []
    if begun:
        yield join_known(begun)


def rate_readout(name: str, rate: Floats) -> CountReadout:
    """``all`` or ``vote`` from rates ``N x K``."""
    share = _share_of_class(rate)
    if name == "vote":
        share = share * rate / np.maximum(rate.sum(1, keepdims=True), 1e-300)
    return CountReadout(share)


def added(one: NgramReadout, other: NgramReadout) -> NgramReadout:
    """Counts of two sets of samples together."""
    keys, place = np.unique(np.concatenate([one.keys, other.keys]), return_inverse=True)
    scores = np.zeros((len(keys), one.scores.shape[1]))
    np.add.at(scores, place, np.concatenate([one.scores, other.scores]))
    return NgramReadout(one.n, keys, scores)


def decoder_state(decoder: Decoder) -> dict[str, Any]:
    """A decoder as arrays and numbers, for ``decoder_of``."""
    match decoder:
        case CountReadout(weights):
            return {"weights": weights}
        case LinearReadout(fit):
            return {"weights": fit.weights, "bias": fit.bias}
        case NgramReadout(n, keys, scores):
            return {"n": n, "keys": keys, "scores": scores}
        case _:
            raise NotImplementedError(f"a {type(decoder).__name__} cannot be saved")


def decoder_of(saved: Mapping[str, Any]) -> Decoder:
    """The decoder of which ``saved`` was made."""
    if "n" in saved:
        return NgramReadout(saved["n"], saved["keys"], saved["scores"])
    if "bias" in saved:
        return LinearReadout(LinearFit(saved["weights"], saved["bias"]))
    return CountReadout(saved["weights"])


def class_rates(known: Iterable[Known], n_classes: int) -> Floats:
    """Mean spikes of each neuron on the samples of each class, ``N x K``."""
    spikes, samples = np.zeros((0, n_classes)), np.zeros(n_classes)
    for trains, classes in _gathered(known):
        members = (classes[:, None] == np.arange(n_classes)).astype(np.float64)  # B x K
        counted: Floats = trains.counts().T @ members
        spikes = spikes + counted if len(spikes) else counted
        samples += members.sum(0)
    return spikes / np.maximum(samples, 1.0)


def _share_of_class(rate: Floats) -> Floats:
    """A neuron belongs to the class it fires most for; each class averages over its neurons, ``N x K``."""
    assigned = rate.argmax(1)
    belongs = (assigned[:, None] == np.arange(rate.shape[1])) & (rate.sum(1, keepdims=True) > 0)
    share: Floats = belongs / np.maximum(belongs.sum(0), 1)
    return share


def _ngrams(n: int, trains: SpikeTrains, classes: Ints, n_classes: int) -> NgramReadout:
    sample, key = trains.ngrams(n)
    keys, place = np.unique(key, return_inverse=True)
    flat = np.bincount(place * n_classes + classes[sample], minlength=len(keys) * n_classes)
    return NgramReadout(n, keys, flat.reshape(len(keys), n_classes).astype(np.float64))


def _best(score: Floats) -> Ints:
    """Class of the largest score of each row of ``B x K``, the first of equals."""
    return np.where(score.max(1) > 0, score.argmax(1), ABSTAIN)
