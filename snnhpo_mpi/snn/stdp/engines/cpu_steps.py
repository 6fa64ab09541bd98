"""Samples shown to a Diehl & Cook network one after another, as machine code: for CPUs.

A presentation costs what happens in it: input spikes are lists, traces differ from 0 only in neurons that have fired in
it, so that learning, clamping and normalisation touch their columns of the weights alone; only currents and potentials
touch all neurons. Weights that the last normalisation left above their bound are clamped with a presentation's first
step, as the library clamps all. Where many neurons have fired, whole rows are quicker than columns; results are equal.

All of it is one file, because numba looks at this file alone to see whether the machine code that it keeps is outdated.
Equations and the order of operations: ``equations``.

Notation: B samples, P pixels, M inputs, T steps, N neurons of each layer, S spikes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Reals = NDArray[Any]  # float32 or float64, all of a network the same
Int32s = NDArray[np.int32]
SHARE_OF_ROW = 16  # columns are left for whole rows where more than this part of them is touched
_HALF, _GOLDEN = np.uint64(32), np.uint64(0x9E3779B97F4A7C15)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class Layer(NamedTuple):
    """Constants of a layer, of the network's type: potentials [mV], what a step leaves of them; steps blocked."""

    thresh: Any
    rest: Any
    reset: Any
    decay: Any
    n_blocked: int


class Constants(NamedTuple):
    """See ``equations.Equations``; numbers are of the network's type.

    Attributes:
        x_left: ``T + 1``, what is left of an input's trace so many steps after its spike.
        norm: sum of the weights into a neuron after a presentation that learns.
        reset_interval: steps after which a presentation begins again from rest.
        learning: whether weights and thresholds change.
        learns: whether weights change then.
    """

    e: Layer
    i: Layer
    theta_plus: Any
    theta_decay: Any
    nu_pre: Any
    nu_post: Any
    x_left: Reals
    y_decay: Any
    strength_exc: Any
    strength_inh: Any
    norm: Any
    one_winner: bool
    by_distance: bool
    reset_interval: int
    learning: bool
    learns: bool


class Samples(NamedTuple):
    """What is shown: images and the code that makes spikes of them, or spikes.

    Attributes:
        n_steps: T.
        images: ``B x P`` uint8; without any, ``bits`` are shown.
        intervals: ``256 x (T + 1)`` uint32: of each grey level the probability, times 2^32, that the time between two
            of its spikes is at most 0, 1, ... T steps.
        bits: ``B x M x ceil(T / 8)`` uint8, the spikes of each input in order of time, most significant bit first.
    """

    n_steps: int
    images: NDArray[np.uint8]
    intervals: NDArray[np.uint32]
    bits: NDArray[np.uint8]


class Choices(NamedTuple):
    """How one of the neurons over their threshold is chosen.

    Attributes:
        random: ``1`` uint64, state of the generator, which makes spikes too.
        winners: ``B x T``, for tests: the neuron that wins a step; empty to draw it evenly.
    """

    random: NDArray[np.uint64]
    winners: Int32s


class Input(NamedTuple):
    """Spikes of one sample: of step t the inputs ``which[first[t]:first[t + 1]]``; and room to sort them."""

    first: Int32s
    which: Int32s
    unsorted: Int32s
    step: Int32s


class State(NamedTuple):
    """Of a presentation under way: ``N`` each, but ``last_input`` and ``seen``, ``M``.

    Attributes:
        free_e, free_i: the step from which a neuron takes currents again.
        y: traces; ``fall`` is what a step takes from the weights by them.
        last_fired, last_input: the step of the last spike, -1 before the first.
        active: the neurons that have fired; then those whose columns are normalised.
        excited: the inhibitory neurons that may be away from rest.
        over: scratch for neurons over their threshold.
        fired, fired_i: the spikes of the step of either layer.
        gate: 1 for a neuron that fires in this step, else 0.
        seen: the inputs that have spiked.
        above: the columns of the weights that are above their bound.
        total: scratch for sums of columns.
    """

    v_e: Reals
    v_i: Reals
    current: Reals
    y: Reals
    fall: Reals
    gate: Reals
    free_e: Int32s
    free_i: Int32s
    last_fired: Int32s
    active: Int32s
    excited: Int32s
    over: Int32s
    fired: Int32s
    fired_i: Int32s
    above: Int32s
    last_input: Int32s
    seen: Int32s
    total: NDArray[np.float64]


class Spikes(NamedTuple):
    """Spikes of a layer in order of sample and step; those of sample b begin at ``first[b]``."""

    first: NDArray[np.int64]
    step: Int32s
    neuron: Int32s


class Room(NamedTuple):
    """Memory that the compiled code works in, made by ``room_for``."""

    given: Input
    state: State
    excitatory: Spikes
    inhibitory: Spikes


def room_for(c: Constants, shape: tuple[int, int], samples: Samples) -> Room:
    """Room for samples and a network ``M x N``; what is not written to costs no memory."""
    (m, n), n_steps, real = shape, samples.n_steps, type(c.norm)
    n_samples, most = max(len(samples.images), len(samples.bits)), most_spikes(c, n, n_steps)
    state: list[Any] = [np.zeros(n, real) for _ in range(6)] + [np.zeros(n, np.int32) for _ in range(9)]
    state += [np.zeros(m, np.int32), np.zeros(m, np.int32), np.zeros(n, np.float64)]
    return Room(
        Input(np.empty(n_steps + 1, np.int32), *(np.empty(m * n_steps, np.int32) for _ in range(3))),
        State(*state),
        _spikes(n_samples, most[0]),
        _spikes(n_samples, most[1]),
    )


def most_spikes(c: Constants, n: int, n_steps: int) -> tuple[int, int]:
    """How often the excitatory and the inhibitory layer, of ``n`` neurons each, can fire on a sample."""
    one_each = c.one_winner and c.i.rest < c.i.thresh  # else all inhibitory neurons may fire by themselves
    return n_steps * (1 if c.one_winner else n), n_steps * (1 if one_each else n)


def _spikes(n_samples: int, at_most: int) -> Spikes:
    room = n_samples * at_most
    return Spikes(np.zeros(n_samples + 1, np.int64), np.empty(room, np.int32), np.empty(room, np.int32))


# Random numbers: SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).


@njit
def _draw(random):
    """64 random bits."""
    random[0] += _GOLDEN
    z = random[0]
    z = (z ^ (z >> _SHIFTS[0])) * _FACTORS[0]
    z = (z ^ (z >> _SHIFTS[1])) * _FACTORS[1]
    return z ^ (z >> _SHIFTS[2])


@njit
def _below(random, n):
    """A random number from 0 to n - 1."""
    return np.int64(((_draw(random) >> _HALF) * np.uint64(n)) >> _HALF)


# Input spikes.


@njit
def _encode(image, intervals, n_steps, random, given):
    """Draw the times between the spikes of each pixel."""
    n = 0
    for pixel in range(image.size):
        cumulated = intervals[image[pixel]]
        if cumulated[n_steps] == 0:
            continue
        t = -1
        while True:
            drawn = np.uint32(_draw(random) >> _HALF)
            low, high = 1, n_steps + 1
            while low < high:  # the first interval whose cumulated probability is above
                middle = (low + high) >> 1
                if drawn < cumulated[middle]:
                    high = middle
                else:
                    low = middle + 1
            t += low
            if t >= n_steps:
                break
            given.unsorted[n], given.step[n] = pixel, t
            n += 1
    _sort(n, n_steps, given)


@njit
def _unpack(bits, n_steps, given):
    """Find the spikes among ``M x ceil(T / 8)`` bytes."""
    n = 0
    for source in range(bits.shape[0]):
        for byte in range(bits.shape[1]):
            if bits[source, byte]:
                for bit in range(8):
                    t = 8 * byte + bit
                    if t < n_steps and (bits[source, byte] >> (7 - bit)) & 1:
                        given.unsorted[n], given.step[n] = source, t
                        n += 1
    _sort(n, n_steps, given)


@njit
def _sort(n, n_steps, given):
    """Bring n spikes into order of time."""
    first = given.first
    first[:] = 0
    for spike in range(n):
        first[given.step[spike] + 1] += 1
    for t in range(n_steps):
        first[t + 1] += first[t]
    for spike in range(n):
        t = given.step[spike]
        given.which[first[t]] = given.unsorted[spike]
        first[t] += 1
    for t in range(n_steps, 0, -1):
        first[t] = first[t - 1]
    first[0] = 0


# One step.


@njit
def _add_rows(w, which, begin, end, current):
    """Currents of some input spikes: the sum of their rows."""
    n, spike, none = current.size, begin, w.dtype.type(0)
    for neuron in range(n):
        current[neuron] = none
    while spike + 4 <= end:
        a, b, c, d = w[which[spike]], w[which[spike + 1]], w[which[spike + 2]], w[which[spike + 3]]
        for neuron in range(n):
            current[neuron] += (a[neuron] + b[neuron]) + (c[neuron] + d[neuron])
        spike += 4
    while spike < end:
        row = w[which[spike]]
        for neuron in range(n):
            current[neuron] += row[neuron]
        spike += 1


@njit
def _inhibit_others(strength, fired, n_fired, current, kept):
    """Take ``strength`` for each spike of another neuron."""
    for a in range(n_fired):
        kept[a] = current[fired[a]]
    whole, less = strength * current.dtype.type(n_fired), strength * current.dtype.type(n_fired - 1)
    for neuron in range(current.size):
        current[neuron] -= whole
    for a in range(n_fired):
        current[fired[a]] = kept[a] - less


@njit
def _inhibit_by_distance(strength, fired, n_fired, current, fires):
    """Take ``strength`` times the distance for each spike: from neuron to neuron the sum of distances grows evenly."""
    n = current.size
    for neuron in range(n):
        fires[neuron] = 0
    distance = np.int64(0)
    for a in range(n_fired):
        fires[fired[a]] = 1
        distance += fired[a]
    nearness = -np.int64(n_fired)
    of_neighbour = strength / current.dtype.type(max(n - 1, 1))
    for neuron in range(n):
        current[neuron] -= of_neighbour * current.dtype.type(distance)
        nearness += 2 * np.int64(fires[neuron])
        distance += nearness


@njit
def _drive(layer, v, free, current, theta, theta_decay, t):
    """Decay and currents of the excitatory layer; how many neurons are over their threshold."""
    thresh, rest, decay, none = layer.thresh, layer.rest, layer.decay, v.dtype.type(0)
    n_over = np.int32(0)
    for neuron in range(v.size):
        rise = theta[neuron] * theta_decay
        potential = (v[neuron] - rest) * decay + rest
        potential += current[neuron] if free[neuron] <= t else none
        theta[neuron], v[neuron] = rise, potential
        n_over += np.int32(potential >= thresh + rise)
    return n_over


@njit
def _reset_those_over(c, theta, state, t):
    """Reset, block and raise all neurons over their threshold, which ``over`` then begins with."""
    n_over, blocked_until = 0, t + 1 + c.e.n_blocked
    for neuron in range(theta.size):
        if state.v_e[neuron] >= c.e.thresh + theta[neuron]:
            state.over[n_over] = neuron
            state.v_e[neuron], state.free_e[neuron] = c.e.reset, blocked_until
            theta[neuron] += c.theta_plus
            n_over += 1


@njit
def _fire(c, n_over, state, choices, wanted):
    """Which of those over their threshold spike, into ``fired``; their number. ``wanted`` wins if it is among them."""
    if not c.one_winner:
        for a in range(n_over):
            state.fired[a] = state.over[a]
        return n_over
    if n_over == 0:
        return 0
    winner = state.over[_below(choices.random, n_over)] if n_over > 1 else state.over[0]
    for a in range(n_over):
        if state.over[a] == wanted:
            winner = wanted
    state.fired[0] = winner
    return 1


@njit
def _drive_inhibitory(c, n_excited, state, t):
    """Potentials and spikes of the inhibitory layer, into ``fired_i``; their number."""
    n_fired, none = 0, state.v_i.dtype.type(0)
    for a in range(n_excited):
        neuron = state.excited[a]
        potential = (state.v_i[neuron] - c.i.rest) * c.i.decay + c.i.rest
        arrives = state.last_fired[neuron] == t - 1 and t > 0 and state.free_i[neuron] <= t
        potential += c.strength_exc if arrives else none
        if potential >= c.i.thresh:
            potential = c.i.reset
            state.free_i[neuron] = t + 1 + c.i.n_blocked
            state.fired_i[n_fired] = neuron
            n_fired += 1
        state.v_i[neuron] = potential
    return n_fired


# Learning.


@njit
def _depress(w, which, begin, end, n_active, state):
    """What input spikes take from the weights into neurons that have fired before."""
    fall, none = state.fall, w.dtype.type(0)
    for spike in range(begin, end):
        row = w[which[spike]]
        if n_active * SHARE_OF_ROW > row.size:
            for neuron in range(row.size):
                row[neuron] = max(row[neuron] - fall[neuron], none)
        else:
            for a in range(n_active):
                neuron = state.active[a]
                row[neuron] = max(row[neuron] - fall[neuron], none)


@njit
def _potentiate(w, c, n_seen, n_fired, state, t):
    """What the neurons that fire now add to the weights of inputs that have spiked, less what those of now take."""
    none, one, gate = w.dtype.type(0), w.dtype.type(1), state.gate
    for a in range(n_seen):
        source = state.seen[a]
        row = w[source]
        rise = c.nu_post * c.x_left[t - state.last_input[source]]
        fall = c.nu_pre if state.last_input[source] == t else none
        if n_fired * SHARE_OF_ROW > row.size:
            for neuron in range(row.size):
                row[neuron] = min(max(row[neuron] - gate[neuron] * fall + gate[neuron] * rise, none), one)
        else:
            for b in range(n_fired):
                neuron = state.fired[b]
                row[neuron] = min(max(row[neuron] - fall + rise, none), one)


@njit
def _learn(w, c, given, n_seen, n_active, n_fired, state, t):
    """Traces and weights at the end of a step; how many inputs have spiked by now."""
    begin, end = given.first[t], given.first[t + 1]
    for spike in range(begin, end):
        source = given.which[spike]
        if state.last_input[source] < 0:
            state.seen[n_seen] = source
            n_seen += 1
        state.last_input[source] = t
    if n_active == 0:
        return n_seen
    none, one = w.dtype.type(0), w.dtype.type(1)
    for a in range(n_active):
        neuron = state.active[a]
        state.y[neuron] *= c.y_decay
        state.fall[neuron] = c.nu_pre * state.y[neuron]
    for a in range(n_fired):
        neuron = state.fired[a]
        state.y[neuron], state.fall[neuron], state.gate[neuron] = one, none, one
    if c.nu_pre > 0:
        _depress(w, given.which, begin, end, n_active, state)
    if n_fired:
        _potentiate(w, c, n_seen, n_fired, state, t)
    for a in range(n_fired):
        state.gate[state.fired[a]] = none
    return n_seen


@njit
def _clamp(w, columns, n_columns):
    """Bring the weights of some columns down to their bound."""
    one = w.dtype.type(1)
    for source in range(w.shape[0]):
        row = w[source]
        if n_columns * SHARE_OF_ROW > row.size:
            for neuron in range(row.size):
                row[neuron] = min(row[neuron], one)
        else:
            for a in range(n_columns):
                row[columns[a]] = min(row[columns[a]], one)


@njit
def _normalize(w, norm, columns, n_columns, state, above):
    """Scale some columns to their sum; those that it leaves above their bound go into ``above``; their number."""
    n, total, factor = w.shape[1], state.total, state.current
    by_rows = n_columns * SHARE_OF_ROW > n
    for neuron in range(n):
        total[neuron], factor[neuron] = 0, 1
    for source in range(w.shape[0]):
        row = w[source]
        if by_rows:
            for neuron in range(n):
                total[neuron] += row[neuron]
        else:
            for a in range(n_columns):
                total[columns[a]] += row[columns[a]]
    for a in range(n_columns):
        neuron = columns[a]
        if total[neuron] != 0:
            factor[neuron] = w.dtype.type(norm / total[neuron])
    return _scale(w, factor, columns, n_columns, by_rows, state.y, above)


@njit
def _scale(w, factor, columns, n_columns, by_rows, largest, above):
    """Multiply columns by a factor; see ``_normalize``."""
    for neuron in range(w.shape[1]):
        largest[neuron] = 0
    for source in range(w.shape[0]):
        row = w[source]
        if by_rows:
            for neuron in range(row.size):
                row[neuron] *= factor[neuron]
                largest[neuron] = max(largest[neuron], row[neuron])
        else:
            for a in range(n_columns):
                neuron = columns[a]
                row[neuron] *= factor[neuron]
                largest[neuron] = max(largest[neuron], row[neuron])
    n_above = 0
    for a in range(n_columns):
        if largest[columns[a]] > 1:
            above[n_above] = columns[a]
            n_above += 1
    return n_above


@njit
def _those_above(w, largest, above):
    """The columns with weights above their bound, into ``above``; their number."""
    for neuron in range(w.shape[1]):
        largest[neuron] = 0
    for source in range(w.shape[0]):
        row = w[source]
        for neuron in range(row.size):
            largest[neuron] = max(largest[neuron], row[neuron])
    n_above = 0
    for neuron in range(largest.size):
        if largest[neuron] > 1:
            above[n_above] = neuron
            n_above += 1
    return n_above


# A presentation.


@njit
def _rest(c, state):
    """Bring everything to rest; how many inhibitory neurons to look at: all if rest is over their threshold."""
    for neuron in range(state.v_e.size):
        state.v_e[neuron], state.v_i[neuron] = c.e.rest, c.i.rest
        state.free_e[neuron], state.free_i[neuron], state.last_fired[neuron] = 0, 0, -1
        state.y[neuron], state.fall[neuron] = 0, 0
    for source in range(state.last_input.size):
        state.last_input[source] = -1
    if c.i.rest < c.i.thresh:
        return 0
    for neuron in range(state.excited.size):
        state.excited[neuron] = neuron
    return state.excited.size


@njit
def _record(spikes, n_spikes, t, fired, n_fired):
    """Add the spikes of a step; how many there are by now."""
    for a in range(n_fired):
        spikes.step[n_spikes + a], spikes.neuron[n_spikes + a] = t, fired[a]
    return n_spikes + n_fired


@njit
def _note_first_spikes(state, n_fired, n_active, n_excited, t):
    """List the neurons that fire for the first time; how many have fired, how many inhibitory ones to look at."""
    all_excited = n_excited == state.excited.size
    for a in range(n_fired):
        neuron = state.fired[a]
        if state.last_fired[neuron] < 0:
            state.active[n_active] = neuron
            n_active += 1
            if not all_excited:
                state.excited[n_excited] = neuron
                n_excited += 1
        state.last_fired[neuron] = t
    return n_active, n_excited


@njit
def _run(w, theta, c, room, choices, sample, begin, end, n_above, n_e, n_i):
    """Steps ``begin`` to ``end`` of a sample, from rest.

    Returns:
        How many columns of the weights are above their bound, and how many spikes either layer has given by now.
    """
    given, state = room.given, room.state
    n_excited = _rest(c, state)
    n_active = n_seen = n_fired = n_fired_i = 0
    for t in range(begin, end):
        _add_rows(w, given.which, given.first[max(t - 1, begin)], given.first[t], state.current)
        if n_fired_i and c.by_distance:
            _inhibit_by_distance(c.strength_inh, state.fired_i, n_fired_i, state.current, state.over)
        elif n_fired_i:
            _inhibit_others(c.strength_inh, state.fired_i, n_fired_i, state.current, state.total)
        n_over = _drive(c.e, state.v_e, state.free_e, state.current, theta, c.theta_decay, t)
        n_fired_i = _drive_inhibitory(c, n_excited, state, t)
        if n_over:
            _reset_those_over(c, theta, state, t)
        n_fired = _fire(c, n_over, state, choices, choices.winners[sample, t] if choices.winners.size else -1)
        n_active, n_excited = _note_first_spikes(state, n_fired, n_active, n_excited, t)
        n_e = _record(room.excitatory, n_e, t, state.fired, n_fired)
        n_i = _record(room.inhibitory, n_i, t, state.fired_i, n_fired_i)
        if c.learning and c.learns:
            n_seen = _learn(w, c, given, n_seen, n_active, n_fired, state, t)
            if t == begin and n_above:
                _clamp(w, state.above, n_above)
    if c.learning and c.learns:
        n_above = _finish(w, c, state, n_active, n_above)
    return n_above, n_e, n_i


@njit
def _finish(w, c, state, n_active, n_above):
    """Normalise the columns that have changed; how many are above their bound then."""
    for a in range(n_above):
        if state.last_fired[state.above[a]] < 0:
            state.active[n_active] = state.above[a]
            n_active += 1
    return _normalize(w, c.norm, state.active, n_active, state, state.above) if n_active else 0


def present(w, theta, c, samples, choices, room):
    """Show samples one after another, each from rest; compiled by ``machine_code``.

    Args:
        w: ``M x N``; changes if it learns.
        theta: ``N``, rise of the excitatory thresholds [mV]; changes if it learns.
        c: ``Constants``.
        samples: ``Samples``.
        choices: ``Choices``.
        room: ``Room``, filled with the spikes.
    """
    n_steps = samples.n_steps
    n_samples = max(samples.images.shape[0], samples.bits.shape[0])
    n_above = _those_above(w, room.state.current, room.state.above) if c.learning else 0
    n_e = n_i = 0
    for sample in range(n_samples):
        if samples.images.size:
            _encode(samples.images[sample], samples.intervals, n_steps, choices.random, room.given)
        else:
            _unpack(samples.bits[sample], n_steps, room.given)
        for begin in range(0, n_steps, c.reset_interval):
            end = min(begin + c.reset_interval, n_steps)
            n_above, n_e, n_i = _run(w, theta, c, room, choices, sample, begin, end, n_above, n_e, n_i)
        room.excitatory.first[sample + 1], room.inhibitory.first[sample + 1] = n_e, n_i
