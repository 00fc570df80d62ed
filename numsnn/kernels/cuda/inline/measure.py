"""Mean and variance over rows, in two stages: blocks measure slices of rows, and then their moments are merged.

Two samples are merged by the formula of Chan, Golub and LeVeque (1979; docs/method.md, M1, M4), pair by pair, in an
order that depends on shapes alone. All numbers are measured as distances from the first row. Single precision then has
enough digits for a small variance beside a large mean, and float64 is not needed.
"""

from functools import cache

from ...steps import merge
from ..run.api import cuda
from ..run.compile import device, kernel
from ..run.launch import scratch
from .rows import THREADS, cut_rows, launch_finish, place

AHEAD = 8
"""Rows that a thread reads at once. Their reads wait for memory together, and all of them need only one merge."""


@device
def merge_lanes(rooms, count, mean, square):
    """Merge the samples of a block's lanes, column by column, in pairs and pairs of pairs.

    Lane 0 gets the moments of the whole. rooms is shared memory ``[3, threads]``, which must not be used again without
    synchronisation.
    """
    columns, left = cuda.blockDim.x, cuda.blockDim.y
    column, lane = cuda.threadIdx.x, cuda.threadIdx.y
    own = lane * columns + column
    rooms[0, own], rooms[1, own], rooms[2, own] = count, mean, square
    while left > 1:
        half = (left + 1) >> 1
        cuda.syncthreads()
        if lane < left - half:
            at = own + half * columns
            count, mean, square = merge(count, mean, square, rooms[0, at], rooms[1, at], rooms[2, at])
            rooms[0, own], rooms[1, own], rooms[2, own] = count, mean, square
        left = half
    return count, mean, square


@cache
def _part_kernel(dtype, threads, ahead_most):
    @kernel
    def measure_parts(x, size, means, squares, parts, part_rows, across):
        """Compute the mean distance from the first row of the group, and the sum of squared distances from that mean.

        x is ``[G, M, C]``, and means and squares are ``[G, P, C]``, one number per slice of rows and channel. `size`
        neighbouring channels are measured from the same number, shift.
        """
        rooms = cuda.shared.array((3, threads), dtype)
        ahead = cuda.local.array(ahead_most, dtype)
        real = x.dtype.type
        _, rows, channels = x.shape
        group, part, c = place(parts, across)
        lanes = cuda.blockDim.y
        count = mean = square = real(0)
        if c < channels:
            shift = x[group, 0, c // size * size]
            m, last = part * part_rows + cuda.threadIdx.y, min(rows, (part + 1) * part_rows)
            # ahead holds several rows in registers, whose moments are computed and then merged with the others.
            while m + (ahead_most - 1) * lanes < last:
                middle = spread = real(0)
                for k in range(ahead_most):
                    ahead[k] = x[group, m + k * lanes, c] - shift
                    middle += ahead[k]
                middle *= real(1 / ahead_most)
                for k in range(ahead_most):
                    spread += (ahead[k] - middle) * (ahead[k] - middle)
                count, mean, square = merge(count, mean, square, real(ahead_most), middle, spread)
                m += ahead_most * lanes
            while m < last:
                count, mean, square = merge(count, mean, square, real(1), x[group, m, c] - shift, real(0))
                m += lanes
        count, mean, square = merge_lanes(rooms, count, mean, square)
        if cuda.threadIdx.y == 0 and c < channels:
            means[group, part, c], squares[group, part, c] = mean, square

    return measure_parts


@cache
def _merge_kernel(dtype, threads):
    @kernel
    def merge_parts(x, size, part_rows, means, squares, mean, var):
        """Merge the results of `measure_parts` into mean and var ``[G, C / size]``."""
        rooms = cuda.shared.array((3, threads), dtype)
        real = x.dtype.type
        rows, parts, wide = x.shape[1], means.shape[1], mean.shape[1]
        column = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        group, first = column // wide, column % wide * size
        count = centre = square = real(0)
        if group < mean.shape[0]:
            for k in range(cuda.threadIdx.y, parts * size, cuda.blockDim.y):
                part, c = k // size, first + k % size
                there = real(min(part_rows, rows - part * part_rows))
                count, centre, square = merge(
                    count, centre, square, there, means[group, part, c], squares[group, part, c]
                )
        count, centre, square = merge_lanes(rooms, count, centre, square)
        if cuda.threadIdx.y == 0 and group < mean.shape[0]:
            mean[group, column % wide] = x[group, 0, first] + centre
            var[group, column % wide] = square / count

    return merge_parts


def measure(x, size: int, mean, var) -> None:
    """Compute mean and biased variance over rows and `size` neighbouring channels.

    x is ``[G, M, C]``, and the outputs mean and var are ``[G, C / size]``.
    """
    groups, rows, channels = x.shape
    cut = cut_rows(groups, rows, channels)
    shares = scratch.get("moments", (2, groups, cut.parts, channels), x.dtype)
    cut.launch(_part_kernel(x.dtype.type, THREADS, AHEAD), groups, x, size, shares[0], shares[1])
    launch_finish(
        _merge_kernel(x.dtype.type, THREADS),
        mean.size,
        cut.parts * size,
        x,
        size,
        cut.rows,
        shares[0],
        shares[1],
        mean,
        var,
    )
