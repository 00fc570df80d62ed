"""Moments over samples, batch normalisation, and scales that differ from step to step, compiled; `reference.norm` is
the text it equals."""

import numpy as np

from .compile import kernel
from .launch import count_tiles, launch, rows_per_tile
from .reduce import sum_tiles


@kernel
def _moment_tiles(x, tile_mean, tile_square, rows, tiles, lo, hi):
    """Per tile and channel: the mean, and the sum of squared distances from it."""
    _, total, channels = x.shape
    real = type(x[0, 0, 0])
    drift = np.empty(channels, x.dtype)
    for item in range(lo, hi):
        group = item // tiles
        first = (item % tiles) * rows
        last = min(total, first + rows)
        inverse = real(1) / real(last - first)
        mean = tile_mean[item]
        mean[:] = real(0)
        for m in range(first, last):
            for c in range(channels):
                mean[c] += x[group, m, c]
        for c in range(channels):
            mean[c] *= inverse
        square = tile_square[item]
        square[:] = drift[:] = real(0)
        for m in range(first, last):
            for c in range(channels):
                distance = x[group, m, c] - mean[c]
                drift[c] += distance
                square[c] += distance * distance
        for c in range(channels):  # what rounding left in the mean is the mean distance from it
            square[c] = max(square[c] - drift[c] * drift[c] * inverse, real(0))
            mean[c] += drift[c] * inverse


def moments(x, mean, var):
    """See `reference.norm.moments`."""
    groups, total, channels = x.shape
    rows = rows_per_tile(channels)
    tiles = count_tiles(total, rows)
    tile_mean = np.empty((groups * tiles, channels), x.dtype)
    tile_square = np.empty_like(tile_mean)
    launch(_moment_tiles, groups * tiles, x, tile_mean, tile_square, rows, tiles)
    counts = np.full(tiles, rows, np.float64)
    counts[-1] = total - (tiles - 1) * rows
    shape = groups, tiles, channels
    merge_moments(tile_mean.reshape(shape), tile_square.reshape(shape), counts, mean, var)


@kernel
def _merge_groups(tile_mean, tile_square, counts, mean, var, lo, hi):
    tiles, channels = tile_mean.shape[1:]
    merged, spread = np.empty((2, channels))
    for group in range(lo, hi):
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
                distance = tile_mean[group, tile, c] - merged[c]
                spread[c] += tile_square[group, tile, c] + counts[tile] * distance * distance
        for c in range(channels):
            mean[group, c] = merged[c]
            var[group, c] = spread[c] / total


def merge_moments(tile_mean, tile_square, counts, mean, var):
    """Tiles of so many rows (counts ``[tiles]``), their means and sums of squared distances from them ``[G, tiles,
    C]``, merged: mean, var ``[G, C]``. In float64 by the pairwise formula of Chan, Golub and LeVeque (1979), so that a
    large mean does not swallow a small variance."""
    launch(_merge_groups, len(mean), tile_mean, tile_square, counts, mean, var)


def running_update(running, value, momentum):
    """See `reference.norm.running_update`."""
    running += running.dtype.type(momentum) * (value - running)


@kernel
def _affine_tiles(x, centre, factor, offset, y, rows, lo, hi):
    """y = (x - centre) factor + offset, per channel."""
    total, channels = x.shape
    for m in range(lo * rows, min(total, hi * rows)):
        for c in range(channels):
            y[m, c] = (x[m, c] - centre[c]) * factor[c] + offset[c]


def batchnorm_forward(x, gamma, beta, mean, var, eps, scale, y):
    """See `reference.norm.batchnorm_forward`."""
    real = x.dtype.type
    factor = real(scale) * gamma / np.sqrt(var + real(eps))
    rows = rows_per_tile(x.shape[1])
    launch(_affine_tiles, count_tiles(len(x), rows), x, mean, factor, beta, y, rows)


@kernel
def _projection_tiles(dy, x, mean, inverse, sums, projections, rows, lo, hi):
    """Per tile and channel: the sum of dy, and of dy times the normalised x."""
    total, channels = x.shape
    real = type(x[0, 0])
    for tile in range(lo, hi):
        sums[tile] = real(0)
        projections[tile] = real(0)
        for m in range(tile * rows, min(total, (tile + 1) * rows)):
            for c in range(channels):
                sums[tile, c] += dy[m, c]
                projections[tile, c] += dy[m, c] * ((x[m, c] - mean[c]) * inverse[c])


@kernel
def _input_gradient_tiles(dy, x, mean, inverse, mean_dy, mean_projection, factor, dx, rows, lo, hi):
    total, channels = x.shape
    for m in range(lo * rows, min(total, hi * rows)):
        for c in range(channels):
            normalised = (x[m, c] - mean[c]) * inverse[c]
            dx[m, c] = factor[c] * (dy[m, c] - mean_dy[c] - normalised * mean_projection[c])


def batchnorm_backward(dy, x, gamma, mean, var, eps, scale, frozen, dx, dgamma, dbeta):
    """See `reference.norm.batchnorm_backward`."""
    real = x.dtype.type
    inverse = real(1) / np.sqrt(var + real(eps))
    rows = rows_per_tile(x.shape[1])
    tiles = count_tiles(len(x), rows)
    sums, projections = np.empty((2, tiles, x.shape[1]), x.dtype)
    launch(_projection_tiles, tiles, dy, x, mean, inverse, sums, projections, rows)
    sum_tiles(sums, dbeta)
    sum_tiles(projections, dgamma)
    mean_dy, mean_projection = dbeta / real(len(x)), dgamma / real(len(x))
    dgamma *= real(scale)
    if dx is None:
        return
    if frozen:
        mean_dy, mean_projection = np.zeros_like(mean), np.zeros_like(mean)
    factor = real(scale) * gamma * inverse
    launch(_input_gradient_tiles, tiles, dy, x, mean, inverse, mean_dy, mean_projection, factor, dx, rows)


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
    """Per tile and step also the sum of dy x, added up channel by channel first, which vectorises."""
    steps, total, channels = x.shape
    products = np.empty(channels, x.dtype)
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
