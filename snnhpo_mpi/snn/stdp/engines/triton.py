"""Steps of a Diehl & Cook network in two kernels each: for GPUs, which wait for the launches of ``dense_steps``.

    neurons     a program a sample: both layers, the winner, the traces of what fires
    synapses    a program a piece of the weights: what a step teaches them, and what its spikes carry through them

All steps of a presentation that learns are one CUDA graph. One that does not is one product and one kernel, since
samples meet in weights and thresholds only. Equations and notation: ``snn.equations``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from snnhpo_mpi.snn.stdp.engines.triton_kernels import neurons, synapses
from snnhpo_mpi.snn.stdp.equations import WEIGHT_MAX, WEIGHT_MIN, Equations

ROWS, COLUMNS, SAMPLES = 64, 32, 32  # of the piece of the weights that a program works on at a time
MOST_PARTS = 16  # of the inputs, each of which adds up its own share of the currents
CURRENT_BYTES = 2**28  # of input spikes as numbers and of their currents, where nothing is learnt, at a time


class FusedSteps:
    """Runs presentations; changes the weights ``M x N`` and the thresholds' rise ``N`` that it is given.

    Attributes:
        has_finite_potentials: one bool, whether they were finite at the end of all presentations.
    """

    def __init__(self, constants: Equations, w: Tensor, theta: Tensor) -> None:
        self._eq, self._w, self._theta = constants, w, theta
        self.has_finite_potentials = torch.ones((), dtype=torch.bool, device=w.device)
        self._seed = torch.empty(1, dtype=torch.int64, device=w.device)
        self._lessons: dict[tuple[int, int], _Lesson] = {}

    def run(self, steps: Tensor, excitatory: Tensor, inhibitory: Tensor, learning: bool) -> None:
        """All steps from rest; see ``DenseSteps.run``."""
        self._seed.random_()
        records = excitatory.view(torch.uint8), inhibitory.view(torch.uint8)
        if learning:
            self._learn(steps, *records)
        else:
            self._score(steps, *records)

    def _learn(self, steps: Tensor, excitatory: Tensor, inhibitory: Tensor) -> None:
        size = (len(steps), steps.shape[1])
        if size not in self._lessons:
            self._lessons[size] = _Lesson(self._eq, self._w, self._theta, self._seed, size)
        lesson = self._lessons[size]
        lesson.spikes.copy_(steps)
        lesson.run()
        self.has_finite_potentials &= lesson.state.is_finite()
        excitatory.copy_(lesson.excitatory)
        inhibitory.copy_(lesson.inhibitory)

    def _score(self, steps: Tensor, excitatory: Tensor, inhibitory: Tensor) -> None:
        n_steps, n_samples, n_inputs = steps.shape
        state = _State.at_rest(self._eq, n_samples, self._w)
        at_once = max(1, CURRENT_BYTES // (4 * n_samples * (n_inputs + len(self._theta))))
        for first in range(0, n_steps, at_once):
            arriving = self._w.new_zeros(min(at_once, n_steps - first), n_samples, n_inputs)
            begin = max(first - 1, 0)
            arriving[begin - first + 1 :] = steps[begin : first - 1 + len(arriving)]
            currents = arriving @ self._w
            _launch_neurons(self._eq, state, excitatory, inhibitory, currents, self._theta, None, self._seed, first)
        self.has_finite_potentials &= state.is_finite()


@dataclass(frozen=True, slots=True)
class _State:
    """Potentials ``B x N`` and steps from which neurons are free, of both layers; traces of the excitatory one."""

    v_e: Tensor
    v_i: Tensor
    free_e: Tensor
    free_i: Tensor
    y: Tensor

    @classmethod
    def at_rest(cls, eq: Equations, n_samples: int, w: Tensor) -> _State:
        like = w.new_empty(n_samples, w.shape[1])
        whole = torch.empty_like(like, dtype=torch.int32)
        state = cls(like, torch.empty_like(like), whole, torch.empty_like(whole), torch.empty_like(like))
        state.rest(eq)
        return state

    def is_finite(self) -> Tensor:
        """Whether all potentials are."""
        return self.v_e.isfinite().all() & self.v_i.isfinite().all()

    def rest(self, eq: Equations) -> None:
        self.v_e.fill_(eq.e.rest)
        self.v_i.fill_(eq.i.rest)
        for part in (self.free_e, self.free_i, self.y):
            part.zero_()


class _Lesson:
    """A presentation that learns, of one size: its memory, and its steps as a graph from the second one on.

    Attributes:
        spikes: ``T x B x M`` uint8, of the input; to be filled before ``run``.
        excitatory: ``T x B x N`` uint8, spikes of the latest presentation.
        inhibitory: the same.
        state: at the end of the latest presentation.
    """

    def __init__(self, eq: Equations, w: Tensor, theta: Tensor, seed: Tensor, size: tuple[int, int]) -> None:
        (n_steps, n_samples), (m, n) = size, w.shape
        self._eq, self._w, self._theta, self._seed = eq, w, theta, seed
        self.spikes = torch.empty(n_steps, n_samples, m, dtype=torch.uint8, device=w.device)
        records = torch.empty(2, n_steps, n_samples, n, dtype=torch.uint8, device=w.device)
        self.excitatory, self.inhibitory = records.unbind()
        self.state = _State.at_rest(eq, n_samples, w)
        self._x = w.new_empty(2, n_samples, m).unbind()
        n_blocks = triton.cdiv(m, ROWS)
        self._n_blocks = triton.cdiv(n_blocks, MOST_PARTS)  # of a part
        self._currents = w.new_empty(triton.cdiv(n_blocks, self._n_blocks), n_samples, n)
        self._rise, self._counts = w.new_empty(2, n_steps + 1, n).unbind()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._has_run = False

    def run(self) -> None:
        """Present ``spikes``."""
        if self._w.device.type == "cuda" and self._has_run:  # kernels are compiled outside of a graph
            if self._graph is None:
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    self._launch()
                self._graph = graph
            self._graph.replay()
        else:
            self._launch()
        self._has_run = True

    def _launch(self) -> None:
        self.state.rest(self._eq)
        for part in (self._x[0], self._currents, self._counts):
            part.zero_()
        self._rise[0].copy_(self._theta)
        for t in range(len(self.spikes)):
            _launch_neurons(
                self._eq, self.state, self.excitatory, self.inhibitory, self._currents, self._rise, self._counts,
                self._seed, t,
            )  # fmt: skip
            self._launch_synapses(t)
        torch.add(self._rise[-1], self._counts[-1], alpha=self._eq.theta_plus, out=self._theta)

    def _launch_synapses(self, t: int) -> None:
        eq, (m, n) = self._eq, self._w.shape
        grid = (len(self._currents), triton.cdiv(n, COLUMNS))
        synapses[grid](
            self.spikes[t], self.excitatory[t], self._x[t % 2], self._x[1 - t % 2], self.state.y, self._w,
            self._currents, self.spikes.shape[1], m, n, self._n_blocks, eq.nu_pre, eq.nu_post, eq.x_decay,
            WEIGHT_MIN, WEIGHT_MAX, LEARNS=eq.learns, ROWS=ROWS, COLUMNS=COLUMNS, SAMPLES=SAMPLES,
        )  # fmt: skip


def _launch_neurons(
    eq: Equations,
    state: _State,
    excitatory: Tensor,
    inhibitory: Tensor,
    currents: Tensor,
    theta: Tensor,
    counts: Tensor | None,
    seed: Tensor,
    first: int,
) -> None:
    """Step ``first`` that learns, with ``counts``; without, as many steps from there as there are ``currents``.

    Multiplied and added as torch does, in two operations: spikes equal those of ``dense_steps``.
    """
    _, n_samples, n = excitatory.shape
    block = triton.next_power_of_2(n)
    strength_inh = eq.strength_inh / max(n - 1, 1) if eq.form.by_distance else eq.strength_inh
    layers: list[Any] = [
        number for lif in (eq.e, eq.i) for number in (lif.thresh, lif.rest, lif.reset, lif.decay, lif.n_blocked)
    ]
    neurons[(n_samples,)](
        excitatory, inhibitory, state.v_e, state.v_i, state.free_e, state.free_i, state.y, currents, theta,
        theta if counts is None else counts, seed, first, len(currents) if counts is None else 1, n_samples, n,
        len(currents), eq.theta_plus, eq.theta_left(n_samples), eq.y_decay, eq.strength_exc, strength_inh, *layers,
        LEARNING=counts is not None, ONE_WINNER=eq.form.one_winner, BY_DISTANCE=eq.form.by_distance, BLOCK=block,
        num_warps=max(1, min(16, block // 64)), enable_fp_fusion=False,
    )  # fmt: skip
