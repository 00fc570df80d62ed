"""Optimiser updates in place, with one launch for all parameters. `reference.optim` documents them."""

import numpy as np

from .. import steps
from .array import to_host
from .run.api import cuda
from .run.compile import device, kernel
from .run.launch import BLOCK, ceil_div, launch, launch_flat, scratch


@device
def _segment(ends, element):
    """The index of the segment that contains an element, found by bisection."""
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if ends[middle] <= element:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _sgd_elements(value, grad, velocity, ends, settings, factor, momentum, nesterov, count):
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        p = _segment(ends, k)
        rate, decay, low, high = settings[0, p] * factor, settings[1, p], settings[2, p], settings[3, p]
        value[k], velocity[k] = steps.momentum_step(
            value[k], grad[k], velocity[k], rate, decay, momentum, nesterov, low, high
        )


@kernel
def _plain_sgd_elements(value, grad, ends, settings, factor, count):
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        p = _segment(ends, k)
        rate, decay, low, high = settings[0, p] * factor, settings[1, p], settings[2, p], settings[3, p]
        value[k] = steps.sgd_step(value[k], grad[k], rate, decay, low, high)


def sgd_update(value, grad, velocity, segments, factor, momentum):
    """See `reference.optim.sgd_update`."""
    real = value.dtype.type
    if velocity is None:
        launch_flat(_plain_sgd_elements, value.size, value, grad, *segments, real(factor))
    else:
        common = real(factor), real(momentum.share), momentum.nesterov
        launch_flat(_sgd_elements, value.size, value, grad, velocity, *segments, *common)


@kernel
def _adam_elements(
    value, grad, first, second, ends, settings, corrections, factor, keep1, keep2, eps, decoupled, count
):
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        p = _segment(ends, k)
        lr = settings[0, p] * factor
        added, taken = steps.split_decay(lr, settings[1, p], decoupled)
        value[k], first[k], second[k] = steps.adam_step(
            value[k],
            grad[k],
            first[k],
            second[k],
            lr * corrections[0, p],
            added,
            taken,
            keep1,
            keep2,
            corrections[1, p],
            eps,
            settings[2, p],
            settings[3, p],
        )


def adam_update(value, grad, first, second, segments, factor, adam, corrections):
    """See `reference.optim.adam_update`."""
    real, (beta1, beta2, eps, decoupled) = value.dtype.type, adam
    launch_flat(
        _adam_elements,
        value.size,
        value,
        grad,
        first,
        second,
        *segments,
        corrections,
        real(factor),
        real(1 - beta1),
        real(1 - beta2),
        real(eps),
        decoupled,
    )


SQUARE_PARTS = 256
"""Largest number of partial sums of squares, which the host adds up."""


@kernel
def _square_parts(x, parts):
    """Compute parts[b], the sum of the squares of block b's elements.

    It is computed in float64, because clipping and the detection of divergence depend on this norm, and it must not
    overflow.
    """
    partial = cuda.shared.array(BLOCK, np.float64)
    total = np.float64(0)
    for k in range(cuda.grid(1), len(x), cuda.gridsize(1)):
        total += np.float64(x[k]) * np.float64(x[k])
    partial[cuda.threadIdx.x] = total
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        for other in range(1, cuda.blockDim.x):
            total += partial[other]
        parts[cuda.blockIdx.x] = total


def sum_squares(x):
    """See `reference.optim.sum_squares`. The host waits for the result."""
    blocks = min(SQUARE_PARTS, ceil_div(x.size, BLOCK))
    parts = scratch.get("squares", (blocks,), np.float64)
    launch(_square_parts, blocks, min(BLOCK, x.size), x.reshape(-1), parts)
    return float(to_host(parts).sum())


@kernel
def _scale_elements(x, factor, count):
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        x[k] *= factor


def scale(x, factor):
    """See `reference.optim.scale`."""
    launch_flat(_scale_elements, x.size, x.reshape(-1), x.dtype.type(factor))
