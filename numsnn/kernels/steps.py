"""Whole scalar steps, written once and compiled into every target: what a neuron, an optimiser or a sum of moments does
in one step. Numbers in, numbers out; targets keep the loops, the memory and the order of sums.

Flags are known when a kernel is compiled, so that what a neuron does not have leaves no trace in its machine code.
"""

import math

from numba.extending import register_jitable

from . import equations as eq

# --- neurons: how the potential is charged; see `rules` -------------------------------------------------------------


@register_jitable
def leaky_step(i, v, states, values):
    """N1: the potential before the correction is taken off. values: beta."""
    one = type(v)(1)
    return eq.charge(v, i, values[0], one), states


@register_jitable
def leaky_step_back(du, dstates, i, v, states, values):
    """N8, N9, N10: dL/di, dL/dv[t-1] and dL/dbeta of N1."""
    return du, values[0] * du, dstates, (du * v,)


@register_jitable
def scaled_step(i, v, states, values):
    """N1 with `decay_input`: the current is scaled by 1 - beta. values: beta."""
    one = type(v)(1)
    return eq.charge(v, i, values[0], one - values[0]), states


@register_jitable
def scaled_step_back(du, dstates, i, v, states, values):
    """N8, N9, N10 with `decay_input`."""
    one = type(v)(1)
    return (one - values[0]) * du, values[0] * du, dstates, (du * (v - i),)


@register_jitable
def synaptic_step(i, v, states, values):
    """X4, N1: the current goes through a synapse with a decay of its own. values: beta, gamma; states: j."""
    one = type(v)(1)
    j = eq.synapse(states[0], i, values[1])
    return eq.charge(v, j, values[0], one), (j,)


@register_jitable
def synaptic_step_back(du, dstates, i, v, states, values):
    """X5, X6, N8, N10: through is dL/dj[t], by way of the potential and of the next step's current."""
    through = du + dstates[0]
    return through, values[0] * du, (values[1] * through,), (du * v, through * states[0])


@register_jitable
def scaled_synaptic_step(i, v, states, values):
    """X4, N1 with `decay_input`: the synaptic current is scaled by 1 - beta."""
    one = type(v)(1)
    j = eq.synapse(states[0], i, values[1])
    return eq.charge(v, j, values[0], one - values[0]), (j,)


@register_jitable
def scaled_synaptic_step_back(du, dstates, i, v, states, values):
    """X5, X6, N8, N10 with `decay_input`."""
    one = type(v)(1)
    through = (one - values[0]) * du + dstates[0]
    j = eq.synapse(states[0], i, values[1])
    return through, values[0] * du, (values[1] * through,), (du * (v - j), through * states[0])


# --- neurons: firing and the reset, shared by all rules ---------------------------------------------------------------


@register_jitable
def after_reset(u, s, theta, v_reset, soft, hard):
    """N3, N4: the potential after the reset; neither soft nor hard leaves it as it is."""
    v = u
    if soft:
        v = eq.reset_soft(u, s, theta)
    if hard:
        v = eq.reset_hard(u, s, v_reset)
    return v


@register_jitable
def fire_back(g, e, u, s, theta, phi, p, v_reset, soft, hard, attached):
    """N5, N6, N7, N11: through the reset and the spike to the potential.

    Args:
        g, e: dL/ds from above and dL/dv[t].
        u, s, theta: potential after charging, spike, threshold.
        phi: density of the surrogate at the potential.
        p: dL/du of a loss on the potential itself.
        v_reset, soft, hard: the reset.
        attached: the spike in the reset has a gradient.

    Returns:
        q, dL/ds with what comes by way of the reset; dL/du; and dL/dtheta.
    """
    q = g
    if soft and attached:
        q = eq.spike_gradient_soft(q, e, theta)
    if hard and attached:
        q = eq.spike_gradient_hard(q, e, u, v_reset)
    none = type(phi)(0)
    delta = eq.potential_gradient(q, e, s if hard else none, phi, p)
    return q, delta, -q * phi - (e * s if soft else none)


@register_jitable
def extended_step(cdf, arriving, state, d, values, v_reset, steps_held, flags):
    """N1, N2, X4, X7, X8, X14: one step of a neuron with extensions: charge, fire and reset.

    Args:
        arriving: input, lateral one included.
        state: potential, synaptic current, adaptation and remaining refractory steps before the step.
        d, values: correction, and (beta, gamma, rho, kappa, theta, alpha) of the channel.
        flags: whether the neuron is relaxed, its reset soft, or hard, its input scaled; whether it has a synapse, an
            adapting threshold, a refractory time.

    Returns:
        potential after charging, spike, whether the neuron rested, and the state behind the step.
    """
    v, current, adapted, rest = state
    beta, gamma, rho, kappa, theta, alpha = values
    relaxed, soft, hard, decay_input, synapse, adaptive, refractory = flags
    real = type(v_reset)
    current = eq.synapse(current, arriving, gamma) if synapse else arriving
    threshold = eq.adapted_threshold(theta, kappa, adapted) if adaptive else theta
    resting = refractory and rest > real(0)
    u = v if resting else eq.correct(eq.charge(v, current, beta, real(1) - beta if decay_input else real(1)), d)
    x = u - threshold
    s = cdf(x / alpha) if relaxed else real(eq.fire(x))
    if refractory:
        if resting:
            s, rest = real(0), rest - real(1)
        else:
            rest = steps_held if eq.fire(x) else real(0)
    if adaptive:
        adapted = eq.adaptation(adapted, s, rho)
    return u, s, resting, (after_reset(u, s, threshold, v_reset, soft, hard), current, adapted, rest)


def reset_kind(v_reset, dtype):
    """What the argument v_reset stands for, "hard", "soft" or "none", and the value of a hard reset."""
    if v_reset is None or v_reset == "none":
        return v_reset or "soft", dtype.type(0)
    return "hard", dtype.type(v_reset)


# --- losses ---


@register_jitable
def softmax_term(logit, top, log_total, smoothing, classes, labelled):
    """L1: one class of a softmax row: its share of the cross-entropy against the smoothed label, and the gradient on
    its logit. top is the row's maximum, log_total the logarithm of the sum of exp(logit - top)."""
    real = type(logit)
    target = smoothing / real(classes) + (real(1) - smoothing if labelled else real(0))
    log_p = logit - top - log_total
    return -(target * log_p), real(math.exp(log_p)) - target


@register_jitable
def squared_distance(z, wanted):
    """L3, L4, L6: the squared distance of two numbers, and its derivative by the first."""
    distance = z - wanted
    return distance * distance, type(distance)(2) * distance


@register_jitable
def silent_on(silent, z):
    """L7: the probability that no spike came up to a step, from that of the step before; z is that of a spike now."""
    return silent * (type(z)(1) - z)


@register_jitable
def wait_back(wait, z):
    """L7: the expected time to the first spike from one step on, 1 + (1 - z) wait, from that of the step after."""
    return type(z)(1) + (type(z)(1) - z) * wait


# --- penalties on rates ---


@register_jitable
def band_penalty(rate, low, high):
    """A2: squared distance of a rate from the band low to high, and its derivative."""
    zero = type(rate)(0)
    below, above = max(low - rate, zero), max(rate - high, zero)
    return below * below + above * above, type(rate)(2) * (above - below)


@register_jitable
def power_penalty(rate, square):
    """A3: a rate, or its square, and its derivative."""
    return (rate * rate, type(rate)(2) * rate) if square else (rate, type(rate)(1))


# --- optimisers ---


@register_jitable
def bounded(x, low, high):
    """O7: x within its bounds; NaN stays NaN."""
    return low if x < low else high if x > high else x


@register_jitable
def sgd_step(x, g, rate, decay, low, high):
    """O1: the value after one step of gradient descent; the decay is added to the gradient."""
    return bounded(x - rate * (g + decay * x), low, high)


@register_jitable
def momentum_step(x, g, v, rate, decay, momentum, nesterov, low, high):
    """O2, O3: value and velocity after one step of gradient descent with momentum."""
    step = g + decay * x
    v = momentum * v + step
    return bounded(x - rate * (step + momentum * v if nesterov else v), low, high), v


@register_jitable
def split_decay(rate, decay, decoupled):
    """O4, O6: what a weight decay adds to the gradient, and what share of the value it takes off; one of them is 0."""
    none = type(rate)(0)
    return none if decoupled else decay, rate * decay if decoupled else none


@register_jitable
def adam_step(x, g, m, v, rate, added, taken, keep1, keep2, correction2, eps, low, high):
    """O4, O5, O6: value and both moments after one step of Adam.

    rate is the learning rate times the first moment's bias correction, correction2 that of the second moment's root;
    keep1 and keep2 are 1 - beta1 and 1 - beta2; added and taken are those of `split_decay`.
    """
    slope = g + added * x
    m = m + keep1 * (slope - m)
    v = v + keep2 * (slope * slope - v)
    moved = x - taken * x - rate * m / (math.sqrt(v) * correction2 + eps)
    return bounded(moved, low, high), m, v


# --- moments ---


@register_jitable
def merge(count, mean, square, other_count, other_mean, other_square):
    """M1: count, mean and sum of squared distances from it of two samples together (Chan, Golub and LeVeque 1979);
    either may be empty."""
    total = count + other_count
    share = other_count / max(total, type(total)(1))
    gap = other_mean - mean
    return total, mean + gap * share, square + other_square + gap * gap * count * share


@register_jitable
def spread_about(middle, count, mean, square):
    """M2: one sample's part of the sum of squared distances from `middle`; square is the sum of those from its mean."""
    gap = mean - middle
    return square + count * gap * gap


@register_jitable
def settle_moments(near, drift, square, inverse):
    """M4: mean, and sum of squared distances from it, of a sample measured as distances from a number near its mean:
    their sum is drift, that of their squares square, and inverse is 1 / count."""
    return near + drift * inverse, max(square - drift * drift * inverse, type(drift)(0))
