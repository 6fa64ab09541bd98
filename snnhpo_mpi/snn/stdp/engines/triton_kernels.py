"""The two kernels of a step of a Diehl & Cook network; ``steps`` launches them.

Equations and notation: ``snn.equations``.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["first", "n_steps", "n_samples", "n", "n_parts", "e_blocked", "i_blocked"])
def neurons(
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
    theta                     (T + 1) x N where it learns, without a step's decay and the spikes before it; else N
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
    size = n_samples * n
    before = (tl.cast(first, tl.int64) - 1) * size + place  # records may hold more than 2^31 spikes
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
                current += tl.load(currents + part * size + place, mask=inside, other=0.0)
            rise = tl.load(theta + t * n + neuron, mask=inside, other=0.0)
            rise += theta_plus * tl.load(counts + t * n + neuron, mask=inside, other=0.0)
            rise *= theta_decay
            tl.store(theta + (t + 1) * n + neuron, rise, mask=inside & (sample == 0))
        else:
            current = tl.load(currents + index * size + place, mask=inside, other=0.0)
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
        now = tl.cast(t, tl.int64) * size + place
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
def synapses(
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
            partial = currents + (part * n_samples + sample) * n + neuron
            is_neuron = (sample < n_samples) & (neuron < n)
            current = tl.dot(came, weight, input_precision="ieee")
            if block > 0:  # this program's own store: each thread reads what it wrote
                current += tl.load(partial, mask=is_neuron, other=0.0)
            tl.store(partial, current, mask=is_neuron)
