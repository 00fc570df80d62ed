"""The backward pass of one step of a neuron with memory beyond the potential. `reference.recurrent` documents it.

`step_before` reads the numbers of the step from memory, and `step_back` computes with scalars only. Flags are constants
when a kernel is compiled. The machine code therefore contains nothing for the parts that a neuron does not have.
"""

from ... import equations as eq
from ...steps import after_reset, fire_back
from ..run.compile import device


@device
def step_before(stored, start, at, row, stride, t, theta, kappa, v_reset, flags):
    """Read the results of step t, and the state before it.

    Args:
        stored: flat arrays (u, s, j, a, held) of all steps.
        start: flat array of the carried state that the forward pass started from.
        at, row, stride: index of this step's element, index of the neuron in one step, and distance between steps.
        t: number of the step.
        theta, kappa, v_reset: parameters of the neuron.
        flags: six booleans: soft reset, hard reset, synapse, adaptive threshold, refractory time, and whether the
            forward pass started from a carried state.

    Returns:
        (u, s, whether the neuron was not refractory) of the step, and (v, j, a) before the step.
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
    """Compute the backward pass of one step.

    Args:
        density: density of the surrogate.
        q: dL/ds, including the part through lateral weights.
        slopes: dL/dv and dL/da after the step, and gamma times dL/dj of the next step.
        now, before: results of `step_before`.
        values: (beta, gamma, rho, kappa, theta, 1 / alpha, d, p_offset, p_slope) of the channel.
        v_reset: value of the hard reset.
        flags: seven booleans: soft reset, hard reset, whether the spike in the reset has a gradient, scaled input,
            synapse, adaptive threshold, and whether a loss acts on the potential.

    Returns:
        dL/di of the step, the slopes before it, and its terms of the gradients of beta, gamma, rho, kappa, theta and
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
