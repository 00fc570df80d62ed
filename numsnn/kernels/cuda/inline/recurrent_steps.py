"""One step of one neuron with memory beyond the potential, back; `reference.recurrent` is the text it
equals. Flags are known when a kernel is compiled: what a neuron has not leaves no trace in its machine code."""

from ... import equations as eq
from ...steps import after_reset, fire_back
from ..run.compile import device


@device
def step_back(density, q, e, f, h, at, row, stride, t, stored, start, values, v_reset, flags, change):
    """The step t of a neuron, back.

    Args:
        q: dL/ds, what comes along lateral weights included.
        e, f, h: dL/dv and dL/da behind the step, and gamma times dL/dj of the next one.
        at, row, stride: places of this step and of the neuron's row, and how far apart steps are.
        stored, start: (u, s, j, a, held) of all steps, and what the forward pass was carried on from; flat.
        values: (beta, gamma, rho, kappa, theta, 1 / alpha, d, p_offset, p_slope) of the channel.
        flags: as in `steps.extended_step`, but for the first; then whether the reset is detached, a loss acts on the
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
    p = p_offset + p_slope * u_t if direct else zero
    q, delta, share = fire_back(q, e, u_t, s_t, threshold, phi, p, v_reset, soft, hard, not detach_reset)
    if not awake:
        delta = share = zero
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
