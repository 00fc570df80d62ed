"""What a thread does with the neurons that it holds: `width` neighbouring channels of one row, whose numbers are in its
registers. `cuda.neuron` has the kernels.

A thread keeps the rule's values in one array, and the potential and the rule's states, the potential first, in another:
the n-th of them for channel c is at n width + c. Of a segment of steps, the number of step k and channel c is at
k width + c.
"""

from functools import cache

from ... import equations as eq
from ...rules import compiled
from ...steps import after_reset, fire_back
from ..run.compile import device
from .tuples import adder, reader, writer
from .vector import NUMBERS, SPIKES, step


@device
def keep(a, b, first, width, own_a, own_b):
    """The numbers of the thread's channels, in registers."""
    for c in range(width):
        own_a[c], own_b[c] = a[first + c], b[first + c]


@device
def keep_inverse(x, first, width, own):
    """The inverses of them."""
    for c in range(width):
        own[c] = type(x[first + c])(1) / x[first + c]


@device
def keep_all(x, count, channels, first, width, own):
    """The numbers of the thread's channels, of `count` parameters ``[count, C]``."""
    for n in range(count):
        for c in range(width):
            own[n * width + c] = x[n * channels + first + c]


@device
def begin(load, start, at, stride, width, parts, carry, now):
    """now = potential and states before the first step: zero, or what the pass is carried on from."""
    for n in range(parts * width):
        now[n] = type(start[0])(0)
    if carry:
        load_all(load, start, at, stride, width, parts, now)


@device
def load_all(load, x, at, stride, width, parts, now):
    """now = potential and states, of which the first are at x[at]."""
    for n in range(parts):
        load(x, at + n * stride, now, n * width)


@device
def save_all(save, now, first, parts, width, x, at, stride):
    """Store the numbers from the one at place `first` on, the first of them to x[at]."""
    for n in range(parts):
        save(now, (first + n) * width, x, at + n * stride)


@device
def see(u, n, width, theta, inverse_width, reach, marks):
    """Mark the potentials u[n + ...] within reach of the surrogate, and count them; a NaN is marked."""
    count = 0
    for c in range(width):
        unseen = abs((u[n + c] - theta[c]) * inverse_width[c]) > reach
        marks[c] = 0 if unseen else 1
        count += 0 if unseen else 1
    return count


@cache
def charger(rule, real, width, normed):
    """A function ``f(i, drop, c, own, now)`` that charges channel c by a step: the rule's states in `now` move on, and
    the potential after charging is returned. own: the rule's values, threshold, and what normalises."""
    advance, _ = compiled(rule, real)
    read_states, read_values = reader(len(rule.states)), reader(len(rule.values))
    write_states = writer(len(rule.states), real)

    @device
    def charge(i, drop, c, own, now):
        values, _, centre, factor, offset = own
        current = eq.normalise(i, centre[c], factor[c], offset[c]) if normed else i
        states = read_states(now, width + c, width)
        charged, states = advance(current, now[c], states, read_values(values, c, width))
        write_states(now, width + c, width, states)
        return eq.correct(real(charged), drop)

    return charge


@device
def read_segment(load, x, t, at, stride, steps, segment, width, own):
    """own = x of the steps t ... t + segment - 1, as far as there are; returns where the next one would be."""
    for k in range(segment):
        if t + k < steps:
            load(x, at, own, k * width)
            at = step(at, stride)
    return at


@cache
def recharger(rule, real, width, segment, reset, normed):
    """A function that charges a segment again, by the spikes that were fired.

    ``f(i, s, d, t, at, stride, steps, first, channels, own, v_reset, x, fired, now, history, u)``: of the steps t ...
    t + segment - 1, as far as there are, the first of which is found at `at`, it leaves the inputs x, the spikes fired,
    the states before each of them in `history`, and the potentials u after charging; `now` goes from before the first
    to behind the last.
    """
    charge, count, size = charger(rule, real, width, normed), len(rule.states), segment * width
    soft, hard = reset == "soft", reset == "hard"
    (load, _), (load_spikes, spike_of, _) = NUMBERS[width], SPIKES[width]

    @device
    def charge_again(i, s, d, t, at, stride, steps, first, channels, own, v_reset, x, fired, now, history, u):
        _, theta, _, _, _ = own
        at_drop = t * channels + first
        for k in range(segment):
            if t + k < steps:
                load(i, at, x, k * width)
                fired[k] = load_spikes(s, at)
                load(d, at_drop, u, k * width)
                at, at_drop = step(at, stride), step(at_drop, channels)
        for k in range(segment):
            if t + k < steps:
                for c in range(width):
                    n = k * width + c
                    for j in range(count):
                        history[j * size + n] = now[(1 + j) * width + c]
                    u[n] = charge(x[n], u[n], c, own, now)
                    now[c] = after_reset(u[n], real(spike_of(fired[k], c)), theta[c], v_reset, soft, hard)

    return charge_again


@cache
def back_stepper(rule, real, width, segment, density, reset, attached, normed, learned, direct):
    """A function that goes back through step k of a segment.

    ``f(k, own, inverse_width, p_offset, p_slope, v_reset, x, fired, opening, history, u, g, slopes, total)``: g goes
    from dL/ds to dL/di; slopes, dL/dv and dL/dstates, from behind the step to before it; the step's share of the
    gradients of what is learned is added to the thread's sums. opening: the potential before the segment.
    """
    _, backward = compiled(rule, real)
    *learned_values, learn_theta, learn_alpha = learned
    place_theta, place_alpha, place_norm = (sum(learned[: len(rule.values) + n]) * width for n in range(3))
    read_states, read_values = reader(len(rule.states)), reader(len(rule.values))
    write_states, add_changes = writer(len(rule.states), real), adder(tuple(learned_values), real)
    soft, hard, size, spike_of = reset == "soft", reset == "hard", segment * width, SPIKES[width][1]

    @device
    def gradient_step(
        k, own, inverse_width, p_offset, p_slope, v_reset, x, fired, opening, history, u, g, slopes, total
    ):
        values, theta, centre, factor, offset = own
        for c in range(width):
            n, s_t, edge = k * width + c, real(spike_of(fired[k], c)), theta[c]
            z = (u[n] - edge) * inverse_width[c]
            phi = density(z) * inverse_width[c]
            p = p_offset[c] + p_slope[c] * u[n] if direct else real(0)
            q, delta, dtheta = fire_back(g[n], slopes[c], u[n], s_t, edge, phi, p, v_reset, soft, hard, attached)
            if learn_theta:
                total[place_theta + c] += dtheta
            if learn_alpha:
                total[place_alpha + c] += eq.width_gradient(q, phi, z)
            v = opening[c]
            if k > 0:
                v = after_reset(u[n - width], real(spike_of(fired[k - 1], c)), edge, v_reset, soft, hard)
            current = eq.normalise(x[n], centre[c], factor[c], offset[c]) if normed else x[n]
            before, own_values = read_states(history, n, size), read_values(values, c, width)
            behind = read_states(slopes, width + c, width)
            di, dv, earlier, changes = backward(delta, behind, current, v, before, own_values)
            g[n], slopes[c] = real(di), real(dv)
            write_states(slopes, width + c, width, earlier)
            add_changes(total, c, width, changes)
            if normed:
                total[place_norm + c] += g[n]
                total[place_norm + width + c] += g[n] * (x[n] - centre[c])

    return gradient_step
