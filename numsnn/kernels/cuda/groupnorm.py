"""Group normalisation, as CUDA kernels. `reference.groupnorm` documents it.

A block sums over positions of one sample, with one sum per channel, so that neighbouring threads read neighbouring
numbers. The sums of the channels of a group are added when the blocks' sums are.
"""

import numpy as np

from .. import equations as eq
from .inline.measure import measure
from .inline.rows import THREADS, cut_rows, launch_finish, place, sum_lanes, transform_two
from .norm import transform_normalise
from .run.api import cuda
from .run.compile import device, kernel
from .run.launch import scratch
from .run.reduce import column_sum


@kernel
def _normalise_parts(x, mean, var, gamma, beta, eps, y, parts, part_rows, across):
    _, rows, channels = x.shape
    b, part, c = place(parts, across)
    if c < channels:
        g = c // (channels // mean.shape[1])
        constants = mean[b, g], eq.inverse_deviation(var[b, g], eps) * gamma[c], beta[c]
        first, last = part * part_rows + cuda.threadIdx.y, min(rows, (part + 1) * part_rows)
        transform_normalise(constants, x[b], y[b], c, first, last, cuda.blockDim.y)


def groupnorm_forward(x, affine, moments, y):
    """See `reference.groupnorm.groupnorm_forward`."""
    (gamma, beta, eps), (mean, var) = affine.unscaled(), moments
    measure(x, x.shape[2] // mean.shape[1], mean, var)
    cut_rows(*x.shape).launch(_normalise_parts, len(x), x, mean, var, gamma, beta, gamma.dtype.type(eps), y)


def _projection_kernel(dtype):
    @kernel
    def projection_parts(dy, x, mean, var, eps, totals, projections, parts, part_rows, across):
        """Compute the sum of dy and the sum of dy times the normalised x, per slice of positions and channel.

        totals and projections are ``[B, P, C]``.
        """
        room = cuda.shared.array(THREADS, dtype)
        _, rows, channels = x.shape
        b, part, c = place(parts, across)
        total = projection = x.dtype.type(0)
        if c < channels:
            g = c // (channels // mean.shape[1])
            centre, factor = mean[b, g], eq.inverse_deviation(var[b, g], eps)
            last = min(rows, (part + 1) * part_rows)
            for m in range(part * part_rows + cuda.threadIdx.y, last, cuda.blockDim.y):
                slope = dy[b, m, c]
                total += slope
                projection += slope * ((x[b, m, c] - centre) * factor)
        total, projection = sum_lanes(room, total), sum_lanes(room, projection)
        if cuda.threadIdx.y == 0 and c < channels:
            totals[b, part, c], projections[b, part, c] = total, projection

    return projection_parts


def _group_kernel(dtype):
    @kernel
    def group_means(totals, projections, gamma, inverse_members, slope, projection):
        """Compute the means of gamma dy and of gamma dy times the normalised x, per sample and group: ``[B, G]``."""
        room = cuda.shared.array(THREADS, dtype)
        samples, parts, channels = totals.shape
        groups = slope.shape[1]
        size = channels // groups
        column = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        b, first = column // groups, column % groups * size
        total = projected = gamma.dtype.type(0)
        if b < samples:
            for k in range(cuda.threadIdx.y, parts * size, cuda.blockDim.y):
                part, c = k // size, first + k % size
                total += gamma[c] * totals[b, part, c]
                projected += gamma[c] * projections[b, part, c]
        total, projected = sum_lanes(room, total), sum_lanes(room, projected)
        if cuda.threadIdx.y == 0 and b < samples:
            slope[b, column % groups] = total * inverse_members
            projection[b, column % groups] = projected * inverse_members

    return group_means


_projection_parts, _group_means = (
    {np.dtype(real): make(real) for real in (np.float32, np.float64)} for make in (_projection_kernel, _group_kernel)
)


@device
def _pull(constants, dy, x):
    """One element of the input gradient."""
    centre, inverse, weight, mean_slope, pull = constants
    return eq.group_pull(dy, x, centre, inverse, weight, mean_slope, pull)


_transform_pull = transform_two(_pull)


@kernel
def _input_gradient(dy, x, gamma, mean, var, eps, slope, projection, dx, parts, part_rows, across):
    """Compute dx from dy, x and the means per group. dx may be dy."""
    _, rows, channels = x.shape
    b, part, c = place(parts, across)
    if c < channels:
        g = c // (channels // mean.shape[1])
        constants = mean[b, g], eq.inverse_deviation(var[b, g], eps), gamma[c], slope[b, g], projection[b, g]
        first, last = part * part_rows + cuda.threadIdx.y, min(rows, (part + 1) * part_rows)
        _transform_pull(constants, dy[b], x[b], dx[b], c, first, last, cuda.blockDim.y)


def groupnorm_backward(dy, x, affine, moments, dx, dgamma, dbeta):
    """See `reference.groupnorm.groupnorm_backward`."""
    (gamma, _, eps), (mean, var) = affine.unscaled(), moments
    samples, positions, channels = x.shape
    real, groups = gamma.dtype.type, mean.shape[1]
    cut = cut_rows(*x.shape)
    totals, projections = scratch.get("group projections", (2, samples, cut.parts, channels), x.dtype)
    cut.launch(_projection_parts[x.dtype], samples, dy, x, mean, var, real(eps), totals, projections)
    column_sum(totals.reshape(-1, channels), dbeta)
    column_sum(projections.reshape(-1, channels), dgamma)
    if dx is None:
        return
    size = channels // groups
    slope, projection = scratch.get("group means", (2, samples, groups), x.dtype)
    launch_finish(
        _group_means[x.dtype],
        mean.size,
        cut.parts * size,
        totals,
        projections,
        gamma,
        real(1 / (positions * size)),
        slope,
        projection,
    )
    cut.launch(_input_gradient, samples, dy, x, gamma, mean, var, real(eps), slope, projection, dx)
