"""From excitatory spikes to classes: decoders fitted on training activity only.

Sources: ``all`` Diehl & Cook, Front. Comput. Neurosci. 2015, section 2.6; ``vote`` (proportion weighting) and n-grams
Hazan et al., Front. Neuroinform. 2018 (BindsNET), section 4, and Saunders et al., IJCNN 2018; ``log`` and ``svm``:
``decode_linear``.

Notation
    B samples    N neurons    K classes    S spikes    G distinct n-grams
    rate  N x K  mean spikes of a neuron on the samples of a class
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from snnhpo_mpi.snn.stdp.decode_linear import LinearFit, fit_linear

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
ABSTAIN = -1  # a sample without a spike that means anything has no class; it counts as wrong


@dataclass(frozen=True, slots=True)
class SpikeTrains:
    """The spikes of one layer on ``n_samples`` samples, in order of sample, then step, then neuron.

    Attributes:
        sample: ``S``, ascending.
        neuron: ``S``.
        n_samples: B.
        n_neurons: N.
    """

    sample: Ints
    neuron: Ints
    n_samples: int
    n_neurons: int

    def counts(self) -> csr_array:
        """Spikes of each neuron on each sample, ``B x N``."""
        first = np.append(0, np.cumsum(self.per_sample()))
        shape = self.n_samples, self.n_neurons
        counts = csr_array((np.ones(len(self.neuron)), self.neuron, first), shape=shape, copy=True)
        counts.sum_duplicates()  # in place
        return counts

    def part(self, first: int, end: int) -> SpikeTrains:
        """Samples ``first`` to ``end`` - 1."""
        begin, stop = np.searchsorted(self.sample, [first, end])
        return SpikeTrains(self.sample[begin:stop] - first, self.neuron[begin:stop], end - first, self.n_neurons)

    def per_sample(self) -> Ints:
        """Spikes of the whole layer on each sample, ``B``."""
        return np.bincount(self.sample, minlength=self.n_samples)

    def ngrams(self, n: int) -> tuple[Ints, Ints]:
        """Every n spikes in a row of one sample: the samples, and the sequences of neurons as numbers to base N.

        Raises:
            OverflowError: N ** n is beyond 64 bits.
        """
        if self.n_neurons**n >= 2**63:
            raise OverflowError(f"{n}-grams of {self.n_neurons} neurons do not fit in 64 bits")
        n_windows = max(len(self.sample) - n + 1, 0)
        key = np.zeros(n_windows, dtype=np.int64)
        for position in range(n):
            key = key * self.n_neurons + self.neuron[position : position + n_windows]
        within = self.sample[:n_windows] == self.sample[n - 1 :] if n_windows else np.zeros(0, dtype=bool)
        return self.sample[:n_windows][within], key[within]


def join(parts: Sequence[SpikeTrains]) -> SpikeTrains:
    """The samples of several parts, one after another; at least one part."""
    starts = np.cumsum([0, *(part.n_samples for part in parts)])
    return SpikeTrains(
        sample=np.concatenate([part.sample + start for part, start in zip(parts, starts[:-1], strict=True)]),
        neuron=np.concatenate([part.neuron for part in parts]),
        n_samples=int(starts[-1]),
        n_neurons=parts[0].n_neurons,
    )


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
        sample, key = trains.ngrams(self.n)
        place = np.searchsorted(self.keys, key)
        known = place < len(self.keys)
        known[known] = self.keys[place[known]] == key[known]
        votes = self.scores[place[known]]
        totals = [np.bincount(sample[known], weights=column, minlength=trains.n_samples) for column in votes.T]
        return _best(np.stack(totals, axis=1))


def fit_decoder(name: str, trains: SpikeTrains, classes: Ints, n_classes: int) -> Decoder:
    """Fit a decoder on labelled training activity.

    Args:
        name: all, vote, 2gram, 3gram, log or svm.
        trains: B samples of excitatory spikes.
        classes: ``B``.
        n_classes: K.
    """
    match name:
        case "all" | "vote":
            return rate_readout(name, class_rates(trains, classes, n_classes))
        case "log" | "svm":
            return LinearReadout(fit_linear(name, trains.counts(), classes, n_classes))
        case "2gram" | "3gram":
            return _fit_ngrams(int(name[0]), trains, classes, n_classes)
        case _:
            raise ValueError(f"no decoder {name}")


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
    """A decoder as tensors and numbers, for ``decoder_of``."""
    match decoder:
        case CountReadout(weights):
            return {"weights": torch.from_numpy(weights)}
        case LinearReadout(fit):
            return {"weights": torch.from_numpy(fit.weights), "bias": torch.from_numpy(fit.bias)}
        case NgramReadout(n, keys, scores):
            return {"n": n, "keys": torch.from_numpy(keys), "scores": torch.from_numpy(scores)}
        case _:
            raise NotImplementedError(f"a {type(decoder).__name__} cannot be saved")


def decoder_of(saved: Mapping[str, Any]) -> Decoder:
    """The decoder of which ``saved`` was made."""
    if "n" in saved:
        return NgramReadout(saved["n"], saved["keys"].cpu().numpy(), saved["scores"].cpu().numpy())
    if "bias" in saved:
        return LinearReadout(LinearFit(saved["weights"].cpu().numpy(), saved["bias"].cpu().numpy()))
    return CountReadout(saved["weights"].cpu().numpy())


def class_rates(trains: SpikeTrains, classes: Ints, n_classes: int) -> Floats:
    """Mean spikes of each neuron on the samples of each class, ``N x K``."""
    members = (classes[:, None] == np.arange(n_classes)).astype(np.float64)  # B x K
    rate: Floats = trains.counts().T @ members / np.maximum(members.sum(0), 1.0)
    return rate


def _share_of_class(rate: Floats) -> Floats:
    """A neuron belongs to the class it fires most for; each class averages over its neurons, ``N x K``."""
    assigned = rate.argmax(1)
    belongs = (assigned[:, None] == np.arange(rate.shape[1])) & (rate.sum(1, keepdims=True) > 0)
    share: Floats = belongs / np.maximum(belongs.sum(0), 1)
    return share


def _fit_ngrams(n: int, trains: SpikeTrains, classes: Ints, n_classes: int) -> NgramReadout:
    sample, key = trains.ngrams(n)
    keys, place = np.unique(key, return_inverse=True)
    flat = np.bincount(place * n_classes + classes[sample], minlength=len(keys) * n_classes)
    return NgramReadout(n, keys, flat.reshape(len(keys), n_classes).astype(np.float64))


def _best(score: Floats) -> Ints:
    """Class of the largest score of each row of ``B x K``, the first of equals."""
    return np.where(score.max(1) > 0, score.argmax(1), ABSTAIN)
