"""What follows the moments of the potentials, as CUDA kernels. `reference.pda` documents it.

The arrays have a few hundred elements, so that the kernels are kept simple.
"""

import math

from .. import equations as eq
from .. import steps
from ..window import window_width as width_for
from .run.api import cuda
from .run.compile import kernel
from .run.launch import launch_flat


@kernel
def _shift_update(d, mean, target, momentum, count):
    channels = d.shape[1]
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        t, c = k // channels, k % channels
        d[t, c] = eq.tracked_correction(d[t, c], mean[t, c], target[c], momentum)


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


@kernel
def _normalise_channels(mean, var, centre, factor, offset, normalised_mean, normalised_var, count):
    for c in range(cuda.grid(1), count, cuda.gridsize(1)):
        normalised_mean[c] = eq.normalise(mean[c], centre[c], factor[c], offset[c])
        normalised_var[c] = var[c] * factor[c] * factor[c]


def normalised_moments(moments, norm, normalised):
    """See `reference.pda.normalised_moments`."""
    launch_flat(_normalise_channels, moments.mean.size, *moments, *norm, *normalised)


@kernel
def _divergence_channels(
    mean, var, target_mean, target_var, eps, weight, pull, value, p_centre, p_offset, p_slope, count
):
    for c in range(cuda.grid(1), count, cuda.gridsize(1)):
        moments, target = (mean[c], var[c] + eps), (target_mean[c], target_var[c] + eps)
        value[c], p_offset[c], p_slope[c] = steps.divergence_term(moments, target, weight, pull)
        p_centre[c] = mean[c]


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
        *direct[:3],
    )


@kernel
def _window_widths(mean, var, theta, share, reach, low, high, width, count):
    real = type(share)
    one = mean.shape[0] < width.shape[0]
    for c in range(cuda.grid(1), count, cuda.gridsize(1)):
        edge, group = theta[c], c
        if one:  # each thread finds the layer's width by itself
            edge, group = real(0), 0
            for k in range(theta.shape[0]):
                edge += theta[k]
            edge /= real(theta.shape[0])
        width[c] = width_for(mean[group] - edge, real(math.sqrt(var[group])), share, reach, low, high)


def window_width(moments, theta, aim, width):
    """See `reference.pda.window_width`."""
    launch_flat(_window_widths, width.size, *moments, theta, *map(width.dtype.type, aim), width)
