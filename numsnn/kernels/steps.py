"""Whole scalar steps, written once and compiled into every target: what a neuron, an optimiser or a sum of moments does
in one step. Numbers in, numbers out; targets keep the loops, the memory and the order of sums.

Flags are known when a kernel is compiled, so that what a neuron does not have leaves no trace in its machine code.
"""

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
