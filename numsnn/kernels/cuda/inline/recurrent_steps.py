"""One step of one neuron with memory beyond the potential, forward and back; `reference.recurrent` is the text it
equals. Flags are known when a kernel is compiled: what a neuron has not leaves no trace in its machine code."""

from ... import equations as eq
from ...steps import after_reset
from ..run.compile import device


@device
def step_forward(cdf, arriving, v, current, adapted, rest, d, values, v_reset, steps_held, flags):
    """Charge, fire and reset.

    Args:
        arriving: input, lateral one included.
        v, current, adapted, rest: potential, synaptic current, adaptation and remaining refractory steps before.
        d, values: correction, and (beta, gamma, rho, kappa, theta, alpha) of the channel.
        flags: whether the neuron is relaxed, its reset soft, or hard, its input scaled; whether it has a synapse, an
            adapting threshold, a refractory time.

    Returns:
        potential after charging, spike, whether it rested; v, current, adapted and rest behind the step.
    """
    beta, gamma, rho, kappa, theta, alpha = values
    relaxed, soft, hard, decay_input, synapse, adaptive, refractory = flags
    real = type(v_reset)
    current = eq.synapse(current, arriving, gamma) if synapse else arriving
    threshold = eq.adapted_threshold(theta, kappa, adapted) if adaptive else theta
    resting = refractory and rest > real(0)
    u = v if resting else eq.charge(v, current, d, beta, real(1) - beta if decay_input else real(1))
    x = u - threshold
    s = cdf(x / alpha) if relaxed else real(eq.fire(x))
    if refractory:
        if resting:
            s, rest = real(0), rest - real(1)
        else:
            rest = steps_held if eq.fire(x) else real(0)
    if adaptive:
        adapted = eq.adaptation(adapted, s, rho)
    return u, s, resting, after_reset(u, s, threshold, v_reset, soft, hard), current, adapted, rest


@device
def step_back(density, q, e, f, h, at, row, stride, t, stored, start, values, v_reset, flags, change):
    """The step t of a neuron, back.

    Args:
        q: dL/ds, what comes along lateral weights included.
        e, f, h: dL/dv and dL/da behind the step, and gamma times dL/dj of the next one.
        at, row, stride: places of this step and of the neuron's row, and how far apart steps are.
        stored, start: (u, s, j, a, held) of all steps, and what the forward pass was carried on from; flat.
        values: (beta, gamma, rho, kappa, theta, 1 / alpha, d, p_offset, p_slope) of the channel.
        flags: as in `step_forward`, but for the first; then whether the reset is detached, a loss acts on the
            potential, and the pass was carried on.
        change: out, what the step adds to the gradients of beta, gamma, rho, kappa, theta and alpha.

    Returns:
        dL/di of the step; e, f and h before it.
    """
    u, s, j, a, held = stored
    beta, gamma, rho, kappa, theta, inverse_width, d, p_offset, p_slope = values
    soft, hard, decay_input, synapse, adaptive, refractory, detach_reset, direct, carry = flags
    real = type(v_reset)
    zero, one = real(0), real(1)
    u_t, s_t, a_before = u[at], real(s[at]), zero
    if adaptive:
        a_before = a[at - stride] if t > 0 else start[2 * stride + row] if carry else zero
        q += (one - rho) * f
    threshold = eq.adapted_threshold(theta, kappa, a_before) if adaptive else theta
    awake = not (refractory and held[at] > 0)
    z = (u_t - threshold) * inverse_width
    phi = density(z) * inverse_width if awake else zero
    if soft and not detach_reset:
        q = eq.spike_gradient_soft(q, e, threshold)
    if hard and not detach_reset:
        q = eq.spike_gradient_hard(q, e, u_t, v_reset)
    p = p_offset + p_slope * u_t if direct else zero
    delta = eq.potential_gradient(q, e, s_t if hard else zero, phi, p) if awake else zero
    share = -q * phi - (e * s_t if soft else zero) if awake else zero
    through = (one - beta if decay_input else one) * delta + (h if synapse else zero)

    v = _potential_before(u, s, a, at, row, stride, t, start, theta, kappa, v_reset, (soft, hard, adaptive, carry))
    change[0] = delta * (v - ((u_t - beta * v + d) / (one - beta) if decay_input else zero))
    if synapse:
        change[1] = through * (j[at - stride] if t > 0 else start[stride + row] if carry else zero)
        h = gamma * through
    change[2], change[3] = f * (a_before - s_t), share * a_before
    change[4], change[5] = share, eq.width_gradient(q, phi, z)
    if adaptive:
        f = rho * f + kappa * share
    return through, beta * delta if awake else e + p, f, h


@device
def _potential_before(u, s, a, at, row, stride, t, start, theta, kappa, v_reset, flags):
    """The potential the step t started from; before the first one it stands as it is, not to be reset."""
    soft, hard, adaptive, carry = flags
    zero = type(v_reset)(0)
    if t == 0:
        return start[row] if carry else zero
    threshold = theta
    if soft and adaptive:
        earlier = a[at - 2 * stride] if t > 1 else start[2 * stride + row] if carry else zero
        threshold = eq.adapted_threshold(theta, kappa, earlier)
    return after_reset(u[at - stride], type(v_reset)(s[at - stride]), threshold, v_reset, soft, hard)
