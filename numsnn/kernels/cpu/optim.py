"""Optimiser updates, in place, compiled; `reference.optim` is the text it equals. A tile is a block of the vectors'
elements, taken segment by segment."""

import numpy as np
from numba.extending import register_jitable

from ..compile import kernel
from .run.launch import TILE_ELEMENTS, count_tiles, launch


@register_jitable
def _first_segment(ends, element):
    """The segment that an element belongs to."""
    p = 0
    while ends[p] <= element:
        p += 1
    return p


@register_jitable
def _bounded(x, low, high):
    """x within its bounds; NaN stays NaN."""
    return low if x < low else high if x > high else x


@kernel
def _sgd_tiles(value, grad, velocity, ends, settings, factor, momentum, nesterov, size, lo, hi):
    begin, stop = lo * size, min(len(value), hi * size)
    p = _first_segment(ends, begin)
    while begin < stop:
        end = min(stop, ends[p])
        x, g, v = value[begin:end], grad[begin:end], velocity[begin:end]
        lr, decay, low, high = settings[0, p] * factor, settings[1, p], settings[2, p], settings[3, p]
        for k in range(len(x)):
            step = g[k] + decay * x[k]
            v[k] = momentum * v[k] + step
            x[k] = _bounded(x[k] - lr * (step + momentum * v[k] if nesterov else v[k]), low, high)
        begin, p = end, p + 1


@kernel
def _plain_sgd_tiles(value, grad, ends, settings, factor, size, lo, hi):
    begin, stop = lo * size, min(len(value), hi * size)
    p = _first_segment(ends, begin)
    while begin < stop:
        end = min(stop, ends[p])
        x, g = value[begin:end], grad[begin:end]
        lr, decay, low, high = settings[0, p] * factor, settings[1, p], settings[2, p], settings[3, p]
        for k in range(len(x)):
            x[k] = _bounded(x[k] - lr * (g[k] + decay * x[k]), low, high)
        begin, p = end, p + 1


def sgd_update(value, grad, velocity, ends, settings, factor, momentum, nesterov):
    """See `reference.optim.sgd_update`."""
    real, tiles = value.dtype.type, count_tiles(value.size, TILE_ELEMENTS)
    if velocity is None:
        launch(_plain_sgd_tiles, tiles, value, grad, ends, settings, real(factor), TILE_ELEMENTS)
    else:
        common = real(factor), real(momentum), nesterov
        launch(_sgd_tiles, tiles, value, grad, velocity, ends, settings, *common, TILE_ELEMENTS)


@kernel
def _adam_tiles(
    value,
    grad,
    first,
    second,
    ends,
    settings,
    factor,
    keep1,
    keep2,
    correction1,
    correction2,
    eps,
    decoupled,
    size,
    lo,
    hi,
):
    begin, stop = lo * size, min(len(value), hi * size)
    p = _first_segment(ends, begin)
    none = type(factor)(0)
    while begin < stop:
        end = min(stop, ends[p])
        x, g, m, v = value[begin:end], grad[begin:end], first[begin:end], second[begin:end]
        lr, low, high = settings[0, p] * factor, settings[2, p], settings[3, p]
        decay = none if decoupled else settings[1, p]
        shrink = lr * settings[1, p] if decoupled else none
        rate = lr * correction1
        for k in range(len(x)):
            slope = g[k] + decay * x[k]
            m[k] += keep1 * (slope - m[k])
            v[k] += keep2 * (slope * slope - v[k])
            moved = x[k] - shrink * x[k] - rate * m[k] / (np.sqrt(v[k]) * correction2 + eps)
            x[k] = _bounded(moved, low, high)
        begin, p = end, p + 1


def adam_update(value, grad, first, second, ends, settings, factor, beta1, beta2, eps, decoupled, step):
    """See `reference.optim.adam_update`."""
    real, tiles = value.dtype.type, count_tiles(value.size, TILE_ELEMENTS)
    corrections = real(1 / (1 - beta1**step)), real((1 - beta2**step) ** -0.5)
    launch(
        _adam_tiles,
        tiles,
        value,
        grad,
        first,
        second,
        ends,
        settings,
        real(factor),
        real(1 - beta1),
        real(1 - beta2),
        *corrections,
        real(eps),
        decoupled,
        TILE_ELEMENTS,
    )


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
