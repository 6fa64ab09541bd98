"""On which spikes the decoder of a Diehl & Cook network is fitted, while it trains and for its score.

    frozen      training samples shown again with learning off
    latest      the latest training samples, as they were when the network learnt them
    published   class rates and n-gram counts of all of the training, added up in pieces of 1,201 samples with equal
                weight; ``log`` and ``svm`` on the last piece alone (Firmin, Boulet & Talbi, their public code)

The running accuracy of a training is that of its latest samples, whichever is chosen for the score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from snnhpo_mpi.snn.stdp.decode import (
    Decoder,
    Ints,
    Known,
    NgramReadout,
    SpikeTrains,
    added,
    class_rates,
    decoder_of,
    decoder_state,
    fit_decoder,
    join_known,
    rate_readout,
)

FIT_SAMPLES = 1000  # the latest training samples that the running decoder is fitted on: older ones met other weights
# Training samples between two fits of the running decoder: a fourth of those seen, within these bounds.
REFIT_AFTER_LEAST, REFIT_AFTER_MOST = 250, 1000
PUBLISHED_PIECE = 1201
Kind = Literal["frozen", "latest", "published"]


class Readout:
    """Follows a training, and gives the decoder for its score."""

    def __init__(self, decoder: str, n_classes: int, kind: Kind, n_samples: int) -> None:
        """Start without knowledge.

        Args:
            decoder: its name.
            n_classes: K.
            kind: see the top of the file.
            n_samples: that ``frozen`` and ``latest`` are fitted on, or all if fewer.
        """
        self._decoder, self._n_classes, self._kind, self._n_samples = decoder, n_classes, kind, n_samples
        n_kept = max(FIT_SAMPLES, n_samples) if kind == "latest" else FIT_SAMPLES
        self._running = RunningReadout(decoder, n_classes, n_kept)
        self._sums = PublishedReadout(decoder, n_classes) if kind == "published" else None

    def observe(self, trains: SpikeTrains, classes: Ints) -> Ints | None:
        """See ``RunningReadout``."""
        if self._sums is not None:
            self._sums.observe(trains, classes)
        return self._running.observe(trains, classes)

    def end_epoch(self) -> None:
        """Predict with what was learnt up to now: a checkpoint at an epoch's end needs no decoder."""
        self._running.refit()
        if self._sums is not None:
            self._sums.end_epoch()

    def fit(self, show: Callable[[int], Iterable[Known]]) -> Decoder:
        """The decoder for the score.

        Args:
            show: presents so many training samples with learning off, in parts one after another.
        """
        if self._sums is not None:
            return self._sums.fit()
        if self._kind == "latest":
            return self._running.fit(self._n_samples)
        return fit_decoder(self._decoder, show(self._n_samples), self._n_classes)

    def state_dict(self) -> dict[str, Any]:
        """All that is known at an epoch's end."""
        sums = {} if self._sums is None else {"published": self._sums.state_dict()}
        return {"running": self._running.state_dict()} | sums

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Know what a checkpoint holds and nothing else."""
        self._running.load_state_dict(state["running"])
        if self._sums is not None:
            self._sums.load_state_dict(state["published"])


class RunningReadout:
    """A decoder that follows the training: it predicts a batch, then learns from it."""

    def __init__(self, decoder: str, n_classes: int, n_kept: int = FIT_SAMPLES) -> None:
        """Start without knowledge.

        Args:
            decoder: its name.
            n_classes: K.
            n_kept: latest samples that are remembered.
        """
        self._decoder, self._n_classes, self._n_kept = decoder, n_classes, n_kept
        self._recent: list[Known] = []
        self._fitted: Decoder | None = None
        self._n_known = self._n_seen = self._n_since_fit = 0

    def observe(self, trains: SpikeTrains, classes: Ints) -> Ints | None:
        """Predict a batch with what was learnt before it; None before the first fit.

        Returns:
            ``B``, 1 where the prediction is right.
        """
        right = None if self._fitted is None else (self._fitted.predict(trains) == classes).astype(np.int64)
        self._recent.append((trains, classes))
        self._n_known += len(classes)
        while self._n_known - len(self._recent[0][1]) >= self._n_kept:
            self._n_known -= len(self._recent.pop(0)[1])
        self._n_seen += len(classes)
        self._n_since_fit += len(classes)
        if self._n_since_fit >= min(max(self._n_seen // 4, REFIT_AFTER_LEAST), REFIT_AFTER_MOST):
            self.refit()
        return right

    def refit(self) -> None:
        """Predict with what was learnt up to now; done at each epoch's end, so that a checkpoint needs no decoder."""
        self._fitted, self._n_since_fit = self.fit(FIT_SAMPLES), 0

    def fit(self, n_samples: int) -> Decoder:
        """The decoder of the latest samples, ``n_samples`` or a few more."""
        first, n_taken = len(self._recent), 0
        while first > 0 and n_taken < n_samples:
            first -= 1
            n_taken += len(self._recent[first][1])
        return fit_decoder(self._decoder, self._recent[first:], self._n_classes)

    def state_dict(self) -> dict[str, Any]:
        """The latest samples, just after a ``refit``."""
        return {"recent": [_state_of(*known) for known in self._recent], "n_seen": self._n_seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Know the samples of a checkpoint and nothing else."""
        self._n_seen = state["n_seen"]
        self._recent = [_known_of(**batch) for batch in state["recent"]]
        self._n_known = sum(len(classes) for _, classes in self._recent)
        self.refit()


class PublishedReadout:
    """Adds up what the pieces of all epochs tell."""

    def __init__(self, decoder: str, n_classes: int) -> None:
        """Start without knowledge."""
        self._decoder, self._n_classes = decoder, n_classes
        self._begun: list[Known] = []  # of a piece
        self._rates = np.zeros((0, n_classes))
        self._ngrams: NgramReadout | None = None
        self._last: Known | None = None

    def observe(self, trains: SpikeTrains, classes: Ints) -> None:
        """Take in samples; whole pieces count."""
        self._begun.append((trains, classes))
        while (n_begun := sum(len(known) for _, known in self._begun)) >= PUBLISHED_PIECE:
            trains, classes = join_known(self._begun)
            self._learn(trains.part(0, PUBLISHED_PIECE), classes[:PUBLISHED_PIECE])
            self._begun = [(trains.part(PUBLISHED_PIECE, n_begun), classes[PUBLISHED_PIECE:])]

    def end_epoch(self) -> None:
        """Let the piece that was begun count."""
        trains, classes = join_known(self._begun)
        if len(classes):
            self._learn(trains, classes)
        self._begun = []

    def _learn(self, trains: SpikeTrains, classes: Ints) -> None:
        if self._decoder in ("all", "vote"):
            rates = class_rates([(trains, classes)], self._n_classes)
            self._rates = rates + self._rates if len(self._rates) else rates
        elif self._decoder in ("log", "svm"):
            self._last = trains, classes
        else:
            found = fit_decoder(self._decoder, [(trains, classes)], self._n_classes)
            assert isinstance(found, NgramReadout)
            self._ngrams = found if self._ngrams is None else added(self._ngrams, found)

    def fit(self) -> Decoder:
        """The decoder of all pieces."""
        if self._ngrams is not None:
            return self._ngrams
        if self._last is not None:
            return fit_decoder(self._decoder, [self._last], self._n_classes)
        return rate_readout(self._decoder, self._rates)

    def state_dict(self) -> dict[str, Any]:
        """All sums, at an epoch's end."""
        return {
            "rates": self._rates,
            "ngrams": None if self._ngrams is None else decoder_state(self._ngrams),
            "last": None if self._last is None else _state_of(*self._last),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the sums of a checkpoint."""
        self._rates = state["rates"]
        if state["ngrams"] is not None:
            ngrams = decoder_of(state["ngrams"])
            assert isinstance(ngrams, NgramReadout)
            self._ngrams = ngrams
        if state["last"] is not None:
            self._last = _known_of(**state["last"])


def _state_of(trains: SpikeTrains, classes: Ints) -> dict[str, Any]:
    return {"first": trains.first, "neuron": trains.neuron, "n_neurons": trains.n_neurons, "classes": classes}


def _known_of(classes: Ints, **trains: Any) -> Known:
    return SpikeTrains(**trains), classes
