"""Moments over samples, batch normalisation, and scales that differ from step to step, as CUDA kernels.

`reference.norm` documents the functions.
"""

import math
from functools import cache

from .. import equations as eq
from .inline.measure import measure
from .inline.rows import THREADS, cut_rows, launch_finish, launch_rows, place, sum_lanes, transform, transform_two
from .run.api import cuda
from .run.compile import device, kernel
from .run.launch import ceil_div, launch, launch_flat, scratch
from .run.reduce import sum_parts


def moments(x, mean, var, running=None, momentum=1.0):
    """See `reference.norm.moments`."""
    measure(x, 1, mean, var)
    if running is not None:
        running_update(running.mean, mean, momentum)
        running_update(running.var, var, momentum)


@kernel
def _running_update(running, value, momentum, count):
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        running[k] += momentum * (value[k] - running[k])


def running_update(running, value, momentum):
    """See `reference.norm.running_update`."""
    momentum = running.dtype.type(momentum)
    launch_flat(_running_update, running.size, running.reshape(-1), value.reshape(-1), momentum)


@device
def _channel_factor(gamma, var, eps, scale):
    """B4: return scale gamma / sqrt(var + eps)."""
    return scale * gamma / math.sqrt(var + eps)


@kernel
def _factor_channels(gamma, var, eps, scale, factor, count):
    real = factor.dtype.type
    for c in range(cuda.grid(1), count, cuda.gridsize(1)):
        factor[c] = real(_channel_factor(gamma[c], var[c], eps, scale))


def batchnorm_factor(affine, var, factor):
    """See `reference.norm.batchnorm_factor`."""
    real, (gamma, _, eps, scale) = factor.dtype.type, affine
    launch_flat(_factor_channels, factor.size, gamma, var, real(eps), real(scale), factor)


@device
def _normalise(constants, x):
    return eq.normalise(x, constants[0], constants[1], constants[2])


transform_normalise = transform(_normalise)


@kernel
def _normalise_rows(x, gamma, beta, mean, var, eps, scale, y):
    rows, channels = x.shape
    c, first = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < channels:
        factor = x.dtype.type(_channel_factor(gamma[c], var[c], eps, scale))
        transform_normalise((mean[c], factor, beta[c]), x, y, c, first, rows, stride)


def batchnorm_forward(x, affine, moments, y):
    """See `reference.norm.batchnorm_forward`."""
    real, (gamma, beta, eps, scale) = x.dtype.type, affine
    launch_rows(_normalise_rows, *x.shape, x, gamma, beta, *moments, real(eps), real(scale), y)


@cache
def _projection_kernel(dtype, threads):
    @kernel
    def projection_parts(dy, x, mean, partial_sums, parts, part_rows, across):
        """Compute the sums of dy and of dy times (x - mean), per slice of rows and channel: partial_sums ``[2, P, C]``.

        Each thread sums its rows in registers, and the lanes of the block are added in order.
        """
        room = cuda.shared.array(threads, dtype)
        rows, channels = x.shape
        _, part, c = place(parts, across)
        total = projection = x.dtype.type(0)
        if c < channels:
            centre = mean[c]
            last = min(rows, (part + 1) * part_rows)
            for m in range(part * part_rows + cuda.threadIdx.y, last, cuda.blockDim.y):
                slope = dy[m, c]
                total += slope
                projection += slope * (x[m, c] - centre)
        total, projection = sum_lanes(room, total), sum_lanes(room, projection)
        if cuda.threadIdx.y == 0 and c < channels:
            partial_sums[0, part, c], partial_sums[1, part, c] = total, projection

    return projection_parts


@cache
def _coefficient_kernel(dtype, threads):
    @kernel
    def coefficients(partial_sums, gamma, var, eps, scale, inverse_rows, coefficient, dgamma, dbeta):
        """Compute dgamma and dbeta from the sums partial_sums ``[2, P, C]``, and the coefficients of `_input_gradient`.

        coefficient ``[3, C]`` holds factor, slope and offset. inverse_rows is 0 if the moments are frozen.
        """
        room = cuda.shared.array(threads, dtype)
        _, parts, channels = partial_sums.shape
        real = partial_sums.dtype.type
        c, lane = cuda.grid(2)
        total = projection = real(0)
        if c < channels:
            for part in range(lane, parts, cuda.blockDim.y):
                total += partial_sums[0, part, c]
                projection += partial_sums[1, part, c]
        total, projection = sum_lanes(room, total), sum_lanes(room, projection)
        if lane == 0 and c < channels:
            inverse = eq.inverse_deviation(var[c], eps)
            factor = scale * gamma[c] * inverse
            dbeta[c], dgamma[c] = total, scale * (projection * inverse)
            coefficient[0, c] = factor
            coefficient[1, c] = -inverse_rows * factor * inverse * inverse * projection
            coefficient[2, c] = -inverse_rows * factor * total

    return coefficients


@device
def _pull(constants, dy, x):
    """One element of the input gradient."""
    centre, factor, slope, offset = constants
    return eq.norm_pull(dy, x, centre, factor, slope, offset)


_transform_pull = transform_two(_pull)


@kernel
def _input_gradient(dy, x, mean, coefficient, dx):
    """Compute dx = factor dy + slope (x - mean) + offset, with one number of each per channel. dx may be dy."""
    rows, channels = x.shape
    c, first = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < channels:
        constants = mean[c], coefficient[0, c], coefficient[1, c], coefficient[2, c]
        _transform_pull(constants, dy, x, dx, c, first, rows, stride)


def batchnorm_backward(dy, x, affine, moments, frozen, dx, dgamma, dbeta, sums=None):
    """See `reference.norm.batchnorm_backward`."""
    (gamma, _, eps, scale), (mean, var) = affine, moments
    real, (rows, channels) = x.dtype.type, x.shape
    if sums is None:
        cut = cut_rows(1, rows, channels)
        partial_sums = scratch.get("projections", (2, cut.parts, channels), x.dtype)
        cut.launch(_projection_kernel(x.dtype.type, THREADS), 1, dy, x, mean, partial_sums)
    else:
        partial_sums = sums.reshape(2, 1, channels)
    coefficient = scratch.get("coefficients", (3, channels), x.dtype)
    inverse_rows = real(0 if frozen else 1 / rows)
    launch_finish(
        _coefficient_kernel(x.dtype.type, THREADS),
        channels,
        partial_sums.shape[1],
        partial_sums,
        gamma,
        var,
        real(eps),
        real(scale),
        inverse_rows,
        coefficient,
        dgamma,
        dbeta,
    )
    if dx is not None:
        launch_rows(_input_gradient, rows, channels, dy, x, mean, coefficient, dx)


@kernel
def _fold_rows(w, b, has_bias, gamma, beta, mean, var, eps, scale, folded_w, folded_b):
    rows, channels = w.shape
    real = w.dtype.type
    c, first = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < channels:
        factor = real(_channel_factor(gamma[c], var[c], eps, scale))
        for m in range(first, rows, stride):
            folded_w[m, c] = w[m, c] * factor
        if first == 0:
            folded_b[c] = ((b[c] if has_bias else real(0)) - mean[c]) * factor + beta[c]


def batchnorm_fold(w, b, affine, moments, folded_w, folded_b):
    """See `reference.norm.batchnorm_fold`. It is computed in the weights' own precision, not in float64."""
    (gamma, beta, eps, scale), (mean, var) = affine, moments
    real, shape = w.dtype.type, (-1, w.shape[-1])
    rows, channels = w.reshape(shape).shape
    bias = beta if b is None else b
    launch_rows(
        _fold_rows,
        rows,
        channels,
        w.reshape(shape),
        bias,
        b is not None,
        gamma,
        beta,
        mean,
        var,
        real(eps),
        real(scale),
        folded_w.reshape(shape),
        folded_b,
    )


# --- one scale per step ---------------------------------------------------------------------------------------------

MOST_STEP_BLOCKS = 512
"""Largest number of blocks per step. Each block has a partial sum."""

ELEMENTS_PER_LANE = 4
"""Least number of elements per lane, if a step has enough of them."""


@device
def _own_elements():
    """The elements of a step that a thread takes, as (first, stride)."""
    lanes = cuda.blockDim.y
    return cuda.blockIdx.x * lanes + cuda.threadIdx.y, cuda.gridDim.x * lanes


@kernel
def _scale_steps(x, p, y):
    """Compute y[t] = p[t] x[t], for x and y ``[T, F]``."""
    t, count = cuda.blockIdx.y, x.shape[1]
    factor = p[t]
    first, stride = _own_elements()
    for k in range(first, count, stride):
        y[t, k] = factor * x[t, k]


@cache
def _backward_kernel(dtype, threads):
    @kernel
    def scale_steps_backward(dy, x, p, dx, partial_sums):
        """Compute dx, and the sum of dy x per block and step: partial_sums ``[P, T]``."""
        room = cuda.shared.array(threads, dtype)
        t, count = cuda.blockIdx.y, x.shape[1]
        factor, total = p[t], x.dtype.type(0)
        first, stride = _own_elements()
        for k in range(first, count, stride):
            slope = dy[t, k]
            total += slope * x[t, k]
            dx[t, k] = factor * slope
        total = sum_lanes(room, total)
        if cuda.threadIdx.y == 0:
            partial_sums[cuda.blockIdx.x, t] = total

    return scale_steps_backward


def _step_blocks(count):
    """The number of blocks per step and of lanes per block, for `count` elements per step."""
    lanes = min(THREADS, ceil_div(count, ELEMENTS_PER_LANE))
    return min(MOST_STEP_BLOCKS, ceil_div(count, lanes * ELEMENTS_PER_LANE)), lanes


def scale_steps_forward(x, p, y):
    """See `reference.norm.scale_steps_forward`."""
    steps = len(x)
    x, y = x.reshape(steps, -1), y.reshape(steps, -1)
    blocks, lanes = _step_blocks(x.shape[1])
    launch(_scale_steps, (blocks, steps), (1, lanes), x, p, y)


def scale_steps_backward(dy, x, p, dx, dp):
    """See `reference.norm.scale_steps_backward`."""
    steps = len(x)
    dy, x, dx = (array.reshape(steps, -1) for array in (dy, x, dx))
    blocks, lanes = _step_blocks(x.shape[1])
    partial_sums = scratch.get("scales", (blocks, steps), x.dtype)
    launch(_backward_kernel(x.dtype.type, THREADS), (blocks, steps), (1, lanes), dy, x, p, dx, partial_sums)
    sum_parts(partial_sums, dp)
