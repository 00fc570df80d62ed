"""Rules in the style of a user: plain Python functions with float constants and branches."""

from numsnn.kernels.rules import Rule


def quadratic_step(i, v, states, values):
    """Charge with a term that grows with the square of the potential above 0.1, and with a leak below 0.1."""
    (a,) = values
    if v > 0.1:
        return v + a * (v - 0.1) * (v - 0.7) + i, states
    return v - 0.6 * a * (v - 0.1) + i, states


def quadratic_step_back(du, dstates, i, v, states, values):
    (a,) = values
    if v > 0.1:
        slope, share = 1.0 + a * (2.0 * v - 0.8), (v - 0.1) * (v - 0.7)
    else:
        slope, share = 1.0 - 0.6 * a, -0.6 * (v - 0.1)
    return du, slope * du, dstates, (share * du,)


def adapting_step(i, v, states, values):
    """Charge with a synaptic current, and with a slow current that follows the potential and reduces it."""
    j, w = states
    gamma, strength = values
    j = gamma * j + i
    w = 0.8 * w + 0.2 * strength * v
    return 0.9 * v + j - w, (j, w)


def adapting_step_back(du, dstates, i, v, states, values):
    gamma, strength = values
    dj, dw = du + dstates[0], dstates[1] - du
    dv = 0.9 * du + 0.2 * strength * dw
    return dj, dv, (gamma * dj, 0.8 * dw), (dj * states[0], 0.2 * v * dw)


QUADRATIC = Rule("quadratic", (), ("a",), quadratic_step, quadratic_step_back)
ADAPTING = Rule("adapting", ("j", "w"), ("gamma", "strength"), adapting_step, adapting_step_back)
