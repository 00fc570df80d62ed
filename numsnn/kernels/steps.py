"""Whole scalar steps, written once and compiled into every target: what a neuron, an optimiser or a sum of moments does
in one step. Numbers in, numbers out; targets keep the loops, the memory and the order of sums.

Flags are known when a kernel is compiled, so that what a neuron does not have leaves no trace in its machine code.
"""

import math

from numba.extending import register_jitable

from . import equations as eq


@register_jitable
def after_reset(u, s, theta, v_reset, soft, hard):
    """N3, N4: the potential after the reset; neither soft nor hard leaves it as it is."""
    v = u
    if soft:
        v = eq.reset_soft(u, s, theta)
    if hard:
        v = eq.reset_hard(u, s, v_reset)
    return v


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
