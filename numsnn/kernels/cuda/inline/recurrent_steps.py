"""What the backward pass of a neuron with memory beyond the potential reads for one step.

`extended.extended_step_back` computes with it. Flags are constants when a kernel is compiled. The machine code then
contains nothing for the parts that a neuron does not have.
"""

from ... import equations as eq
from ...steps import after_reset
from ..run.compile import device


@device
def step_before(stored, start, at, row, stride, t, values, v_reset, flags):
    """Read the results of step t, and the state before it.

    Args:
        stored: flat arrays (u, s, j, a, held) of all steps.
        start: flat array of the carried state that the forward pass started from.
        at, row, stride: index of this step's element, index of the neuron in one step, and distance between steps.
        t: number of the step.
        values: (beta, theta, kappa) of the channel.
        v_reset: value of the hard reset.
        flags: seven booleans: soft reset, whether this is a delayed one, hard reset, synapse, adaptive threshold,
            refractory time, and whether the forward pass started from a carried state.

    Returns:
        (u, s, whether the neuron was not refractory) of the step, and (v, j, a) before the step.
    """
    u, s, j, a, held = stored
    beta, theta, kappa = values
    soft, delayed, hard, synapse, adaptive, refractory, carry = flags
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
        fall = eq.before_leak(threshold, beta) if delayed else threshold
        v = after_reset(u[at - stride], real(s[at - stride]), fall, v_reset, soft, hard)
    elif carry:
        v, current, adapted = start[row], start[stride + row], start[2 * stride + row]
    awake = not (refractory and held[at] > 0)
    return (u[at], real(s[at]), awake), (v, current, adapted)
