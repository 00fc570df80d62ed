"""Optimiser updates, in place, compiled; `reference.optim` is the text it equals. Arrays are C-contiguous."""

import numpy as np

from .compile import kernel
from .launch import TILE_ELEMENTS, count_tiles, launch


def _launch_flat(range_kernel, arrays, *scalars):
    """Over blocks of the arrays' elements, which the kernels cut out first: an index that counts from zero is known not
    to be negative, and only then do their loops vectorise."""
    flat = [array.reshape(-1) for array in arrays]
    launch(range_kernel, count_tiles(flat[0].size, TILE_ELEMENTS), *flat, *scalars, TILE_ELEMENTS)


@kernel
def _sgd_tiles(value, grad, velocity, lr, momentum, nesterov, decay, size, lo, hi):
    first, last = lo * size, hi * size
    value, grad, velocity = value[first:last], grad[first:last], velocity[first:last]
    for k in range(len(value)):
        step = grad[k] + decay * value[k]
        velocity[k] = momentum * velocity[k] + step
        value[k] -= lr * (step + momentum * velocity[k] if nesterov else velocity[k])


@kernel
def _plain_sgd_tiles(value, grad, lr, decay, size, lo, hi):
    value, grad = value[lo * size : hi * size], grad[lo * size : hi * size]
    for k in range(len(value)):
        value[k] -= lr * (grad[k] + decay * value[k])


def sgd_update(value, grad, velocity, lr, momentum, nesterov, decay):
    """See `reference.optim.sgd_update`."""
    real = value.dtype.type
    if velocity is None:
        _launch_flat(_plain_sgd_tiles, (value, grad), real(lr), real(decay))
    else:
        _launch_flat(_sgd_tiles, (value, grad, velocity), real(lr), real(momentum), nesterov, real(decay))


@kernel
def _adam_tiles(
    value, grad, first, second, rate, keep1, keep2, correction, eps, decay, shrink, size, lo, hi
):
    start, stop = lo * size, hi * size
    value, grad, first, second = value[start:stop], grad[start:stop], first[start:stop], second[start:stop]
    for k in range(len(value)):
        g = grad[k] + decay * value[k]
        first[k] += keep1 * (g - first[k])
        second[k] += keep2 * (g * g - second[k])
        value[k] -= shrink * value[k]
        value[k] -= rate * first[k] / (np.sqrt(second[k]) * correction + eps)


def adam_update(value, grad, first, second, lr, beta1, beta2, eps, decay, decoupled, step):
    """See `reference.optim.adam_update`."""
    real = value.dtype.type
    _launch_flat(
        _adam_tiles, (value, grad, first, second),
        real(lr / (1 - beta1**step)), real(1 - beta1), real(1 - beta2), real((1 - beta2**step) ** -0.5), real(eps),
        real(0 if decoupled else decay), real(lr * decay if decoupled else 0),
    )  # fmt: skip


@kernel
def _square_tiles(x, parts, size, lo, hi):
    for tile in range(lo, hi):
        total = 0.0  # float64 on purpose: the norm decides about clipping and about divergence
        for k in range(tile * size, min(len(x), (tile + 1) * size)):
            total += x[k] * np.float64(x[k])
        parts[tile] = total


def sum_squares(x):
    """See `reference.optim.sum_squares`."""
    parts = np.empty(count_tiles(x.size, TILE_ELEMENTS))
    launch(_square_tiles, len(parts), x.reshape(-1), parts, TILE_ELEMENTS)
    return float(parts.sum())


def scale(x, factor):
    """See `reference.optim.scale`."""
    x *= x.dtype.type(factor)


def clamp(x, low, high):
    """See `reference.optim.clamp`."""
    np.clip(x, low, high, out=x)
