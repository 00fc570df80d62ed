"""One step of one neuron with memory beyond the potential, back; `reference.recurrent` is the text it equals.

`step_before` reads what the step needs, `step_back` computes with numbers alone. Flags are known when a kernel is
compiled: what a neuron does not have leaves no trace in its machine code.
"""

from ... import equations as eq
from ...steps import after_reset, fire_back
from ..run.compile import device


@device
def step_before(stored, start, at, row, stride, t, theta, kappa, v_reset, flags):
    """What the step t made, and what it started from.

    Args:
        stored, start: (u, s, j, a, held) of all steps, and what the forward pass was carried on from; flat.
        at, row, stride: places of this step and of the neuron's row, and how far apart steps are.
        flags: whether the reset is soft, or hard; whether the neuron has a synapse, an adapting threshold, a
            refractory time; whether the pass was carried on.

    Returns:
        (u, s, whether the neuron was awake), and (v, j, a) before the step.
    """
    u, s, j, a, held = stored
    soft, hard, synapse, adaptive, refractory, carry = flags
    real = type(v_reset)
    v = current = adapted = real(0)
    if t > 0:
        threshold = theta
        if synapse:
            current = j[at - stride]
        if adaptive:
            adapted = a[at - stride]
            earlier = a[at - 2 * stride] if t > 1 else start[2 * stride + row] if carry else real(0)
            threshold = eq.adapted_threshold(theta, kappa, earlier)
        v = after_reset(u[at - stride], real(s[at - stride]), threshold, v_reset, soft, hard)
    elif carry:
        v, current, adapted = start[row], start[stride + row], start[2 * stride + row]
    awake = not (refractory and held[at] > 0)
    return (u[at], real(s[at]), awake), (v, current, adapted)


@device
def step_back(density, q, slopes, now, before, values, v_reset, flags):
    """A step, back.

    Args:
        q: dL/ds, what comes along lateral weights included.
        slopes: dL/dv and dL/da behind the step, and gamma times dL/dj of the next one.
        now, before: what `step_before` returns.
        values: (beta, gamma, rho, kappa, theta, 1 / alpha, d, p_offset, p_slope) of the channel.
        flags: whether the reset is soft, or hard, or attached, the input scaled; whether the neuron has a synapse, an
            adapting threshold; whether a loss acts on the potential.

    Returns:
        dL/di of the step, the slopes before it, and what it adds to the gradients of beta, gamma, rho, kappa, theta and
        alpha.
    """
    e, f, h = slopes
    u, s, awake = now
    v, j, a = before
    beta, gamma, rho, kappa, theta, inverse_width, d, p_offset, p_slope = values
    soft, hard, attached, decay_input, synapse, adaptive, direct = flags
    real = type(v_reset)
    zero, one = real(0), real(1)
    if adaptive:
        q += (one - rho) * f
    threshold = eq.adapted_threshold(theta, kappa, a) if adaptive else theta
    z = (u - threshold) * inverse_width
    phi = density(z) * inverse_width if awake else zero
    p = p_offset + p_slope * u if direct else zero
    q, delta, share = fire_back(q, e, u, s, threshold, phi, p, v_reset, soft, hard, attached)
    if not awake:
        delta = share = zero
    through = (one - beta if decay_input else one) * delta + (h if synapse else zero)
    leak = delta * (v - ((u - beta * v + d) / (one - beta) if decay_input else zero))
    changes = leak, through * j, f * (a - s), share * a, share, eq.width_gradient(q, phi, z)
    slopes = (
        beta * delta if awake else e + p,
        rho * f + kappa * share if adaptive else zero,
        gamma * through if synapse else zero,
    )
    return through, slopes, changes
