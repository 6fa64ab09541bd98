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
import triton.language as tl
from torch import Tensor

from snnhpo_mpi.snn.equations import WEIGHT_MAX, WEIGHT_MIN, Equations

ROWS, COLUMNS, SAMPLES = 64, 32, 32  # of the piece of the weights that a program works on at a time
MOST_PARTS = 16  # of the inputs, each of which adds up its own share of the currents
SCORE_BYTES = 2**28  # of input spikes as numbers and of their currents, at a time


@triton.jit(do_not_specialize=["first", "n_steps", "n_samples", "n", "n_parts", "e_blocked", "i_blocked"])
def _neurons(
    excitatory,
    inhibitory,
    v_e,
    v_i,
    free_e,
    free_i,
    y,
    currents,
    theta,
    counts,
    seed,
    first,
    n_steps,
    n_samples,
    n,
    n_parts,
    theta_plus,
    theta_decay,
    y_decay,
    strength_exc,
    strength_inh,
    e_thresh,
    e_rest,
    e_reset,
    e_decay,
    e_blocked,
    i_thresh,
    i_rest,
    i_reset,
    i_decay,
    i_blocked,
    LEARNING: tl.constexpr,
    ONE_WINNER: tl.constexpr,
    BY_DISTANCE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Steps ``first`` to ``first + n_steps`` of one sample; one step where it learns.

    excitatory, inhibitory    T x B x N, spikes 0 or 1; filled
    v_, free_                 B x N, potentials, and the step from which a neuron is free; before and after
    y                         B x N, traces; before and after, where it learns
    currents                  n_parts x B x N where it learns, to be added up; else n_steps x B x N
    theta                     (T + 1) x N where it learns, of before each step's decay; else N
    counts                    (T + 1) x N, how many samples had a neuron over its threshold in the step before
    seed                      1, of the draws among those over their threshold

    The constants are those of ``Equations``, but ``strength_inh`` that of a neighbour if ``BY_DISTANCE``. ``BLOCK`` is
    a power of 2, not below N.
    """
    sample = tl.program_id(0)
    neuron = tl.arange(0, BLOCK)
    inside = neuron < n
    place = sample * n + neuron
    u_e = tl.load(v_e + place, mask=inside, other=0.0)
    u_i = tl.load(v_i + place, mask=inside, other=0.0)
    opens_e = tl.load(free_e + place, mask=inside, other=0)
    opens_i = tl.load(free_i + place, mask=inside, other=0)
    before = (first - 1) * n_samples * n + place
    fired_e = tl.load(excitatory + before, mask=inside & (first > 0), other=0).to(tl.float32)
    fired_i = tl.load(inhibitory + before, mask=inside & (first > 0), other=0).to(tl.float32)
    if not LEARNING:
        rise = tl.load(theta + neuron, mask=inside, other=0.0)
    for index in range(n_steps):
        t = first + index
        if BY_DISTANCE:
            n_upto = tl.cumsum(fired_i, 0)
            sum_upto = tl.cumsum(fired_i * neuron, 0)
            n_all = tl.sum(fired_i, 0)
            sum_all = tl.sum(fired_i * neuron, 0)
            inhibition = neuron * (2.0 * n_upto - n_all) - (2.0 * sum_upto - sum_all)
        else:
            inhibition = tl.sum(fired_i, 0) - fired_i
        if LEARNING:
            current = tl.zeros([BLOCK], tl.float32)
            for part in range(n_parts):
                current += tl.load(currents + part * n_samples * n + place, mask=inside, other=0.0)
            rise = tl.load(theta + t * n + neuron, mask=inside, other=0.0)
            rise += theta_plus * tl.load(counts + t * n + neuron, mask=inside, other=0.0)
            rise *= theta_decay
            tl.store(theta + (t + 1) * n + neuron, rise, mask=inside & (sample == 0))
        else:
            current = tl.load(currents + index * n_samples * n + place, mask=inside, other=0.0)
        current -= strength_inh * inhibition
        u_e = (u_e - e_rest) * e_decay + e_rest
        u_e += tl.where(opens_e > t, 0.0, current)
        over = inside & (u_e >= rise + e_thresh)
        u_e = tl.where(over, e_reset, u_e)
        opens_e = tl.where(over, t + 1 + e_blocked, opens_e)
        if LEARNING:
            tl.atomic_add(counts + (t + 1) * n + neuron, 1.0, mask=over)
        u_i = (u_i - i_rest) * i_decay + i_rest
        u_i += tl.where(opens_i > t, 0.0, strength_exc * fired_e)
        over_i = inside & (u_i >= i_thresh)
        u_i = tl.where(over_i, i_reset, u_i)
        opens_i = tl.where(over_i, t + 1 + i_blocked, opens_i)
        if ONE_WINNER:
            noise = tl.rand(tl.load(seed), (t * n_samples + sample) * BLOCK + neuron)
            over = over & (neuron == tl.argmax(tl.where(over, noise, -1.0), 0))
        fired_e = over.to(tl.float32)
        fired_i = over_i.to(tl.float32)
        now = t * n_samples * n + place
        tl.store(excitatory + now, over.to(tl.uint8), mask=inside)
        tl.store(inhibitory + now, over_i.to(tl.uint8), mask=inside)
    tl.store(v_e + place, u_e, mask=inside)
    tl.store(v_i + place, u_i, mask=inside)
    tl.store(free_e + place, opens_e, mask=inside)
    tl.store(free_i + place, opens_i, mask=inside)
    if LEARNING:
        trace = tl.load(y + place, mask=inside, other=0.0) * y_decay
        tl.store(y + place, tl.where(fired_e > 0, 1.0, trace), mask=inside)


@triton.jit(do_not_specialize=["n_samples", "n", "n_blocks"], do_not_specialize_on_alignment=["spikes", "excitatory"])
def _synapses(
    spikes,
    excitatory,
    x_before,
    x_after,
    y,
    w,
    currents,
    n_samples,
    m,
    n,
    n_blocks,
    nu_pre,
    nu_post,
    x_decay,
    w_min,
    w_max,
    LEARNS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SAMPLES: tl.constexpr,
):
    """What one step teaches the weights from a part of the inputs to ``COLUMNS`` neurons, and its spikes' currents.

    spikes               B x M, 0 or 1
    excitatory           B x N, 0 or 1
    x_before, x_after    B x M, traces of the inputs; the latter filled
    y                    B x N, traces of the neurons, after this step
    w                    M x N, before and after
    currents             n_parts x B x N, filled

    A part is ``n_blocks`` times ``ROWS`` inputs; ``SAMPLES`` are looked at together.
    """
    part, piece = tl.program_id(0), tl.program_id(1)
    neuron = (piece * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    for block in range(n_blocks):
        row = (part * n_blocks + block) * ROWS + tl.arange(0, ROWS)
        synapse = row[:, None] * n + neuron
        there = (row[:, None] < m) & (neuron < n)
        weight = tl.load(w + synapse, mask=there, other=0.0)
        if LEARNS:
            rise = tl.zeros([ROWS, COLUMNS], tl.float32)
            for start in range(0, n_samples, SAMPLES):
                sample = (start + tl.arange(0, SAMPLES))[:, None]
                at_input = sample * m + row[None, :]
                is_input = (sample < n_samples) & (row[None, :] < m)
                at_neuron = sample * n + neuron
                is_neuron = (sample < n_samples) & (neuron < n)
                came = tl.load(spikes + at_input, mask=is_input, other=0).to(tl.float32)
                x = tl.load(x_before + at_input, mask=is_input, other=0.0) * x_decay
                x = tl.where(came > 0, 1.0, x)
                tl.store(x_after + at_input, x, mask=is_input & (piece == 0))
                fired = tl.load(excitatory + at_neuron, mask=is_neuron, other=0).to(tl.float32)
                trace = tl.load(y + at_neuron, mask=is_neuron, other=0.0)
                rise += nu_post * tl.dot(tl.trans(x), fired, input_precision="ieee")
                rise -= nu_pre * tl.dot(tl.trans(came), trace, input_precision="ieee")
            weight = tl.minimum(tl.maximum(weight + rise, w_min), w_max)
            weight = tl.where(there, weight, 0.0)
            tl.store(w + synapse, weight, mask=there)
        for start in range(0, n_samples, SAMPLES):
            sample = (start + tl.arange(0, SAMPLES))[:, None]
            is_input = (sample < n_samples) & (row[None, :] < m)
            came = tl.load(spikes + sample * m + row[None, :], mask=is_input, other=0).to(tl.float32)
            place = currents + (part * n_samples + sample) * n + neuron
            is_neuron = (sample < n_samples) & (neuron < n)
            current = tl.dot(came, weight, input_precision="ieee")
            if block > 0:
                current += tl.load(place, mask=is_neuron, other=0.0)
            tl.store(place, current, mask=is_neuron)


class FusedSteps:
    """Runs presentations; changes the weights ``M x N`` and the thresholds' rise ``N`` that it is given."""

    def __init__(self, constants: Equations, w: Tensor, theta: Tensor) -> None:
        self._eq, self._w, self._theta = constants, w, theta
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
        excitatory.copy_(lesson.excitatory)
        inhibitory.copy_(lesson.inhibitory)

    def _score(self, steps: Tensor, excitatory: Tensor, inhibitory: Tensor) -> None:
        n_steps, n_samples, n_inputs = steps.shape
        state = _State.at_rest(self._eq, n_samples, self._w)
        at_once = max(1, SCORE_BYTES // (4 * n_samples * (n_inputs + len(self._theta))))
        for first in range(0, n_steps, at_once):
            arriving = self._w.new_zeros(min(at_once, n_steps - first), n_samples, n_inputs)
            begin = max(first - 1, 0)
            arriving[begin - first + 1 :] = steps[begin : first - 1 + len(arriving)]
            currents = arriving @ self._w
            launch_neurons(self._eq, state, excitatory, inhibitory, currents, self._theta, None, self._seed, first)


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
    """

    def __init__(self, eq: Equations, w: Tensor, theta: Tensor, seed: Tensor, size: tuple[int, int]) -> None:
        (n_steps, n_samples), (m, n) = size, w.shape
        self._eq, self._w, self._theta, self._seed = eq, w, theta, seed
        self.spikes = torch.empty(n_steps, n_samples, m, dtype=torch.uint8, device=w.device)
        records = torch.empty(2, n_steps, n_samples, n, dtype=torch.uint8, device=w.device)
        self.excitatory, self.inhibitory = records.unbind()
        self._state = _State.at_rest(eq, n_samples, w)
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
                self._graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self._graph):
                    self._launch()
            self._graph.replay()
        else:
            self._launch()
        self._has_run = True

    def _launch(self) -> None:
        self._state.rest(self._eq)
        for part in (self._x[0], self._currents, self._counts):
            part.zero_()
        self._rise[0].copy_(self._theta)
        for t in range(len(self.spikes)):
            launch_neurons(
                self._eq, self._state, self.excitatory, self.inhibitory, self._currents, self._rise, self._counts,
                self._seed, t,
            )  # fmt: skip
            self._launch_synapses(t)
        torch.add(self._rise[-1], self._counts[-1], alpha=self._eq.theta_plus, out=self._theta)

    def _launch_synapses(self, t: int) -> None:
        eq, (m, n) = self._eq, self._w.shape
        grid = (len(self._currents), triton.cdiv(n, COLUMNS))
        _synapses[grid](
            self.spikes[t], self.excitatory[t], self._x[t % 2], self._x[1 - t % 2], self._state.y, self._w,
            self._currents, self.spikes.shape[1], m, n, self._n_blocks, eq.nu_pre, eq.nu_post, eq.x_decay,
            WEIGHT_MIN, WEIGHT_MAX, LEARNS=eq.learns, ROWS=ROWS, COLUMNS=COLUMNS, SAMPLES=SAMPLES,
        )  # fmt: skip


def launch_neurons(
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
    """Step ``first`` that learns, with ``counts``; without, as many steps from there as there are ``currents``."""
    _, n_samples, n = excitatory.shape
    block = triton.next_power_of_2(n)
    strength_inh = eq.strength_inh / max(n - 1, 1) if eq.form.by_distance else eq.strength_inh
    layers: list[Any] = [
        number for lif in (eq.e, eq.i) for number in (lif.thresh, lif.rest, lif.reset, lif.decay, lif.n_blocked)
    ]
    _neurons[(n_samples,)](
        excitatory, inhibitory, state.v_e, state.v_i, state.free_e, state.free_i, state.y, currents, theta,
        theta if counts is None else counts, seed, first, len(currents) if counts is None else 1, n_samples, n,
        len(currents), eq.theta_plus, eq.theta_decay, eq.y_decay, eq.strength_exc, strength_inh, *layers,
        LEARNING=counts is not None, ONE_WINNER=eq.form.one_winner, BY_DISTANCE=eq.form.by_distance, BLOCK=block,
        num_warps=max(1, min(16, block // 64)),
    )  # fmt: skip
