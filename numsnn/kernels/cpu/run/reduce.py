"""Sums over rows whose result does not depend on the number of threads."""

import numpy as np

from ...compile import kernel
from ..inline.local import local
from .launch import count_tiles, launch, rows_per_tile, scratch


def sum_tiles(parts, total):
    """Add the tiles' partial sums in order, in float64. parts is ``[tiles, ...]``, and total, the output, has the shape
    of one of them."""
    size = total.size
    whole = scratch.get("sums of tiles", (1, size), np.float64)
    sum_joined(parts.reshape(1, -1, size), whole)
    total[...] = whole.reshape(total.shape)


@kernel
def sum_joined(parts, whole):
    """Add partial sums ``[K, tiles, joined C]`` in order, in float64: those of the tiles, and then those of the joined
    rows. whole, the output, is float64 ``[K, C]``."""
    count, tiles, width = parts.shape
    channels = whole.shape[1]
    sums = local(width, np.float64)
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
