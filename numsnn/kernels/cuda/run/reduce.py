"""Sums over rows in two stages, without atomic operations, so that the order and the bits are the same in every run.

Each block of threads computes partial sums over its rows, which another launch adds in order. The cut of the rows
depends on shapes alone.
"""

from functools import cache

from .api import cuda
from .compile import kernel
from .launch import ceil_div, launch, scratch

COLUMNS, LANES = 32, 8
"""Extents of a block: COLUMNS neighbouring columns, and LANES rows that are summed side by side."""

ROWS_PER_LANE = 16
"""Least number of rows per lane, if there are enough rows."""

MOST_PARTS = 512
"""Largest number of blocks that divide the rows: a few per multiprocessor."""


@cache
def _rows_kernel(dtype, lanes_most, columns_most):
    @kernel
    def sum_rows(x, y):
        """Compute y[b, c] = sum of x[m, c] over the rows m of block b, for x ``[M, C]`` and y ``[B, C]``."""
        partial = cuda.shared.array((lanes_most, columns_most), dtype)
        rows, channels = x.shape
        column, lane = cuda.threadIdx.x, cuda.threadIdx.y
        c, lanes = cuda.blockIdx.x * cuda.blockDim.x + column, cuda.blockDim.y
        total = x.dtype.type(0)
        if c < channels:
            for m in range(cuda.blockIdx.y * lanes + lane, rows, lanes * cuda.gridDim.y):
                total += x[m, c]
        partial[lane, column] = total
        cuda.syncthreads()
        if lane == 0 and c < channels:
            for other in range(1, lanes):
                total += partial[other, column]
            y[cuda.blockIdx.y, c] = total

    return sum_rows


SUM_COLUMNS, SUM_LANES = 32, 16
"""Extents of a block that adds partial sums."""

MOST_SUMS = 6
"""Largest number of totals per launch. More of them take several launches."""


@cache
def _totals_kernel(dtype, lanes_most, columns_most):
    @kernel
    def sum_totals(partial_sums, a, b, c, d, e, f):
        """Compute each total ``[C]`` as the sum of its partial sums ``[blocks, C]``, in an order that depends on shapes
        alone."""
        partial = cuda.shared.array((lanes_most, columns_most), dtype)
        _, blocks, channels = partial_sums.shape
        column, lane, lanes = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        k, n = cuda.blockIdx.x * cuda.blockDim.x + column, cuda.blockIdx.y
        total = partial_sums.dtype.type(0)
        if k < channels:
            for block in range(lane, blocks, lanes):
                total += partial_sums[n, block, k]
        partial[lane, column] = total
        cuda.syncthreads()
        if lane == 0 and k < channels:
            for other in range(1, lanes):
                total += partial[other, column]
            if n == 0:
                a[k] = total
            elif n == 1:
                b[k] = total
            elif n == 2:
                c[k] = total
            elif n == 3:
                d[k] = total
            elif n == 4:
                e[k] = total
            else:
                f[k] = total

    return sum_totals


def add_up(partial_sums, totals) -> None:
    """Compute totals[n] ``[C]``, the sum over blocks of partial_sums[n], for partial_sums ``[N, blocks, C]``."""
    _, blocks, channels = partial_sums.shape
    block = min(SUM_COLUMNS, channels), min(SUM_LANES, blocks)
    compiled = _totals_kernel(partial_sums.dtype.type, SUM_LANES, SUM_COLUMNS)
    for first in range(0, len(totals), MOST_SUMS):
        some = totals[first : first + MOST_SUMS]
        padded = *some, *some[:1] * (MOST_SUMS - len(some))
        grid = ceil_div(channels, block[0]), len(some)
        launch(compiled, grid, block, partial_sums[first : first + len(some)], *padded)


def sum_parts(parts, total):
    """Add partial sums in order. parts is ``[P, C]``, and total, the output, is ``[C]``."""
    add_up(parts[None], (total,))


def column_sum(x, total):
    """Compute total[c] = sum of x[m, c] over m, for x ``[M, C]`` and total ``[C]``."""
    rows, channels = x.shape
    block = min(COLUMNS, channels), min(LANES, rows)
    parts = scratch.get("column sums", (min(MOST_PARTS, ceil_div(rows, LANES * ROWS_PER_LANE)), channels), x.dtype)
    launch(_rows_kernel(x.dtype.type, LANES, COLUMNS), (ceil_div(channels, block[0]), len(parts)), block, x, parts)
    sum_parts(parts, total)
