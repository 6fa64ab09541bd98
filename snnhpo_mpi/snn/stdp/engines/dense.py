"""Steps of a batch by full matrices: for GPUs that ``fused`` is not made for, and for batches on a CPU.

Never asks a GPU for a value, so that the host runs ahead of it.

Equations and notation: ``equations``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from snnhpo_mpi.snn.stdp.equations import WEIGHT_MAX, WEIGHT_MIN, Equations, Lif, distance_inhibition


class _Layer:
    """Potentials of a layer, at rest."""

    def __init__(self, lif: Lif, like: Tensor) -> None:
        self._lif = lif
        self._v = torch.full_like(like, lif.rest)
        self._free_at = torch.zeros_like(like, dtype=torch.int32)

    def step(self, t: int, current: Tensor, threshold: Tensor | float) -> Tensor:
        """``B x N`` current (used up) -> ``B x N`` bool, the neurons that reach their threshold."""
        v, lif = self._v, self._lif
        v.sub_(lif.rest).mul_(lif.decay).add_(lif.rest)
        v.add_(current.masked_fill_(self._free_at > t, 0.0))
        over = v >= threshold
        self._free_at.masked_fill_(over, t + 1 + lif.n_blocked)
        v.masked_fill_(over, lif.reset)
        return over

    def is_finite(self) -> Tensor:
        """Whether all potentials are."""
        return self._v.isfinite().all()


class DenseSteps:
    """Runs presentations; changes the weights ``M x N`` and the thresholds' rise ``N`` that it is given.

    Attributes:
        has_finite_potentials: one bool, whether they were finite at the end of all presentations.
    """

    def __init__(self, constants: Equations, w: Tensor, theta: Tensor) -> None:
        self._eq, self._w, self._theta = constants, w, theta
        self.has_finite_potentials = torch.ones((), dtype=torch.bool, device=w.device)
        if constants.form.by_distance:
            self._inhibition = torch.from_numpy(distance_inhibition(len(theta), constants.strength_inh)).to(w)

    def run(self, steps: Tensor, excitatory: Tensor, inhibitory: Tensor, learning: bool) -> None:
        """All steps from rest.

        Args:
            steps: ``T x B x M`` bool, input spikes.
            excitatory: ``T x B x N`` bool, filled with the spikes.
            inhibitory: the same.
            learning: whether weights and thresholds change.
        """
        eq, w, theta = self._eq, self._w, self._theta
        fired_e = fired_i = w.new_zeros(excitatory.shape[1:])  # 0 or 1
        layer_e, layer_i = _Layer(eq.e, fired_e), _Layer(eq.i, fired_i)
        x, y = w.new_zeros(steps.shape[1:]), torch.zeros_like(fired_e)
        arriving, theta_decay = torch.zeros_like(x), eq.theta_left(steps.shape[1])
        for t, spikes in enumerate(steps):
            current = (arriving @ w).sub_(self._inhibited(fired_i))
            if learning:
                theta.mul_(theta_decay)
            over = layer_e.step(t, current, theta + eq.e.thresh)
            if learning:
                theta.add_(eq.theta_plus * over.sum(0, dtype=w.dtype))
            excitatory[t] = one_winner(over, w.dtype) if eq.form.one_winner else over
            inhibitory[t] = layer_i.step(t, fired_e * eq.strength_exc, eq.i.thresh)
            arriving, fired_e, fired_i = (part.to(w.dtype) for part in (spikes, excitatory[t], inhibitory[t]))
            if learning and eq.learns:
                x.mul_(eq.x_decay).masked_fill_(spikes, 1.0)
                y.mul_(eq.y_decay).masked_fill_(excitatory[t], 1.0)
                w.addmm_(arriving.t(), y, alpha=-eq.nu_pre).addmm_(x.t(), fired_e, alpha=eq.nu_post)
                w.clamp_(WEIGHT_MIN, WEIGHT_MAX)
        self.has_finite_potentials &= layer_e.is_finite() & layer_i.is_finite()

    def _inhibited(self, fired: Tensor) -> Tensor:
        """What spikes ``B x N`` of the inhibitory layer take from the excitatory one, ``B x N`` [mV]."""
        if self._eq.form.by_distance:
            return fired @ self._inhibition
        return self._eq.strength_inh * (fired.sum(1, keepdim=True) - fired)


def one_winner(over: Tensor, dtype: torch.dtype) -> Tensor:
    """One neuron of each sample that has any, drawn evenly from those over their threshold; ``B x N`` bool."""
    if over.device.type == "cpu":  # the very draws of BindsNET, so that equal seeds give equal networks
        any_over = over.any(1)
        if not any_over.any():
            return over
        won = torch.multinomial(over[any_over].to(dtype), 1)
        return torch.zeros_like(over).index_put_((any_over.nonzero(), won), torch.tensor(True))
    noise = torch.empty(over.shape, dtype=dtype, device=over.device).exponential_()
    winner = noise.masked_fill_(~over, torch.inf).argmin(1, keepdim=True)
    return torch.zeros_like(over).scatter_(1, winner, over.any(1, keepdim=True))
