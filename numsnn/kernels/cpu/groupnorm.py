"""Group normalisation, compiled. `reference.groupnorm` documents it.

A tile is several whole samples, or some of the positions of a sample that is larger than a tile. Sums run over
positions first, with one sum per channel, which is vectorised, and then over the channels of a group.
"""

import numpy as np

from .. import equations as eq
from .. import steps
from ..compile import kernel
from .inline.local import local
from .run.launch import count_tiles, launch, rows_per_tile
from .run.reduce import sum_tiles


def _tiling(shape):
    """The tiles of x ``[B, M, C]``: (samples per tile, positions per tile, tiles per sample, number of tiles).

    A tile has either several samples or some positions of one sample.
    """
    samples, positions, channels = shape
    rows = min(positions, rows_per_tile(channels))
    together = max(1, rows_per_tile(channels) // positions)
    blocks = count_tiles(positions, rows)
    return together, rows, blocks, blocks * count_tiles(samples, together)


@kernel
def _moment_tiles(x, tile_mean, tile_square, together, rows, lo, hi):
    """Compute the mean and the sum of squared distances from it, per block of positions, sample and group."""
    samples, positions, channels = x.shape
    blocks, _, groups = tile_mean.shape
    size = channels // groups
    real = type(tile_mean[0, 0, 0])
    # One number per channel: the group's mean, a sum over positions, and the sum of distances from the mean.
    centre = local(channels, tile_mean.dtype)
    total, drift = local(channels, centre.dtype), local(channels, centre.dtype)
    for tile in range(lo, hi):
        block = tile % blocks
        first, last = block * rows, min(positions, (block + 1) * rows)
        inverse = real(1) / real((last - first) * size)
        for b in range(tile // blocks * together, min(samples, (tile // blocks + 1) * together)):
            total[:] = real(0)
            for m in range(first, last):
                for c in range(channels):
                    total[c] += x[b, m, c]
            for g in range(groups):
                tile_mean[block, b, g] = total[g * size : (g + 1) * size].sum() * inverse
                centre[g * size : (g + 1) * size] = tile_mean[block, b, g]
            total[:] = drift[:] = real(0)
            for m in range(first, last):
                for c in range(channels):
                    distance = x[b, m, c] - centre[c]
                    drift[c] += distance
                    total[c] += distance * distance
            for g in range(groups):  # left is the rounding error that is left in the mean, times the count
                left, square = drift[g * size : (g + 1) * size].sum(), total[g * size : (g + 1) * size].sum()
                settled = steps.settle_moments(tile_mean[block, b, g], left, square, inverse)
                tile_mean[block, b, g], tile_square[block, b, g] = settled


@kernel
def _affine_tiles(x, mean, inverse, gamma, beta, y, together, rows, blocks, lo, hi):
    samples, positions, channels = x.shape
    size = channels // mean.shape[1]
    # The numbers of each group, repeated for its channels, so that the loop over channels is vectorised.
    centre, factor = local(gamma.shape, gamma.dtype), local(gamma.shape, gamma.dtype)
    for tile in range(lo, hi):
        block = tile % blocks
        for b in range(tile // blocks * together, min(samples, (tile // blocks + 1) * together)):
            for c in range(channels):
                centre[c] = mean[b, c // size]
                factor[c] = inverse[b, c // size] * gamma[c]
            for m in range(block * rows, min(positions, (block + 1) * rows)):
                for c in range(channels):
                    y[b, m, c] = eq.normalise(x[b, m, c], centre[c], factor[c], beta[c])


def groupnorm_forward(x, affine, moments, y):
    """See `reference.groupnorm.groupnorm_forward`. The moments of a sample's tiles are merged as in `norm.moments`."""
    (gamma, beta, eps), (mean, var) = affine.unscaled(), moments
    _, positions, channels = x.shape
    together, rows, blocks, tiles = _tiling(x.shape)
    tile_mean, tile_square = np.empty((2, blocks, *mean.shape), mean.dtype)
    launch(_moment_tiles, tiles, x, tile_mean, tile_square, together, rows)
    counts = np.full((blocks, 1, 1), rows, np.float64)
    counts[-1] = positions - (blocks - 1) * rows
    merged = (counts * tile_mean).sum(0) / positions
    between = (counts * (tile_mean - merged) ** 2).sum(0) / positions
    mean[...] = merged
    var[...] = tile_square.sum(0, dtype=np.float64) / (positions * channels // mean.shape[1]) + between
    real = gamma.dtype.type
    inverse = real(1) / np.sqrt(var + real(eps))
    launch(_affine_tiles, tiles, x, mean, inverse, gamma, beta, y, together, rows, blocks)


@kernel
def _projection_tiles(dy, x, gamma, mean, inverse, slopes, projections, dgamma, dbeta, together, rows, lo, hi):
    """Compute two sets of sums.

    slopes and projections are the sums of gamma dy and of gamma dy times the normalised x, per block of positions,
    sample and group. dgamma and dbeta are the partial sums of these gradients, per tile and channel.
    """
    samples, positions, channels = x.shape
    blocks, _, groups = slopes.shape
    size = channels // groups
    real = type(gamma[0])
    centre, factor = local(gamma.shape, gamma.dtype), local(gamma.shape, gamma.dtype)
    # One sum over positions per channel, from which the sums of groups and of parameters are made.
    total, projection = local(gamma.shape, gamma.dtype), local(gamma.shape, gamma.dtype)
    for tile in range(lo, hi):
        block = tile % blocks
        dgamma[tile] = real(0)
        dbeta[tile] = real(0)
        for b in range(tile // blocks * together, min(samples, (tile // blocks + 1) * together)):
            for c in range(channels):
                centre[c] = mean[b, c // size]
                factor[c] = inverse[b, c // size]
            total[:] = real(0)
            projection[:] = real(0)
            for m in range(block * rows, min(positions, (block + 1) * rows)):
                for c in range(channels):
                    total[c] += dy[b, m, c]
                    projection[c] += dy[b, m, c] * ((x[b, m, c] - centre[c]) * factor[c])
            for g in range(groups):
                slopes[block, b, g] = real(0)
                projections[block, b, g] = real(0)
                for c in range(g * size, (g + 1) * size):
                    slopes[block, b, g] += gamma[c] * total[c]
                    projections[block, b, g] += gamma[c] * projection[c]
            for c in range(channels):
                dbeta[tile, c] += total[c]
                dgamma[tile, c] += projection[c]


@kernel
def _input_gradient_tiles(dy, x, gamma, mean, inverse, slope, projection, dx, together, rows, blocks, lo, hi):
    samples, positions, channels = x.shape
    size = channels // mean.shape[1]
    centre, factor = local(gamma.shape, gamma.dtype), local(gamma.shape, gamma.dtype)
    # The numbers of each group are repeated for its channels, as in `_affine_tiles`.
    mean_slope, mean_projection = local(gamma.shape, gamma.dtype), local(gamma.shape, gamma.dtype)
    for tile in range(lo, hi):
        block = tile % blocks
        for b in range(tile // blocks * together, min(samples, (tile // blocks + 1) * together)):
            for c in range(channels):
                centre[c] = mean[b, c // size]
                factor[c] = inverse[b, c // size]
                mean_slope[c] = slope[b, c // size]
                mean_projection[c] = projection[b, c // size]
            for m in range(block * rows, min(positions, (block + 1) * rows)):
                for c in range(channels):
                    dx[b, m, c] = eq.group_pull(
                        dy[b, m, c], x[b, m, c], centre[c], factor[c], gamma[c], mean_slope[c], mean_projection[c]
                    )


def groupnorm_backward(dy, x, affine, moments, dx, dgamma, dbeta):
    """See `reference.groupnorm.groupnorm_backward`."""
    (gamma, _, eps), (mean, var) = affine.unscaled(), moments
    _, positions, channels = x.shape
    together, rows, blocks, tiles = _tiling(x.shape)
    real = gamma.dtype.type
    inverse = real(1) / np.sqrt(var + real(eps))
    slopes, projections = np.empty((2, blocks, *mean.shape), gamma.dtype)
    parts = np.empty((2, tiles, channels), gamma.dtype)
    launch(_projection_tiles, tiles, dy, x, gamma, mean, inverse, slopes, projections, *parts, together, rows)
    sum_tiles(parts[0], dgamma)
    sum_tiles(parts[1], dbeta)
    if dx is None:
        return
    members = real(positions * channels // mean.shape[1])
    slope = slopes.sum(0, dtype=np.float64).astype(gamma.dtype) / members
    projection = projections.sum(0, dtype=np.float64).astype(gamma.dtype) / members
    launch(_input_gradient_tiles, tiles, dy, x, gamma, mean, inverse, slope, projection, dx, together, rows, blocks)
