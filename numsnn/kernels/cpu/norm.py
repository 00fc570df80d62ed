"""Moments over samples, batch normalisation, and scales that differ from step to step, compiled.

`reference.norm` documents the functions.
"""

from functools import cache, lru_cache

import numpy as np

from .. import equations as eq
from .. import steps
from ..compile import kernel
from ..reference.norm import batchnorm_fold, running_update
from .inline.access import read, write
from .inline.local import local
from .run.launch import count_tiles, launch, rows_per_tile, scratch
from .run.reduce import sum_tiles
from .run.tiles import rows_to_join, same_memory

__all__ = [
    "batchnorm_backward",
    "batchnorm_factor",
    "batchnorm_fold",
    "batchnorm_forward",
    "merge_moments",
    "moments",
    "running_update",
    "scale_steps_backward",
    "scale_steps_forward",
]


@kernel
def _moment_tiles(x, tile_mean, tile_square, rows, tiles, lo, hi):
    """Compute the mean and the sum of squared distances from it, per tile and channel."""
    _, total, channels = x.shape
    real = type(x[0, 0, 0])
    drift = local(channels, x.dtype)
    for item in range(lo, hi):
        group = item // tiles
        first = (item % tiles) * rows
        last = min(total, first + rows)
        inverse = real(1) / real(last - first)
        # Two passes over the tile, which is in the cache for the second one: the mean, then distances from it.
        mean = tile_mean[item]
        mean[:] = real(0)
        for m in range(first, last):
            for c in range(channels):
                total_c = read(tile_mean, "mean", (item, c)) + read(x, "value", (group, m, c))
                write(tile_mean, "mean", (item, c), total_c)
        for c in range(channels):
            mean[c] *= inverse
        square = tile_square[item]
        square[:] = drift[:] = real(0)
        for m in range(first, last):
            for c in range(channels):
                distance = read(x, "value", (group, m, c)) - read(tile_mean, "mean", (item, c))
                write(drift, "drift", c, read(drift, "drift", c) + distance)
                spread = read(tile_square, "square", (item, c)) + distance * distance
                write(tile_square, "square", (item, c), spread)
        for c in range(channels):  # drift is the rounding error that is left in the mean, times the count
            mean[c], square[c] = steps.settle_moments(mean[c], drift[c], square[c], inverse)


@lru_cache(1024)
def _moment_cut(total, channels):
    """How rows are cut for `moments`: number of rows that are joined, joined rows per tile, tiles, and the number of
    rows of each part of a tile, which are as many as the joined rows. The array is shared and must not be changed."""
    joined = rows_to_join(total, channels)
    total //= joined
    rows = rows_per_tile(channels * joined)
    tiles = count_tiles(total, rows)
    counts = np.full(tiles * joined, rows, np.float64)
    counts[-joined:] = total - (tiles - 1) * rows
    return joined, rows, tiles, counts


def moments(x, mean, var, running=None, momentum=1.0):
    """See `reference.norm.moments`."""
    groups, total, channels = x.shape
    joined, rows, tiles, counts = _moment_cut(total, channels)
    tile_mean, tile_square = scratch.get("moments", (2, groups * tiles, channels * joined), x.dtype)
    wide = x.reshape(groups, total // joined, channels * joined)
    launch(_moment_tiles, groups * tiles, wide, tile_mean, tile_square, rows, tiles)
    shape = groups, tiles * joined, channels
    merge_moments(tile_mean.reshape(shape), tile_square.reshape(shape), counts, mean, var, running, momentum)


@kernel
def _merge_groups(tile_mean, tile_square, counts, mean, var, running_mean, running_var, momentum, tracked, lo, hi):
    real = type(momentum)
    tiles, channels = tile_mean.shape[1:]
    merged, spread = local(channels, np.float64), local(channels, np.float64)
    for group in range(lo, hi):
        # The mean of the group first, then the tiles' squared distances moved to it, both in float64.
        merged[:] = spread[:] = 0.0
        total = 0.0
        for tile in range(tiles):
            total += counts[tile]
            for c in range(channels):
                merged[c] += counts[tile] * tile_mean[group, tile, c]
        for c in range(channels):
            merged[c] /= total
        for tile in range(tiles):
            for c in range(channels):
                spread[c] += steps.spread_about(
                    merged[c], counts[tile], tile_mean[group, tile, c], tile_square[group, tile, c]
                )
        for c in range(channels):
            mean[group, c] = merged[c]
            var[group, c] = spread[c] / total
        if tracked:
            # Products and sums in loops of their own are not fused, so that running statistics have NumPy's bits.
            for c in range(channels):
                merged[c] = momentum * (mean[group, c] - running_mean[group, c])
                spread[c] = momentum * (var[group, c] - running_var[group, c])
            for c in range(channels):
                running_mean[group, c] += real(merged[c])
                running_var[group, c] += real(spread[c])


def merge_moments(tile_mean, tile_square, counts, mean, var, running=None, momentum=1.0):
    """Merge the moments of tiles into the moments of groups.

    The sums are made in float64 by the pairwise formula of Chan, Golub and LeVeque (1979; docs/method.md, M2), so that
    a large mean does not swallow a small variance.

    Args:
        tile_mean, tile_square: ``[G, tiles, C]``, means and sums of squared distances from them.
        counts: ``[tiles]``, number of rows of each tile.
        mean, var: ``[G, C]``, output.
        running, momentum: as for `moments`.
    """
    tracked, share = running is not None, mean.dtype.type(momentum)
    means, variances = running if tracked else (mean, var)
    launch(_merge_groups, len(mean), tile_mean, tile_square, counts, mean, var, means, variances, share, tracked)


@kernel
def _affine_tiles(x, centre, factor, offset, y, rows, lo, hi):
    """Compute y = (x - centre) factor + offset, with one centre, factor and offset per channel."""
    total, channels = x.shape
    for m in range(lo * rows, min(total, hi * rows)):
        for c in range(channels):
            ce, fa, off = read(centre, "value", c), read(factor, "value", c), read(offset, "value", c)
            write(y, "output", (m, c), eq.normalise(read(x, "value", (m, c)), ce, fa, off))


@kernel
def _factor(gamma, var, eps, scale, factor):
    for c in range(len(gamma)):
        factor[c] = scale * gamma[c] / np.sqrt(var[c] + eps)


def batchnorm_factor(affine, var, factor):
    """See `reference.norm.batchnorm_factor`."""
    gamma, _, eps, scale = affine
    real = factor.dtype.type
    _factor(gamma, var, real(eps), real(scale), factor)


def batchnorm_forward(x, affine, moments, y):
    """See `reference.norm.batchnorm_forward`."""
    factor = np.empty_like(affine.gamma)
    batchnorm_factor(affine, moments.var, factor)
    rows = rows_per_tile(x.shape[1])
    launch(_affine_tiles, count_tiles(len(x), rows), x, moments.mean, factor, affine.beta, y, rows)


@kernel
def _projection_tiles(dy, x, mean, sums, projections, rows, lo, hi):
    """Compute the sum of dy and the sum of dy times (x - mean), per tile and channel."""
    total, channels = x.shape
    real = type(x[0, 0])
    for tile in range(lo, hi):
        sums[tile] = real(0)
        projections[tile] = real(0)
        for m in range(tile * rows, min(total, (tile + 1) * rows)):
            for c in range(channels):
                dy_m = read(dy, "value", (m, c))
                write(sums, "sum", (tile, c), read(sums, "sum", (tile, c)) + dy_m)
                term = dy_m * (read(x, "value", (m, c)) - read(mean, "value", c))
                write(projections, "projection", (tile, c), read(projections, "projection", (tile, c)) + term)


@cache
def _input_gradient_kernel(in_place):
    """The range kernel of dx = factor dy + slope (x - mean) + offset, with one number of each per channel.

    If dx overwrites dy, the kernel must read and write one and the same array. With two arrays, the compiled code finds
    that they overlap, and computes one element at a time.
    """
    dy_role = "input gradient" if in_place else "gradient"

    @kernel
    def input_gradient_tiles(dy, x, mean, factor, slope, offset, dx, rows, lo, hi):
        total, channels = x.shape
        y = dy if in_place else dx
        for m in range(lo * rows, min(total, hi * rows)):
            for c in range(channels):
                ce, fa, sl, off = (
                    read(mean, "value", c),
                    read(factor, "value", c),
                    read(slope, "value", c),
                    read(offset, "value", c),
                )
                pull = eq.norm_pull(read(dy, dy_role, (m, c)), read(x, "value", (m, c)), ce, fa, sl, off)
                write(y, "input gradient", (m, c), pull)

    return input_gradient_tiles


@kernel
def _coefficients(sums, gamma, var, eps, scale, share, dgamma, dbeta, coefficient):
    """Compute dgamma and dbeta, and the coefficients factor, slope and offset ``[3, C]`` of `_input_gradient_kernel`.

    share is 1 / M, or 0 if the moments are constants.
    """
    for c in range(len(gamma)):
        inverse = type(eps)(1) / np.sqrt(var[c] + eps)
        dbeta[c] = sums[0, c]
        dgamma[c] = scale * (sums[1, c] * inverse)
        factor = scale * gamma[c] * inverse
        coefficient[0, c] = factor
        coefficient[1, c] = -share * factor * inverse * inverse * sums[1, c]
        coefficient[2, c] = -share * factor * sums[0, c]


def batchnorm_backward(dy, x, affine, moments, frozen, dx, dgamma, dbeta, sums=None):
    """See `reference.norm.batchnorm_backward`."""
    (gamma, _, eps, scale), (mean, var) = affine, moments
    real, (total, channels) = x.dtype.type, x.shape
    rows = rows_per_tile(channels)
    tiles = count_tiles(total, rows)
    if sums is None:
        parts, sums = np.empty((2, tiles, channels), x.dtype), np.empty((2, channels), x.dtype)
        launch(_projection_tiles, tiles, dy, x, mean, *parts, rows)
        for whole, part in zip(sums, parts, strict=True):
            sum_tiles(part, whole)
    coefficient = scratch.get("coefficients", (3, channels), x.dtype)
    share = real(0 if frozen else 1 / total)
    _coefficients(sums, gamma, var, real(eps), real(scale), share, dgamma, dbeta, coefficient)
    if dx is None:
        return
    factor, slope, offset = coefficient
    in_place = same_memory(dx, dy)
    launch(_input_gradient_kernel(in_place), tiles, dy, x, mean, factor, slope, offset, dx, rows)


@kernel
def _scale_steps_tiles(x, p, y, rows, lo, hi):
    steps, total, channels = x.shape
    for t in range(steps):
        for m in range(lo * rows, min(total, hi * rows)):
            for c in range(channels):
                y[t, m, c] = p[t] * x[t, m, c]


def scale_steps_forward(x, p, y):
    """See `reference.norm.scale_steps_forward`."""
    rows = rows_per_tile(x.shape[2])
    launch(_scale_steps_tiles, count_tiles(x.shape[1], rows), x, p, y, rows)


@kernel
def _scale_steps_backward_tiles(dy, x, p, dx, parts, rows, lo, hi):
    """Compute dx = p dy, and the sum of dy x per tile and step.

    products holds one partial sum per channel, so that the sum over rows is vectorised.
    """
    steps, total, channels = x.shape
    products = local(channels, x.dtype)
    for tile in range(lo, hi):
        for t in range(steps):
            products[:] = type(p[0])(0)
            for m in range(tile * rows, min(total, (tile + 1) * rows)):
                for c in range(channels):
                    products[c] += dy[t, m, c] * x[t, m, c]
                    dx[t, m, c] = p[t] * dy[t, m, c]
            parts[tile, t] = products.sum()


def scale_steps_backward(dy, x, p, dx, dp):
    """See `reference.norm.scale_steps_backward`."""
    rows = rows_per_tile(x.shape[2])
    parts = np.empty((count_tiles(x.shape[1], rows), len(p)), p.dtype)
    launch(_scale_steps_backward_tiles, len(parts), dy, x, p, dx, parts, rows)
    sum_tiles(parts, dp)
