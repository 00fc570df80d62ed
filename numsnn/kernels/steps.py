"""Whole scalar steps, written once and compiled into the kernels of the CPU and of CUDA.

A step is what a neuron does in one time step, what an optimiser does to one parameter value, or how two sets of moments
are merged. The functions take scalars and return scalars. The kernels own the loops, the memory and the order of sums.

Flags are constants when a kernel is compiled. The machine code therefore contains nothing for the parts that a neuron
does not have.
"""

import math

from . import equations as eq
from .compile import register_jitable

# --- neurons: how the potential is charged, one pair of functions per rule of `rules` -------------------------------


@register_jitable
def leaky_step(i, v, states, values):
    """N1: the potential before the correction is subtracted. values holds beta."""
    one = type(v)(1)
    return eq.charge(v, i, values[0], one), states


@register_jitable
def leaky_step_back(du, dstates, i, v, states, values):
    """N8, N9, N10: the backward step of `leaky_step`. It returns dL/di, dL/dv[t-1], dL/dstates and dL/dbeta."""
    return du, values[0] * du, dstates, (du * v,)


@register_jitable
def scaled_step(i, v, states, values):
    """N1 with `decay_input`: the current is scaled by 1 - beta. values holds beta."""
    one = type(v)(1)
    return eq.charge(v, i, values[0], one - values[0]), states


@register_jitable
def scaled_step_back(du, dstates, i, v, states, values):
    """N8, N9, N10 with `decay_input`: the backward step of `scaled_step`."""
    one = type(v)(1)
    return (one - values[0]) * du, values[0] * du, dstates, (du * (v - i),)


@register_jitable
def synaptic_step(i, v, states, values):
    """X4, N1: the current passes through a synapse, which decays by gamma, before it charges the potential.

    values holds beta and gamma. states holds the synaptic current j.
    """
    one = type(v)(1)
    j = eq.synapse(states[0], i, values[1])
    return eq.charge(v, j, values[0], one), (j,)


@register_jitable
def synaptic_step_back(du, dstates, i, v, states, values):
    """X5, X6, N8, N10: the backward step of `synaptic_step`.

    The local variable `through` is dL/dj[t]: the part through the potential plus the part through j[t+1].
    """
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
    """X5, X6, N8, N10 with `decay_input`: the backward step of `scaled_synaptic_step`."""
    one = type(v)(1)
    through = (one - values[0]) * du + dstates[0]
    j = eq.synapse(states[0], i, values[1])
    return through, values[0] * du, (values[1] * through,), (du * (v - j), through * states[0])


# --- neurons: firing and the reset, shared by all rules ---------------------------------------------------------------


@register_jitable
def after_reset(u, s, theta, v_reset, soft, hard):
    """N3, N4: the potential after the reset. If neither soft nor hard is set, the potential is unchanged."""
    v = u
    if soft:
        v = eq.reset_soft(u, s, theta)
    if hard:
        v = eq.reset_hard(u, s, v_reset)
    return v


@register_jitable
def at_once(x, values):
    """N4: what a soft reset subtracts for x, or the gradient of it: x itself."""
    return x


@register_jitable
def delayed(x, values):
    """N18, N19: the same for a delayed reset, which acts behind the leak of the next step. values begins with beta."""
    return eq.before_leak(x, values[0])


def subtraction(reset):
    """The function of x and the rule's values, `at_once` or `delayed`, for a kind of reset."""
    return delayed if reset == "delayed" else at_once


@register_jitable
def fire_back(g, e, r, u, s, theta, phi, p, v_reset, soft, hard, attached):
    """N5, N6, N7, N11, N19: the gradient goes back through the reset and the spike to the potential.

    Args:
        g, e: dL/ds[t] from the next layer, and dL/dv[t] from the next time step.
        r: e, or e / beta with a delayed reset.
        u, s, theta: potential after charging, spike and threshold.
        phi: density of the surrogate at the potential.
        p: gradient by u of a loss that acts on the potential itself.
        v_reset, soft, hard: value of the hard reset, and which kind of reset the neuron has.
        attached: whether the gradient also flows through the spike in the reset.

    Returns:
        q, which is dL/ds including the path through the reset; delta, which is dL/du; this step's term of dL/dtheta.
    """
    q = g
    if soft and attached:
        q = eq.spike_gradient_soft(q, r, theta)
    if hard and attached:
        q = eq.spike_gradient_hard(q, e, u, v_reset)
    none = type(phi)(0)
    delta = eq.potential_gradient(q, e, s if hard else none, phi, p)
    return q, delta, -q * phi - (r * s if soft else none)


@register_jitable
def integrator_step_back(du, delta, before, i, beta, decay_input):
    """X17, X18, X19: the backward step of the leaky integrator.

    Args:
        du: dL/du[t] from the next layer.
        delta: delta of the step after.
        before, i: potential of the step before, and input current.
        beta, decay_input: leak, and whether the current is scaled by 1 - beta.

    Returns:
        delta, dL/di, and this step's term of dL/dbeta.
    """
    delta = du + beta * delta
    change = delta * (before - (i if decay_input else type(i)(0)))
    return delta, eq.input_gain(beta, decay_input) * delta, change


def reset_kind(v_reset, dtype):
    """The kind of reset that v_reset asks for ("hard", "soft", "delayed" or "none"), and the value of a hard reset.

    The value is 0 for the other kinds.
    """
    if v_reset is None or isinstance(v_reset, str):
        return v_reset or "soft", dtype.type(0)
    return "hard", dtype.type(v_reset)


# --- losses ---


@register_jitable
def softmax_term(logit, top, log_total, smoothing, classes, labelled):
    """L1: one class's term of the cross-entropy against the smoothed label, and its derivative by the class's logit.

    Args:
        logit: logit of the class.
        top: largest logit of the row.
        log_total: logarithm of the sum of exp(logit - top) over the row.
        smoothing, classes: label smoothing and number of classes.
        labelled: whether this class is the label.
    """
    real = type(logit)
    target = smoothing / real(classes) + (real(1) - smoothing if labelled else real(0))
    log_p = logit - top - log_total
    return -(target * log_p), real(math.exp(log_p)) - target


@register_jitable
def squared_distance(z, wanted):
    """L3, L4, L6: the squared distance between z and wanted, and its derivative by z."""
    distance = z - wanted
    return distance * distance, type(distance)(2) * distance


@register_jitable
def is_larger(value, top):
    """L5: whether a value takes the place of the maximum of the steps before.

    Of several equal maxima the first one stays. The first NaN becomes the maximum and stays it.
    """
    return not value <= top and top == top


@register_jitable
def silent_on(silent, z):
    """L7: the probability that no spike has come up to and including this step.

    silent is the same probability for the step before, and z is the probability of a spike at this step.
    """
    return silent * (type(z)(1) - z)


@register_jitable
def wait_back(wait, z):
    """L7: the expected time from this step to the first spike, 1 + (1 - z) wait.

    wait is the same time for the step after, and z is the probability of a spike at this step.
    """
    return type(z)(1) + (type(z)(1) - z) * wait


# --- penalties on rates ---


@register_jitable
def band_penalty(rate, low, high):
    """A2: the squared distance of a rate from the band between low and high, and its derivative by the rate."""
    zero = type(rate)(0)
    below, above = max(low - rate, zero), max(rate - high, zero)
    return below * below + above * above, type(rate)(2) * (above - below)


@register_jitable
def power_penalty(rate, square):
    """A3: the rate, or its square if `square` is set, and the derivative of this by the rate."""
    return (rate * rate, type(rate)(2) * rate) if square else (rate, type(rate)(1))


# --- potential distribution adjustment ---


@register_jitable
def divergence_term(moments, target, weight, pull):
    """D4, D5, D6: one channel's term of the divergence objective, and its gradient by a potential, offset + slope (u -
    mean).

    Args:
        moments, target: (mean, variance) of the potentials, and of the normal distribution that PDA aims at.
        weight, pull: factor of the divergence, and factor of its gradient.

    Returns:
        the term, offset and slope.
    """
    (mean, var), (target_mean, target_var) = moments, target
    slope = pull * eq.normal_divergence_slope(mean, var, target_mean, target_var)
    offset = pull * eq.normal_divergence_offset(mean, var, target_mean, target_var)
    return weight * eq.normal_divergence(mean, var, target_mean, target_var), offset, slope


# --- joins ---


@register_jitable
def and_join(a, s):
    """W10: both paths fire."""
    return a * s


@register_jitable
def and_join_back(dy, a, s):
    """W10: the gradients by a and s."""
    return dy * s, dy * a


@register_jitable
def iand_join(a, s):
    """W11: the shortcut s fires and the branch a does not."""
    return (type(a)(1) - a) * s


@register_jitable
def iand_join_back(dy, a, s):
    """W11: the gradients by a and s."""
    return -dy * s, dy * (type(a)(1) - a)


# --- rectified linear units ---


@register_jitable
def rectify(x):
    """W15: x without its negative part. A NaN stays a NaN."""
    return type(x)(0) if x < type(x)(0) else x


@register_jitable
def rectify_back(dy, y):
    """W15: the gradient by x, which is 0 for x = 0."""
    return dy if y > type(y)(0) else type(dy)(0)


# --- optimisers ---


@register_jitable
def bounded(x, low, high):
    """O7: x limited to the range from low to high. A NaN stays a NaN."""
    return low if x < low else high if x > high else x


@register_jitable
def sgd_step(x, g, rate, decay, low, high):
    """O1: the value after one update by gradient descent. Weight decay is added to the gradient."""
    return bounded(x - rate * (g + decay * x), low, high)


@register_jitable
def momentum_step(x, g, v, rate, decay, momentum, nesterov, low, high):
    """O2, O3: the value and the velocity after one update by gradient descent with momentum."""
    step = g + decay * x
    v = momentum * v + step
    return bounded(x - rate * (step + momentum * v if nesterov else v), low, high), v


@register_jitable
def split_decay(rate, decay, decoupled):
    """O4, O6: the factor of the value that weight decay adds to the gradient, and the share of the value that it
    subtracts directly. The first one is 0 for decoupled decay, and the second one otherwise."""
    none = type(rate)(0)
    return none if decoupled else decay, rate * decay if decoupled else none


@register_jitable
def adam_step(x, g, m, v, rate, added, taken, keep1, keep2, correction2, eps, low, high):
    """O4, O5, O6: the value and both moments after one update by Adam.

    Args:
        x, g: value and gradient.
        m, v: first and second moment before the update.
        rate: learning rate times the bias correction of the first moment.
        added, taken: weight decay as `split_decay` returns it.
        keep1, keep2: 1 - beta1 and 1 - beta2.
        correction2: bias correction of the second moment's root.
        eps: number added to that root.
        low, high: bounds of the value.
    """
    slope = g + added * x
    m = m + keep1 * (slope - m)
    v = v + keep2 * (slope * slope - v)
    moved = x - taken * x - rate * m / (math.sqrt(v) * correction2 + eps)
    return bounded(moved, low, high), m, v


# --- moments ---


@register_jitable
def merge(count, mean, square, other_count, other_mean, other_square):
    """M1: the count, the mean and the sum of squared distances from the mean of two samples merged into one.

    The formula is that of Chan, Golub and LeVeque (1979). One of the samples may be empty.
    """
    total = count + other_count
    share = other_count / max(total, type(total)(1))
    gap = other_mean - mean
    return total, mean + gap * share, square + other_square + gap * gap * count * share


@register_jitable
def spread_about(middle, count, mean, square):
    """M2: the sum of squared distances of one sample from `middle`.

    square is the sum of the sample's squared distances from its own mean.
    """
    gap = mean - middle
    return square + count * gap * gap


@register_jitable
def settle_moments(near, drift, square, inverse):
    """M4: the mean of a sample and the sum of squared distances from it, from distances to a nearby number.

    Args:
        near: a number near the mean, from which the distances were measured.
        drift, square: sum of these distances, and sum of their squares.
        inverse: 1 / count.
    """
    return near + drift * inverse, max(square - drift * drift * inverse, type(drift)(0))
