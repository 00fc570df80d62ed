"""Penalties on the activity of a layer, compiled. `reference.activity` documents them."""

import numpy as np

from .. import equations as eq
from .. import steps
from ..compile import kernel
from .run.launch import count_tiles, launch, rows_per_tile, scratch
from .run.reduce import sum_tiles

ROW_BLOCKS = 16
"""Number of slices of rows that are summed separately, so that threads have work even if there are few units."""

UNIT_BLOCK = 2048
"""Number of units per tile. Many units are divided among tiles too, so that a tile's sums stay small."""


@kernel
def _count_tiles(s, parts, rows, units, lo, hi):
    # A tile is one slice of rows and one block of units, whose counts stay in the cache.
    total, width = s.shape
    across = -(-width // units)
    for tile in range(lo, hi):
        block, first = tile // across, tile % across * units
        last = min(width, first + units)
        parts[block, first:last] = 0
        for m in range(block * rows, min(total, (block + 1) * rows)):
            for f in range(first, last):
                parts[block, f] += s[m, f]


def _rates(s):
    """The mean of every column of s ``[M, F]``, in float64: ``[F]``."""
    rows = count_tiles(len(s), ROW_BLOCKS)
    parts = scratch.get("counts", (count_tiles(len(s), rows), s.shape[1]), np.float64)
    total = np.empty(s.shape[1])
    launch(_count_tiles, len(parts) * count_tiles(s.shape[1], UNIT_BLOCK), s, parts, rows, UNIT_BLOCK)
    sum_tiles(parts, total)
    return total / len(s)


@kernel
def _band_units(rate, low, high, weight, rows, value, pull):
    units = len(rate)
    for f in range(units):
        penalty, slope = steps.band_penalty(rate[f], low, high)
        value[f] = weight / units * penalty
        pull[f] = weight / (units * rows) * slope


def rate_band(s, band, weight, value, pull):
    """See `reference.activity.rate_band`."""
    _band_units(_rates(s), float(band.low), float(band.high), float(weight), len(s), value, pull)


@kernel
def _power_units(rate, square, weight, rows, value, pull):
    units = len(rate)
    for f in range(units):
        penalty, slope = steps.power_penalty(rate[f], square)
        value[f] = weight / units * penalty
        pull[f] = weight / (units * rows) * slope


def rate_power(s, power, weight, value, pull):
    """See `reference.activity.rate_power`."""
    _power_units(_rates(s), power == 2, float(weight), len(s), value, pull)


@kernel
def _row_tiles(x, row, y, rows, lo, hi):
    total, width = x.shape
    for m in range(lo * rows, min(total, hi * rows)):
        for f in range(width):
            y[m, f] = x[m, f] + row[f]


def add_row(x, row, y):
    """See `reference.activity.add_row`."""
    rows = rows_per_tile(x.shape[1])
    launch(_row_tiles, count_tiles(len(x), rows), x, row, y, rows)


@kernel
def _affine_tiles(x, u, centre, offset, slope, y, rows, lo, hi):
    total, width = x.shape
    for m in range(lo * rows, min(total, hi * rows)):
        for c in range(width):
            y[m, c] = eq.with_direct_gradient(x[m, c], u[m, c], centre[c], offset[c], slope[c])


def add_affine(x, u, direct, y):
    """See `reference.activity.add_affine`."""
    rows = rows_per_tile(x.shape[1])
    launch(_affine_tiles, count_tiles(len(x), rows), x, u, *direct[:3], y, rows)
