"""Steps of a Diehl & Cook network by its spikes: for CPUs, where few inputs spike and few neurons fire in a step.

A step adds up the weights' rows of inputs that spike, changes rows and columns of what fires (all of them where many
fire), and otherwise only lets potentials and traces decay. Small operations are NumPy's, which begins them several
times as fast as torch; both see the same memory. Equations and notation: ``equations``. A spike of neuron n of sample b
is the number ``b N + n``.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnhpo_mpi.snn.equations import WEIGHT_MAX, WEIGHT_MIN, Equations, Lif, distance_inhibition

CLAMP_ALL_SHARE = 0.25  # of all inputs: if more of them change the weights in a step, clamping all is quicker
ADD_ALL_SHARE = 0.1  # of all neurons: if more fire in a step, one product over all weights is quicker than columns
Reals = NDArray[Any]
Spikes = NDArray[np.int64]  # ascending
NONE = np.empty(0, dtype=np.int64)


class _Layer:
    """Potentials ``B x N`` of a layer, at rest."""

    def __init__(self, lif: Lif, shape: tuple[int, int], dtype: Any) -> None:
        self._lif = lif
        self._v = np.full(shape, lif.rest, dtype=dtype)
        self._open = np.ones(shape, dtype=dtype)  # 0 while refractory
        self._free_at = np.zeros(self._v.size, dtype=np.int32)
        self._v_flat, self._open_flat = self._v.reshape(-1), self._open.reshape(-1)
        self._blocked: deque[tuple[int, Spikes]] = deque()  # when they are free, and who
        self._stays_quiet = max(lif.rest, lif.reset) < lif.thresh

    def begin(self, t: int) -> None:
        """Decay, and end the refractory periods that are over."""
        rest = self._lif.rest
        self._v -= rest
        self._v *= self._lif.decay
        self._v += rest
        while self._blocked and self._blocked[0][0] <= t:
            _, who = self._blocked.popleft()
            who = who[self._free_at[who] <= t]  # those above their threshold at rest may have fired again
            self._open_flat[who] = 1.0

    def drive(self, current: Reals) -> None:
        """Add a current ``B x N``, used up."""
        current *= self._open
        self._v += current

    def excite(self, who: Spikes, by: float) -> None:
        """Add ``by`` [mV] to some neurons."""
        self._v_flat[who] += by * self._open_flat[who]

    def fire(self, t: int, threshold: Reals | float, among: Spikes | None = None) -> Spikes:
        """The neurons that reach their threshold, which are reset.

        Args:
            t: this step.
            threshold: ``N`` or for all.
            among: the only ones that were excited; None if any may have been.
        """
        if among is not None and self._stays_quiet:
            over = among[self._v_flat[among] >= threshold]
        else:
            over = np.flatnonzero(self._v >= threshold)
        if over.size:
            self._v_flat[over] = self._lif.reset
            self._open_flat[over] = 0.0
            self._free_at[over] = free_at = t + 1 + self._lif.n_blocked
            self._blocked.append((free_at, over))
        return over

    def is_finite(self) -> bool:
        """Whether all potentials are."""
        return bool(np.isfinite(self._v).all())


class _Plasticity:
    """Input spikes of a presentation, their currents, and what learning does to the weights."""

    def __init__(self, constants: Equations, w: Tensor, steps: Tensor) -> None:
        n_steps, self._n_samples, n_inputs = steps.shape
        self._eq, self._w, self._n = constants, w, w.shape[1]
        row, self._input = steps.reshape(-1, n_inputs).nonzero(as_tuple=True)
        self._sample = row % self._n_samples
        self._place = (self._sample * n_inputs + self._input).numpy()
        ends = torch.bincount(row, minlength=n_steps * self._n_samples).cumsum(0)
        self._first = torch.nn.functional.pad(ends, (1, 0))  # event of each sample in each step
        self._bounds: list[int] = self._first[:: self._n_samples].tolist()  # of each step
        self._x = w.new_zeros(self._n_samples, n_inputs)
        self._y = w.new_zeros(self._n_samples, self._n)
        self._x_array, self._y_array = self._x.numpy(), self._y.numpy()
        self._has_fired = False
        self._is_clamped = False  # normalisation may have left weights above their bound

    def current(self, t: int) -> Reals:
        """``B x N``, what the spikes of step ``t`` carry."""
        first, end = self._bounds[t], self._bounds[t + 1]
        starts = self._first[t * self._n_samples : (t + 1) * self._n_samples] - first
        current: Reals = torch.embedding_bag(self._w, self._input[first:end], starts)[0].numpy()
        return current

    def learn(self, t: int, fired: Spikes) -> None:
        """Traces and weights at the end of a step."""
        eq, events = self._eq, slice(self._bounds[t], self._bounds[t + 1])
        self._x_array *= eq.x_decay
        self._x_array.reshape(-1)[self._place[events]] = 1.0
        self._has_fired |= fired.size > 0
        if self._has_fired:
            self._y_array *= eq.y_decay
            self._y_array.reshape(-1)[fired] = 1.0
        inputs = self._input[events] if eq.nu_pre and self._has_fired else None
        neurons = torch.from_numpy(fired % self._n) if eq.nu_post and fired.size else None
        if inputs is not None:
            traces = self._y.index_select(0, self._sample[events])
            self._w.index_add_(0, inputs, traces, alpha=-eq.nu_pre)
        if neurons is not None:
            self._potentiate(fired, neurons)
        self._clamp(inputs, neurons)

    def _potentiate(self, fired: Spikes, neurons: Tensor) -> None:
        """Raise the weights into neurons that fired by the traces of their inputs."""
        if self._are_many(neurons):
            fires = torch.zeros_like(self._y)
            fires.view(-1)[torch.from_numpy(fired)] = 1.0
            self._w.addmm_(self._x.t(), fires, alpha=self._eq.nu_post)
            return
        traces = self._x.index_select(0, torch.from_numpy(fired // self._n))
        self._w.t().index_add_(0, neurons, traces, alpha=self._eq.nu_post)

    def _are_many(self, neurons: Tensor | None) -> bool:
        return neurons is not None and neurons.numel() > ADD_ALL_SHARE * self._n

    def _clamp(self, inputs: Tensor | None, neurons: Tensor | None) -> None:
        """Keep changed weights in their bounds: all at first or when many changed, else these rows and columns."""
        n_rows = 0 if inputs is None else inputs.numel()
        if not self._is_clamped or n_rows > CLAMP_ALL_SHARE * self._w.shape[0] or self._are_many(neurons):
            self._w.clamp_(WEIGHT_MIN, WEIGHT_MAX)
            self._is_clamped = True
            return
        for axis, index in enumerate((inputs, neurons)):
            if index is not None:
                index = torch.from_numpy(np.unique(index.numpy()))
                part = self._w.index_select(axis, index).clamp_(WEIGHT_MIN, WEIGHT_MAX)
                self._w.index_copy_(axis, index, part)


class SparseSteps:
    """Runs presentations; changes the weights ``M x N`` and the thresholds' rise ``N`` that it is given.

    Attributes:
        has_finite_potentials: whether they were finite at the end of all presentations.
    """

    def __init__(self, constants: Equations, w: Tensor, theta: Tensor) -> None:
        self._eq, self._w, self._theta = constants, w, theta.numpy()
        self.has_finite_potentials = True
        self._n = theta.numel()
        if constants.form.by_distance:
            self._inhibition = distance_inhibition(self._n, constants.strength_inh).to(w).numpy()

    @np.errstate(over="ignore", invalid="ignore")  # what diverges is told by ``has_finite_potentials``
    def run(self, steps: Tensor, excitatory: Tensor, inhibitory: Tensor, learning: bool) -> None:
        """All steps from rest; see ``DenseSteps.run``."""
        eq, theta = self._eq, self._theta
        shape = (steps.shape[1], self._n)
        layer_e, layer_i = _Layer(eq.e, shape, theta.dtype), _Layer(eq.i, shape, theta.dtype)
        plasticity = _Plasticity(eq, self._w, steps)
        records = [record.zero_().numpy().reshape(len(steps), -1) for record in (excitatory, inhibitory)]
        fired_e = fired_i = NONE
        for t in range(len(steps)):
            layer_e.begin(t)
            layer_i.begin(t)
            if t:
                current = plasticity.current(t - 1)
                if fired_i.size:
                    self._inhibit(current, fired_i)
                layer_e.drive(current)
                layer_i.excite(fired_e, eq.strength_exc)
            if learning:
                theta *= eq.theta_decay
            over = layer_e.fire(t, theta + eq.e.thresh)
            if learning and over.size:
                theta += eq.theta_plus * np.bincount(over % self._n, minlength=self._n).astype(theta.dtype)
            fired_i = layer_i.fire(t, eq.i.thresh, among=fired_e)
            fired_e = one_winner(over, *shape, theta.dtype) if eq.form.one_winner else over
            for record, fired in zip(records, (fired_e, fired_i), strict=True):
                record[t, fired] = True
            if learning and eq.learns:
                plasticity.learn(t, fired_e)
        self.has_finite_potentials &= layer_e.is_finite() and layer_i.is_finite()

    def _inhibit(self, current: Reals, fired: Spikes) -> None:
        """Take from ``current`` what spikes of the inhibitory layer take."""
        sample, neuron = np.divmod(fired, self._n)
        if self._eq.form.by_distance:
            for sample_of, neuron_of in zip(sample.tolist(), neuron.tolist(), strict=True):
                current[sample_of] -= self._inhibition[neuron_of]
            return
        others = np.repeat(np.bincount(sample, minlength=len(current)).astype(current.dtype)[:, None], self._n, axis=1)
        others.reshape(-1)[fired] -= 1.0
        others *= self._eq.strength_inh
        current -= others


def one_winner(over: Spikes, n_samples: int, n: int, dtype: Any) -> Spikes:
    """One neuron of each sample that has any, drawn evenly from those over their threshold.

    The draws are those of BindsNET, by ``torch.multinomial``: of a sample's neurons, each of which has an exponential
    number, that with the smallest wins. Numbers are drawn for all of its neurons even where one alone is over.

    Args:
        over: spikes.
        n_samples: B.
        n: N.
        dtype: in which the numbers are compared.
    """
    if not over.size:
        return over
    sample = over // n
    n_over = np.bincount(sample, minlength=n_samples)
    drawing = n_over > 0
    uniform = torch.rand(int(np.count_nonzero(drawing)), n, dtype=torch.float64).numpy()
    if len(uniform) == over.size:
        return over
    row = (np.cumsum(drawing) - 1)[sample]
    rank = np.full(uniform.shape, -1.0, dtype=dtype)
    rank[row, over % n] = 1.0 / -np.log1p(-uniform[row, over % n]).astype(dtype)
    winners: Spikes = np.flatnonzero(drawing) * n + rank.argmax(1)
    return winners
