"""Whole scalar steps of a neuron with extensions, forward and backward.

They are written once and compiled into the kernels of the CPU and of CUDA, like those of `steps`.
"""

from . import equations as eq
from .compile import register_jitable
from .steps import after_reset, fire_back


@register_jitable
def extended_step(cdf, arriving, state, d, values, v_reset, steps_held, flags):
    """N1, N2, N18, X4, X7, X8, X14: one step of a neuron with extensions: charge, fire and reset.

    Args:
        cdf: distribution function of the surrogate. It is used in relaxed mode only.
        arriving: input current, including the lateral input.
        state: (potential, synaptic current, adaptation, remaining refractory steps) before the step.
        d: PDA correction.
        values: (beta, gamma, rho, kappa, theta, alpha) of the channel.
        v_reset: value of the hard reset.
        steps_held: number of refractory steps after a spike.
        flags: eight booleans: relaxed mode, soft reset, whether this is a delayed one, hard reset, scaled input,
            synapse, adaptive threshold, refractory time.

    Returns:
        the potential after charging, the spike, whether the neuron was refractory, and the state after the step.
    """
    v, current, adapted, rest = state
    beta, gamma, rho, kappa, theta, alpha = values
    relaxed, soft, delayed, hard, decay_input, synapse, adaptive, refractory = flags
    real = type(v_reset)
    current = eq.synapse(current, arriving, gamma) if synapse else arriving
    threshold = eq.adapted_threshold(theta, kappa, adapted) if adaptive else theta
    resting = refractory and rest > real(0)
    u = v if resting else eq.correct(eq.charge(v, current, beta, eq.input_gain(beta, decay_input)), d)
    x = u - threshold
    s = cdf(x / alpha) if relaxed else real(eq.fire(x))
    if refractory:
        if resting:
            s, rest = real(0), rest - real(1)
        else:
            rest = steps_held if eq.fire(x) else real(0)
    if adaptive:
        adapted = eq.adaptation(adapted, s, rho)
    fall = eq.before_leak(threshold, beta) if delayed else threshold
    return u, s, resting, (after_reset(u, s, fall, v_reset, soft, hard), current, adapted, rest)


@register_jitable
def extended_fire_back(surrogate, gradients, u, s, awake, beta, direct, v_reset, flags):
    """S1, N7, N8, N19, X9, X15: `fire_back` for a neuron that may be refractory, with the density of the surrogate.

    Args:
        surrogate: (density of the surrogate, threshold of the step, 1 / alpha).
        gradients: dL/ds[t], with what arrives through lateral weights and the adaptation, and dL/dv[t].
        u, s: potential after charging, and spike.
        awake: whether the neuron is not refractory.
        beta: leak.
        direct: (p_centre, p_offset, p_slope) of a loss that acts on the potential.
        v_reset: value of the hard reset.
        flags: five booleans: soft reset, whether this is a delayed one, hard reset, whether the spike in the reset has
            a gradient, and whether a loss acts on the potential.

    Returns:
        delta, which is dL/du; dL/dtheta of the step; dL/dv[t-1]; this step's term of dL/dalpha.
    """
    (density, threshold, inverse_width), (q, e) = surrogate, gradients
    soft, delayed, hard, attached, acts = flags
    zero = type(v_reset)(0)
    z, phi = eq.surrogate(density, u - threshold, inverse_width)
    phi = phi if awake else zero
    p = eq.direct_gradient(u, direct[0], direct[1], direct[2]) if acts else zero
    r = eq.before_leak(e, beta) if delayed else e
    q, delta, dtheta = fire_back(q, e, r, u, s, threshold, phi, p, v_reset, soft, hard, attached)
    dv = beta * delta if awake else e + p
    return delta if awake else zero, dtheta if awake else zero, dv, eq.width_gradient(q, phi, z)


@register_jitable
def extended_step_back(density, q, slopes, now, before, values, v_reset, flags):
    """N10, N20, X5, X6, X10 to X13: the backward step of `extended_step`.

    Args:
        density: density of the surrogate.
        q: dL/ds, including the part through lateral weights.
        slopes: dL/dv and dL/da after the step, and gamma times dL/dj of the next step.
        now: (u, s, whether the neuron was not refractory) of the step.
        before: (v, j, a) before the step.
        values: (beta, gamma, rho, kappa, theta, 1 / alpha, d, p_centre, p_offset, p_slope) of the channel.
        v_reset: value of the hard reset.
        flags: eight booleans: soft reset, whether this is a delayed one, hard reset, whether the spike in the reset has
            a gradient, scaled input, synapse, adaptive threshold, and whether a loss acts on the potential.

    Returns:
        dL/di of the step, the slopes before it, and its terms of the gradients of beta, gamma, rho, kappa, theta and
        alpha.
    """
    e, f, h = slopes
    u, s, awake = now
    v, j, a = before
    beta, gamma, rho, kappa, theta, inverse_width, d, p_centre, p_offset, p_slope = values
    soft, delayed, hard, attached, decay_input, synapse, adaptive, acts = flags
    zero = type(v_reset)(0)
    threshold = theta
    if adaptive:
        q, threshold = eq.spike_gradient_adaptation(q, f, rho), eq.adapted_threshold(theta, kappa, a)
    surrogate, direct = (density, threshold, inverse_width), (p_centre, p_offset, p_slope)
    parts = soft, delayed, hard, attached, acts
    delta, dtheta, dv, dalpha = extended_fire_back(surrogate, (q, e), u, s, awake, beta, direct, v_reset, parts)
    through = eq.current_gradient(delta, h if synapse else zero, eq.input_gain(beta, decay_input))
    leak = eq.leak_gradient(delta, u, v, beta, d, decay_input)
    if delayed:
        leak += eq.delay_gradient(eq.before_leak(e, beta), s, eq.before_leak(threshold, beta))
    changes = leak, through * j, eq.adaptation_decay_gradient(f, a, s), dtheta * a, dtheta, dalpha
    da = eq.adaptation_gradient(f, dtheta, rho, kappa) if adaptive else zero
    return through, (dv, da, gamma * through if synapse else zero), changes
