"""Mean and variance of potentials, per step and channel, measured while the potentials are computed.

Each block stores the mean of its rows and the sum of squared distances from it. These are merged, instead of sums of
squares, so that a large mean does not swallow a small variance. One launch merges the results of all blocks: first the
mean, and then the squared distances from it.
"""

from functools import cache

from ... import steps
from ..run.api import cuda
from ..run.compile import device, kernel
from ..run.launch import ceil_div, launch

COLUMNS, LANES = 32, 8
"""Extents of a block that merges: COLUMNS neighbouring steps and channels, and LANES results of blocks side by side."""


@device
def lay_out_potentials(u, size, thread, threads, room):
    """Copy the thread's `size` potentials to shared memory, where room has `size` numbers per thread.

    Synchronise the block after the call, and before the next one.
    """
    for k in range(size):
        room[k * threads + thread] = u[k]


@device
def merge_tile(room, at, columns, count, earlier, block, step, c, tile_moments):
    """M1, M4: merge the moments of one step and channel of a tile with those of the block's earlier rows.

    The tile has `count` rows, whose potentials begin at room[at]. The block has measured `earlier` rows before.
    tile_moments ``[2, blocks, T, C]`` holds the means, and the sums of squared distances.
    """
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
        before, spread = tile_moments[0, block, step, c], tile_moments[1, block, step, c]
        _, mean, square = steps.merge(real(earlier), before, spread, real(count), mean, square)
    tile_moments[0, block, step, c], tile_moments[1, block, step, c] = mean, square


@device
def _rows_of(block, blocks, lanes, rows):
    """The number of rows of the tiles block, block + blocks and so on. The last tile of all may have fewer rows."""
    tiles = (rows + lanes - 1) // lanes
    whole = (tiles - block + blocks - 1) // blocks * lanes
    return whole - (tiles * lanes - rows) if (tiles - 1) % blocks == block else whole


@cache
def _merge_kernel(dtype, lanes_most, columns_most):
    @kernel
    def merge_moments(tile_moments, lanes, rows, mean, var):
        """M2: merge the results tile_moments ``[2, blocks, n]`` into mean and var ``[n]``. Tiles had `lanes` rows."""
        partial = cuda.shared.array((lanes_most, columns_most), dtype)
        real = tile_moments.dtype.type
        _, blocks, n = tile_moments.shape
        column, lane, height = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        k = cuda.blockIdx.x * cuda.blockDim.x + column
        inverse = real(1) / real(rows)
        # First the mean, as a distance from the first block's; all lanes need the whole sum.
        total = shift = real(0)
        if k < n:
            shift = tile_moments[0, 0, k]
            for block in range(lane, blocks, height):
                total += (tile_moments[0, block, k] - shift) * real(_rows_of(block, blocks, lanes, rows))
        partial[lane, column] = total
        cuda.syncthreads()
        total = real(0)
        for other in range(height):
            total += partial[other, column]
        middle = shift + total * inverse
        cuda.syncthreads()
        # Then the squared distances from this mean.
        total = real(0)
        if k < n:
            for block in range(lane, blocks, height):
                count = real(_rows_of(block, blocks, lanes, rows))
                total += steps.spread_about(middle, count, tile_moments[0, block, k], tile_moments[1, block, k])
        partial[lane, column] = total
        cuda.syncthreads()
        if lane == 0 and k < n:
            for other in range(1, height):
                total += partial[other, column]
            mean[k], var[k] = middle, total * inverse

    return merge_moments


def merge(tile_moments, lanes: int, rows: int, mean, var) -> None:
    """Merge the results of `merge_tile`, tile_moments ``[2, blocks, T, C]``, into mean and var ``[T, C]``."""
    tile_moments = tile_moments.reshape(2, tile_moments.shape[1], -1)
    block = min(COLUMNS, mean.size), min(LANES, tile_moments.shape[1])
    launch(
        _merge_kernel(tile_moments.dtype.type, LANES, COLUMNS),
        ceil_div(mean.size, block[0]),
        block,
        tile_moments,
        lanes,
        rows,
        mean.reshape(-1),
        var.reshape(-1),
    )
