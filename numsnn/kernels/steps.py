"""Whole scalar steps, written once and compiled into every target: what a neuron, an optimiser or a sum of moments does
in one step. Numbers in, numbers out; targets keep the loops, the memory and the order of sums.

Flags are known when a kernel is compiled, so that what a neuron does not have leaves no trace in its machine code.
"""

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
