"""Optimiser updates in place, compiled. `reference.optim` documents them.

A tile is a block of elements of the parameter vector. The kernels go through it segment by segment, so that learning
rate, weight decay and bounds are constants of the inner loop.
"""

import numpy as np

from .. import steps
from ..compile import kernel, register_jitable
from ..reference.optim import scale
from .inline.local import local
from .run.launch import TILE_ELEMENTS, count_tiles, launch

__all__ = ["adam_update", "scale", "sgd_update", "sum_squares"]

SUMS = 32
"""Number of partial sums of `sum_squares` within a tile."""


@register_jitable
def _first_segment(ends, element):
    """The index of the segment that contains an element."""
    p = 0
    while ends[p] <= element:
        p += 1
    return p


@kernel
def _sgd_tiles(value, grad, velocity, ends, settings, factor, momentum, nesterov, size, lo, hi):
    # One segment of the tile per turn: its settings are scalars in registers, and the inner loop is vectorised.
    begin, stop = lo * size, min(len(value), hi * size)
    p = _first_segment(ends, begin)
    while begin < stop:
        end = min(stop, ends[p])
        x, g, v = value[begin:end], grad[begin:end], velocity[begin:end]
        lr, decay, low, high = settings[0, p] * factor, settings[1, p], settings[2, p], settings[3, p]
        for k in range(len(x)):
            x[k], v[k] = steps.momentum_step(x[k], g[k], v[k], lr, decay, momentum, nesterov, low, high)
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
            x[k] = steps.sgd_step(x[k], g[k], lr, decay, low, high)
        begin, p = end, p + 1


def sgd_update(value, grad, velocity, segments, factor, momentum):
    """See `reference.optim.sgd_update`."""
    real, tiles = value.dtype.type, count_tiles(value.size, TILE_ELEMENTS)
    if velocity is None:
        launch(_plain_sgd_tiles, tiles, value, grad, *segments, real(factor), TILE_ELEMENTS)
    else:
        common = real(factor), real(momentum.share), momentum.nesterov
        launch(_sgd_tiles, tiles, value, grad, velocity, *segments, *common, TILE_ELEMENTS)


@kernel
def _adam_tiles(
    value,
    grad,
    first,
    second,
    ends,
    settings,
    corrections,
    factor,
    keep1,
    keep2,
    eps,
    decoupled,
    size,
    lo,
    hi,
):
    begin, stop = lo * size, min(len(value), hi * size)
    p = _first_segment(ends, begin)
    while begin < stop:
        end = min(stop, ends[p])
        x, g, m, v = value[begin:end], grad[begin:end], first[begin:end], second[begin:end]
        lr, low, high = settings[0, p] * factor, settings[2, p], settings[3, p]
        # All factors that are equal for the segment are computed before the loop.
        added, taken = steps.split_decay(lr, settings[1, p], decoupled)
        rate, correction2 = lr * corrections[0, p], corrections[1, p]
        for k in range(len(x)):
            x[k], m[k], v[k] = steps.adam_step(
                x[k], g[k], m[k], v[k], rate, added, taken, keep1, keep2, correction2, eps, low, high
            )
        begin, p = end, p + 1


def adam_update(value, grad, first, second, segments, factor, adam, corrections):
    """See `reference.optim.adam_update`."""
    real, tiles = value.dtype.type, count_tiles(value.size, TILE_ELEMENTS)
    beta1, beta2, eps, decoupled = adam
    launch(
        _adam_tiles,
        tiles,
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
        TILE_ELEMENTS,
    )


@kernel
def _square_tiles(x, parts, size, lo, hi):
    # In float64, because clipping and the detection of divergence depend on this norm. With a single sum, every
    # addition would wait for the one before it.
    sums = local(SUMS, np.float64)
    for tile in range(lo, hi):
        first, last = tile * size, min(len(x), (tile + 1) * size)
        whole = first + (last - first) // SUMS * SUMS
        sums[:] = 0.0
        for k in range(first, whole, SUMS):
            for j in range(SUMS):
                sums[j] += np.float64(x[k + j]) * np.float64(x[k + j])
        for k in range(whole, last):
            sums[0] += np.float64(x[k]) * np.float64(x[k])
        parts[tile] = sums.sum()


def sum_squares(x):
    """See `reference.optim.sum_squares`."""
    parts = np.empty(count_tiles(x.size, TILE_ELEMENTS))
    launch(_square_tiles, len(parts), x.reshape(-1), parts, TILE_ELEMENTS)
    return float(parts.sum())
