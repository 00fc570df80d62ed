"""What follows the moments of the potentials, compiled. `reference.pda` documents it.

The arrays have a few hundred elements, for which one thread is enough.
"""

import math

from .. import equations as eq
from .. import steps
from ..compile import kernel
from ..reference.pda import merge_steps, normalised_moments
from ..window import window_width as width_for

__all__ = ["divergence", "merge_steps", "normalised_moments", "shift_update", "window_width"]


@kernel
def _shift_update(d, mean, target, momentum):
    for t in range(d.shape[0]):
        for c in range(d.shape[1]):
            d[t, c] = eq.tracked_correction(d[t, c], mean[t, c], target[c], momentum)


def shift_update(d, mean, target, momentum):
    """See `reference.pda.shift_update`."""
    _shift_update(d, mean, target, d.dtype.type(momentum))


@kernel
def _divergence_channels(mean, var, target_mean, target_var, eps, weight, pull, value, p_centre, p_offset, p_slope):
    for c in range(len(mean)):
        moments, target = (mean[c], var[c] + eps), (target_mean[c], target_var[c] + eps)
        value[c], p_offset[c], p_slope[c] = steps.divergence_term(moments, target, weight, pull)
        p_centre[c] = mean[c]


def divergence(moments, target, objective, value, direct):
    """See `reference.pda.divergence`."""
    weight, eps, n = objective
    real = value.dtype.type
    share = real(weight / len(value))
    _divergence_channels(*moments, *target, real(eps), share, share / real(n), value, *direct[:3])


@kernel
def _window_widths(mean, var, theta, share, reach, low, high, width):
    real = type(share)
    one = len(mean) < len(width)
    total = real(0)
    for c in range(len(theta)):
        total += theta[c]
    for c in range(len(mean)):
        edge = total / real(len(theta)) if one else theta[c]
        found = width_for(mean[c] - edge, real(math.sqrt(var[c])), share, reach, low, high)
        if one:
            width[:] = found
        else:
            width[c] = found


def window_width(moments, theta, aim, width):
    """See `reference.pda.window_width`."""
    _window_widths(*moments, theta, *map(width.dtype.type, aim), width)
