"""Rows of batches in which sequences have different lengths, compiled. `reference.padding` documents them.

Rows are copied as bytes, so that one kernel serves all dtypes.
"""

import numpy as np

from ..compile import kernel
from .inline.runs import clear_run, copy_run
from .run.launch import count_tiles, launch, rows_per_tile


def _launch_rows(range_kernel, x, places, y=None):
    """Launch a kernel over the rows that places counts. Arrays are handed over as bytes."""
    arrays = [array.view(np.uint8) for array in (x, y) if array is not None]
    rows = rows_per_tile(x.shape[1])
    launch(range_kernel, count_tiles(len(places), rows), *arrays, places, rows)


@kernel
def _gather_tiles(x, y, index, rows, lo, hi):
    size = x.shape[1]
    for k in range(lo * rows, min(len(index), hi * rows)):
        copy_run(y, (k, 0), x, (index[k], 0), size)


def gather_rows(x, index, y):
    """See `reference.padding.gather_rows`."""
    _launch_rows(_gather_tiles, x, index, y)


@kernel
def _scatter_tiles(x, y, place, rows, lo, hi):
    size = x.shape[1]
    for m in range(lo * rows, min(len(place), hi * rows)):
        if place[m] < 0:
            clear_run(y, (m, 0), size)
        else:
            copy_run(y, (m, 0), x, (place[m], 0), size)


def scatter_rows(x, place, y):
    """See `reference.padding.scatter_rows`."""
    _launch_rows(_scatter_tiles, x, place, y)


@kernel
def _clear_tiles(x, place, rows, lo, hi):
    size = x.shape[1]
    for m in range(lo * rows, min(len(place), hi * rows)):
        if place[m] < 0:
            clear_run(x, (m, 0), size)


def clear_rows(x, place):
    """See `reference.padding.clear_rows`."""
    _launch_rows(_clear_tiles, x, place)
