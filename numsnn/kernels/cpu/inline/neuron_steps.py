"""The part of the backward pass of `cpu.neuron` that computes the potentials of a tile again."""

from ... import equations as eq
from ...compile import register_jitable
from ...rules import compiled
from ...steps import after_reset, subtraction
from .access import read, read_all, write, write_all
from .prefetch import ahead


def charge_again_by(rule, real, normed, reset):
    """A function that computes all steps of a tile again for the backward pass.

    It fills u[t + 1] with the potential of step t after charging and x[:, t + 1] with the rule's states after step t.
    It updates v from the potential before the first step to the potential after the last one.
    """
    (step, _), count, many = compiled(rule, real), len(rule.states), len(rule.values)
    soft, hard, fall = reset in ("soft", "delayed"), reset == "hard", subtraction(reset)

    @register_jitable
    def charge_again(i, s, values, theta, d, centre, factor, offset, v_reset, first, last, left, n, width, u, x, v):
        real = type(v_reset)
        # The spikes come from the forward pass, so that the same potentials are reset as there.
        for t in range(len(i)):
            for m in range(first, last):
                ahead(i, t, m, first, last, left, n, 1)
                ahead(s, t, m, first, last, left, n, 1)
                r = m - first
                for c in range(n):
                    k = left + c
                    current = read(i, "current", (t, m, k))
                    if normed:
                        ce, fa, off = read(centre, "value", k), read(factor, "value", k), read(offset, "value", k)
                        current = eq.normalise(current, ce, fa, off)
                    before, own = read_all(x, "history", (t, r * width + c), count), read_all(values, "value", k, many)
                    charged, after = step(current, read(v, "state", (r, c)), before, own)
                    u_t = eq.correct(real(charged), read(d, "value", (t, k)))
                    s_t = real(read(s, "spike", (t, m, k)))
                    write(u, "potential", (t + 1, r, c), u_t)
                    lost = fall(read(theta, "value", k), own)
                    write(v, "state", (r, c), after_reset(u_t, s_t, lost, v_reset, soft, hard))
                    write_all(x, "history", (t + 1, r * width + c), after)

    return charge_again
