"""Sums over rows whose result does not depend on the number of threads."""

import numpy as np

from ...compile import kernel
from .launch import count_tiles, launch, rows_per_tile

SUM_NUMBERS = 1024
"""Numbers of the result that a tile of `sum_tiles` adds up; their sums in float64 stay in the first-level cache."""


@kernel
def _add_parts(parts, total, numbers, lo, hi):
    """Add the partial sums ``[P, K]`` in order, for tiles of `numbers` numbers of the total ``[K]``."""
    sums = np.empty(numbers)
    for tile in range(lo, hi):
        first = tile * numbers
        count = min(numbers, len(total) - first)
        sums[:] = 0.0
        for part in range(len(parts)):
            for k in range(count):
                sums[k] += parts[part, first + k]
        for k in range(count):
            total[first + k] = sums[k]


def sum_tiles(parts, total):
    """Add the tiles' partial sums in order, in float64. parts is ``[tiles, ...]``, and total, the output, has the shape
    of one of them."""
    if not total.flags.c_contiguous:
        total[...] = np.add.reduce(parts, axis=0, dtype=np.float64)
        return
    size = total.size
    tiles = count_tiles(size, SUM_NUMBERS)
    launch(_add_parts, tiles, parts.reshape(-1, size), total.reshape(-1), SUM_NUMBERS)


@kernel
def sum_joined(parts, whole):
    """Add partial sums ``[K, tiles, joined C]`` in order, in float64: those of the tiles, and then those of the joined
    rows. whole, the output, is float64 ``[K, C]``."""
    count, tiles, width = parts.shape
    channels = whole.shape[1]
    sums = np.empty(width)
    for k in range(count):
        sums[:] = 0.0
        for tile in range(tiles):
            for c in range(width):
                sums[c] += parts[k, tile, c]
        whole[k] = 0.0
        for first in range(0, width, channels):
            for c in range(channels):
                whole[k, c] += sums[first + c]


@kernel
def _column_sum_tiles(x, parts, rows, lo, hi):
    total, channels = x.shape
    for tile in range(lo, hi):
        parts[tile] = type(x[0, 0])(0)
        for m in range(tile * rows, min(total, (tile + 1) * rows)):
            for c in range(channels):
                parts[tile, c] += x[m, c]


def column_sum(x, total):
    """Compute total[c] = sum of x[m, c] over m, for x ``[M, C]`` and total ``[C]``."""
    rows = rows_per_tile(x.shape[1])
    parts = np.empty((count_tiles(len(x), rows), x.shape[1]), x.dtype)
    launch(_column_sum_tiles, len(parts), x, parts, rows)
    sum_tiles(parts, total)
