"""What a thread of `cuda.neuron` computes for its neurons: `width` neighbouring channels of one row.

The thread keeps their numbers in registers, in local arrays. One array holds the rule's values. Another one holds the
potential and then the rule's states. In both, the n-th number of channel c is at n width + c. In an array of a segment
of steps, the number of step k and channel c is at k width + c.
"""

from functools import cache

from ... import equations as eq
from ...rules import compiled
from ...steps import after_reset, fire_back, subtraction
from ..run.compile import device
from .tuples import adder, reader, writer
from .vector import NUMBERS, SPIKES, step


@device
def keep(a, b, first, width, own_a, own_b):
    """Copy the numbers of the thread's channels from a and b ``[C]`` to registers."""
    for c in range(width):
        own_a[c], own_b[c] = a[first + c], b[first + c]


@device
def keep_inverse(x, first, width, own):
    """Copy the inverses of the numbers of the thread's channels from x ``[C]`` to registers."""
    for c in range(width):
        own[c] = type(x[first + c])(1) / x[first + c]


@device
def keep_all(x, count, channels, first, width, own):
    """Copy the numbers of the thread's channels from `count` parameters, x ``[count, C]``, to registers."""
    for n in range(count):
        for c in range(width):
            own[n * width + c] = x[n * channels + first + c]


@device
def begin(load, start, at, stride, width, parts, carry, now):
    """Set now to the potential and states before the first step: to 0, or with carry to the carried state."""
    for n in range(parts * width):
        now[n] = type(start[0])(0)
    if carry:
        load_all(load, start, at, stride, width, parts, now)


@device
def load_all(load, x, at, stride, width, parts, now):
    """Load the potential and states from x to now. The first number is at x[at]."""
    for n in range(parts):
        load(x, at + n * stride, now, n * width)


@device
def save_all(save, now, first, parts, width, x, at, stride):
    """Store `parts` numbers per channel of now, beginning with number `first`, to x. The first one goes to x[at]."""
    for n in range(parts):
        save(now, (first + n) * width, x, at + n * stride)


@device
def see(u, n, width, theta, inverse_width, reach, marks):
    """D7: set marks to 1 for visible potentials among u[n], ... u[n + width - 1], else to 0; return their number."""
    count = 0
    for c in range(width):
        seen = eq.visible(u[n + c] - theta[c], inverse_width[c], reach)
        marks[c] = 1 if seen else 0
        count += 1 if seen else 0
    return count


@cache
def charger(rule, real, width, normed):
    """A function ``f(i, drop, c, own, now)`` that charges channel c in one step and returns the potential.

    It updates the rule's states in now. drop is the PDA correction. own is (the rule's values, threshold, and the
    centre, factor and offset of the normalisation).
    """
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
    """Read x of the steps t ... t + segment - 1, as far as they exist, to own. Returns the place of the step after."""
    for k in range(segment):
        if t + k < steps:
            load(x, at, own, k * width)
            at = step(at, stride)
    return at


@cache
def recharger(rule, real, width, segment, reset, normed):
    """A function that computes the steps of a segment again, with the spikes of the forward pass.

    ``f(i, s, d, t, at, stride, steps, first, channels, own, v_reset, x, fired, now, history, u)`` takes the steps
    t ... t + segment - 1, as far as they exist, of which the first is at `at`. It fills x with the inputs, fired with
    the spikes, history with the rule's states before each step, and u with the potentials after charging. It updates
    now from the state before the first step to that after the last one.
    """
    charge, count, size = charger(rule, real, width, normed), len(rule.states), segment * width
    soft, hard, fall = reset in ("soft", "delayed"), reset == "hard", subtraction(reset)
    (load, _), (load_spikes, spike_of, _) = NUMBERS[width], SPIKES[width]

    @device
    def charge_again(i, s, d, t, at, stride, steps, first, channels, own, v_reset, x, fired, now, history, u):
        values, theta, _, _, _ = own
        at_drop = t * channels + first
        # All reads of the segment are issued first, and wait for memory together. u holds corrections until charging.
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
                    lost = fall(theta[c], (values[c],))
                    now[c] = after_reset(u[n], real(spike_of(fired[k], c)), lost, v_reset, soft, hard)

    return charge_again


@cache
def back_stepper(rule, real, width, segment, density, reset, attached, normed, learned, direct):
    """A function that computes the backward pass of step k of a segment.

    ``f(k, acts, own, inverse_width, pull, v_reset, x, fired, opening, history, u, g, slopes, total)`` replaces dL/ds in
    g by dL/di, and dL/dv and dL/dstates after the step in slopes by those before it. It adds the step's terms of the
    gradients of learned parameters to total, the thread's sums. opening is the potential before the segment. acts says
    whether the loss on the potential, if there is one, acts in this step; pull holds its centre, offset and slope.
    """
    _, backward = compiled(rule, real)
    *learned_values, learn_theta, learn_alpha = learned
    place_theta, place_alpha, place_norm = (sum(learned[: len(rule.values) + n]) * width for n in range(3))
    read_states, read_values = reader(len(rule.states)), reader(len(rule.values))
    write_states, add_changes = writer(len(rule.states), real), adder(tuple(learned_values), real)
    soft, hard, fall = reset in ("soft", "delayed"), reset == "hard", subtraction(reset)
    learn_late, size, spike_of = reset == "delayed" and learned[0], segment * width, SPIKES[width][1]

    @device
    def gradient_step(k, acts, own, inverse_width, pull, v_reset, x, fired, opening, history, u, g, slopes, total):
        values, theta, centre, factor, offset = own
        for c in range(width):
            n, s_t, edge = k * width + c, real(spike_of(fired[k], c)), theta[c]
            z, phi = eq.surrogate(density, u[n] - edge, inverse_width[c])
            p = eq.direct_gradient(u[n], pull[0][c], pull[1][c], pull[2][c]) if direct and acts else real(0)
            e, r, lost = slopes[c], fall(slopes[c], (values[c],)), fall(edge, (values[c],))
            q, delta, dtheta = fire_back(g[n], e, r, u[n], s_t, edge, phi, p, v_reset, soft, hard, attached)
            if learn_theta:
                total[place_theta + c] += dtheta
            if learn_alpha:
                total[place_alpha + c] += eq.width_gradient(q, phi, z)
            if learn_late:
                total[c] += eq.delay_gradient(r, s_t, lost)
            # The rule's backward step starts from the input, potential and states that its step had.
            v = opening[c]
            if k > 0:
                v = after_reset(u[n - width], real(spike_of(fired[k - 1], c)), lost, v_reset, soft, hard)
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
