"""Sums over rows in two stages, without atomics: the same order, and with it the same bits, at every run.

Blocks of rows leave partial sums, which one block adds up. How rows are cut depends on shapes alone.
"""

from functools import cache

from .api import cuda
from .compile import kernel
from .launch import ceil_div, launch, scratch

COLUMNS, LANES = 32, 8
"""Threads of a block: neighbouring columns, and rows that are summed side by side."""

ROWS_PER_LANE = 16
"""A lane has at least so many rows to sum, if there are as many."""

MOST_PARTS = 512
"""Blocks of rows at most; a few for every multiprocessor."""


@cache
def _rows_kernel(dtype, lanes_most, columns_most):
    @kernel
    def sum_rows(x, y):
        """y[b, c] = sum of x[m, c] over the rows m of block b: x ``[M, C]``, y ``[B, C]``."""
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
"""Threads of a block that adds up shares."""

MOST_SUMS = 6
"""Sums of one launch."""


@cache
def _shares_kernel(dtype, lanes_most, columns_most):
    @kernel
    def sum_shares(shares, a, b, c, d, e, f):
        """Every total ``[C]`` is the sum of its shares ``[blocks, C]``, in an order that depends on shapes alone."""
        partial = cuda.shared.array((lanes_most, columns_most), dtype)
        _, blocks, channels = shares.shape
        column, lane, lanes = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        k, n = cuda.blockIdx.x * cuda.blockDim.x + column, cuda.blockIdx.y
        total = shares.dtype.type(0)
        if k < channels:
            for block in range(lane, blocks, lanes):
                total += shares[n, block, k]
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

    return sum_shares


def add_up(shares, totals) -> None:
    """totals[n] ``[C]`` = the sum of shares[n] over blocks: shares ``[N, blocks, C]``, as many totals."""
    if totals:
        count, blocks, channels = shares.shape
        block = min(SUM_COLUMNS, channels), min(SUM_LANES, blocks)
        padded = *totals, *totals[:1] * (MOST_SUMS - count)
        compiled = _shares_kernel(shares.dtype.type, SUM_LANES, SUM_COLUMNS)
        launch(compiled, (ceil_div(channels, block[0]), count), block, shares, *padded)


def sum_parts(parts, total):
    """total = the parts added in order: parts ``[P, C]``, total ``[C]``."""
    add_up(parts[None], (total,))


def column_sum(x, total):
    """total[c] = sum of x[m, c] over m: x ``[M, C]``."""
    rows, channels = x.shape
    block = min(COLUMNS, channels), min(LANES, rows)
    parts = scratch.get("column sums", (min(MOST_PARTS, ceil_div(rows, LANES * ROWS_PER_LANE)), channels), x.dtype)
    launch(_rows_kernel(x.dtype.type, LANES, COLUMNS), (ceil_div(channels, block[0]), len(parts)), block, x, parts)
    sum_parts(parts, total)
