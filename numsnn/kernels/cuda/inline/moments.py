"""Mean and variance of potentials, per step and channel, while they are computed.

Every block leaves, of its rows, the mean and the sum of squared distances from it; merging these, not sums of squares,
keeps a large mean from swallowing a small variance. One launch merges the blocks' in two passes: the mean first.
"""

from functools import cache

from ... import steps
from ..run.api import cuda
from ..run.compile import device, kernel
from ..run.launch import ceil_div, launch

COLUMNS, LANES = 32, 8
"""Threads of a block that merges: neighbouring steps and channels, and blocks' shares side by side."""


@device
def lay_out_potentials(u, size, thread, threads, room):
    """room = the thread's potentials of a few steps, size of them: shared memory for as many per thread. Synchronise
    behind it, as in front of the next time."""
    for k in range(size):
        room[k * threads + thread] = u[k]


@device
def merge_tile(room, at, columns, count, earlier, block, step, c, shares):
    """One step and channel of a tile of `count` rows, found from room[at] on: merge their moments with those of the
    `earlier` rows of the block. shares ``[2, blocks, T, C]``: means, and sums of squared distances."""
    shift = room[at]
    real = type(shift)
    drift = square = real(0)
    for r in range(1, count):
        distance = room[at + r * columns] - shift
        drift += distance
        square += distance * distance
    inverse = real(1) / real(count)
    mean, square = steps.settle_moments(shift, drift, square, inverse)
    if earlier > 0:
        before, spread = shares[0, block, step, c], shares[1, block, step, c]
        _, mean, square = steps.merge(real(earlier), before, spread, real(count), mean, square)
    shares[0, block, step, c], shares[1, block, step, c] = mean, square


@device
def _rows_of(block, blocks, lanes, rows):
    """Rows of the tiles block, block + blocks, ...; the very last tile may be cut short."""
    tiles = (rows + lanes - 1) // lanes
    whole = (tiles - block + blocks - 1) // blocks * lanes
    return whole - (tiles * lanes - rows) if (tiles - 1) % blocks == block else whole


@cache
def _merge_kernel(dtype, lanes_most, columns_most):
    @kernel
    def merge_moments(shares, lanes, rows, mean, var):
        """mean, var ``[n]`` of the blocks' shares ``[2, blocks, n]``, whose tiles had `lanes` lanes."""
        partial = cuda.shared.array((lanes_most, columns_most), dtype)
        real = shares.dtype.type
        _, blocks, n = shares.shape
        column, lane, height = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        k = cuda.blockIdx.x * cuda.blockDim.x + column
        inverse = real(1) / real(rows)
        total = shift = real(0)
        if k < n:
            shift = shares[0, 0, k]
            for block in range(lane, blocks, height):
                total += (shares[0, block, k] - shift) * real(_rows_of(block, blocks, lanes, rows))
        partial[lane, column] = total
        cuda.syncthreads()
        total = real(0)
        for other in range(height):
            total += partial[other, column]
        middle = shift + total * inverse
        cuda.syncthreads()
        total = real(0)
        if k < n:
            for block in range(lane, blocks, height):
                count = real(_rows_of(block, blocks, lanes, rows))
                total += steps.spread_about(middle, count, shares[0, block, k], shares[1, block, k])
        partial[lane, column] = total
        cuda.syncthreads()
        if lane == 0 and k < n:
            for other in range(1, height):
                total += partial[other, column]
            mean[k], var[k] = middle, total * inverse

    return merge_moments


def merge(shares, lanes: int, rows: int, mean, var) -> None:
    """mean, var ``[T, C]`` of the shares ``[2, blocks, T, C]`` that `merge_tile` left."""
    shares = shares.reshape(2, shares.shape[1], -1)
    block = min(COLUMNS, mean.size), min(LANES, shares.shape[1])
    launch(
        _merge_kernel(shares.dtype.type, LANES, COLUMNS),
        ceil_div(mean.size, block[0]),
        block,
        shares,
        lanes,
        rows,
        mean.reshape(-1),
        var.reshape(-1),
    )
