"""Potential distribution adjustment, compiled. `reference.pda` documents it.

The arrays have a few hundred elements, for which one thread is enough.
"""

from .. import equations as eq
from ..compile import kernel
from ..reference.pda import merge_steps, normalised_moments

__all__ = ["divergence", "merge_steps", "normalised_moments", "shift_update"]


@kernel
def _shift_update(d, mean, target, momentum):
    for t in range(d.shape[0]):
        for c in range(d.shape[1]):
            d[t, c] += momentum * (mean[t, c] - target[c])


def shift_update(d, mean, target, momentum):
    """See `reference.pda.shift_update`."""
    _shift_update(d, mean, target, d.dtype.type(momentum))


def _divergence_kernel():

    @kernel
    def divergence_channels(mean, var, target_mean, target_var, eps, weight, n, value, p_offset, p_slope):
        for c in range(len(mean)):
            moments = mean[c], var[c] + eps, target_mean[c], target_var[c] + eps
            value[c] = weight * eq.normal_divergence(*moments)
            slope = weight / n * eq.normal_divergence_slope(*moments)
            p_slope[c] = slope
            p_offset[c] = weight / n * eq.normal_divergence_offset(*moments) - slope * mean[c]

    return divergence_channels


_divergence_channels = _divergence_kernel()


def divergence(moments, target, objective, value, direct):
    """See `reference.pda.divergence`."""
    weight, eps, n = objective
    real = value.dtype.type
    share = real(weight / len(value))
    _divergence_channels(*moments, *target, real(eps), share, real(n), value, *direct)
