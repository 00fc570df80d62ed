"""Potential distribution adjustment, as CUDA kernels. `reference.pda` documents it.

The arrays have a few hundred elements, so that the kernels are kept simple.
"""

from .. import equations as eq
from .run.api import cuda
from .run.compile import kernel
from .run.launch import launch_flat


@kernel
def _shift_update(d, mean, target, momentum, count):
    channels = d.shape[1]
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        t, c = k // channels, k % channels
        d[t, c] += momentum * (mean[t, c] - target[c])


def shift_update(d, mean, target, momentum):
    """See `reference.pda.shift_update`."""
    launch_flat(_shift_update, d.size, d, mean, target, d.dtype.type(momentum))


@kernel
def _merge_steps(mean, var, total_mean, total_var, count):
    """M3: merge the moments of all steps, per channel.

    Means are taken as distances from the first step's mean, so that the differences between steps are not rounded away.
    """
    steps = mean.shape[0]
    real = mean.dtype.type
    inverse = real(1) / real(steps)
    for c in range(cuda.grid(1), count, cuda.gridsize(1)):
        first = mean[0, c]
        # The mean of the means, the mean of the variances, and then the variance of the means.
        drift = within = between = real(0)
        for t in range(steps):
            drift += mean[t, c] - first
            within += var[t, c]
        drift *= inverse
        for t in range(steps):
            distance = mean[t, c] - first - drift
            between += distance * distance
        total_mean[c] = first + drift
        total_var[c] = (within + between) * inverse


def merge_steps(moments, total):
    """See `reference.pda.merge_steps`."""
    launch_flat(_merge_steps, total.mean.size, *moments, *total)


def _moment_kernel():

    @kernel
    def normalise_channels(mean, var, centre, factor, offset, normalised_mean, normalised_var, count):
        for c in range(cuda.grid(1), count, cuda.gridsize(1)):
            normalised_mean[c] = eq.normalise(mean[c], centre[c], factor[c], offset[c])
            normalised_var[c] = var[c] * factor[c] * factor[c]

    return normalise_channels


_normalise_channels = _moment_kernel()


def normalised_moments(moments, norm, normalised):
    """See `reference.pda.normalised_moments`."""
    launch_flat(_normalise_channels, moments.mean.size, *moments, *norm, *normalised)


def _divergence_kernel():

    @kernel
    def divergence_channels(mean, var, target_mean, target_var, eps, weight, pull, value, p_offset, p_slope, count):
        for c in range(cuda.grid(1), count, cuda.gridsize(1)):
            u, v, m, w = mean[c], var[c] + eps, target_mean[c], target_var[c] + eps
            value[c] = weight * eq.normal_divergence(u, v, m, w)
            slope = pull * eq.normal_divergence_slope(u, v, m, w)
            p_slope[c] = slope
            p_offset[c] = pull * eq.normal_divergence_offset(u, v, m, w) - slope * u

    return divergence_channels


_divergence_channels = _divergence_kernel()


def divergence(moments, target, objective, value, direct):
    """See `reference.pda.divergence`."""
    weight, eps, n = objective
    real, weight = value.dtype.type, weight / len(value)
    launch_flat(
        _divergence_channels,
        value.size,
        *moments,
        *target,
        real(eps),
        real(weight),
        real(weight / n),
        value,
        *direct,
    )
