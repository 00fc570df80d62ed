"""Sums over rows whose result does not depend on the number of threads."""

import numpy as np

from ...compile import kernel
from ..inline.local import local
from .launch import count_tiles, launch, rows_per_tile, scratch

SUM_NUMBERS = 2048
"""Numbers per tile of `sum_parts`: 16 KiB of float64, which stay in the first-level cache."""


def sum_tiles(parts, total):
    """Add the tiles' partial sums in order, in float64. parts is ``[tiles, ...]``, and total, the output, has the shape
    of one of them."""
    size = total.size
    whole = scratch.get("sums of tiles", (1, size), total.dtype)
    sum_joined(parts.reshape(1, -1, size), whole)
    total[...] = whole.reshape(total.shape)


@kernel
def _sum_parts(parts, total, numbers, lo, hi):
    """Compute tiles of `numbers` numbers of `sum_parts`."""
    sums = local(numbers, np.float64)
    for tile in range(lo, hi):
        first = tile * numbers
        last = min(len(total), first + numbers)
        sums[:] = 0.0
        for part in range(len(parts)):
            mine = parts[part, first:last]
            for c in range(len(mine)):
                sums[c] += mine[c]
        target = total[first:last]
        for c in range(len(target)):
            target[c] = sums[c]


def sum_parts(parts, total):
    """Add partial sums ``[parts, K]`` in order, in float64, on all threads. total, the output, is ``[K]``."""
    launch(_sum_parts, count_tiles(len(total), SUM_NUMBERS), parts, total, SUM_NUMBERS)


@kernel
def sum_joined(parts, whole):
    """Add partial sums ``[K, tiles, joined C]`` in order, in float64: those of the tiles, and then those of the joined
    rows. whole, the output, is ``[K, C]``."""
    count, tiles, width = parts.shape
    channels = whole.shape[1]
    sums = local(width, np.float64)
    for k in range(count):
        sums[:] = 0.0
        for tile in range(tiles):
            for c in range(width):
                sums[c] += parts[k, tile, c]
        for first in range(channels, width, channels):
            for c in range(channels):
                sums[c] += sums[first + c]
        for c in range(channels):
            whole[k, c] = sums[c]


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
