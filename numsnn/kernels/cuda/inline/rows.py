"""Divides rows of channels ``[M, C]`` among threads. Neighbouring threads take neighbouring channels, which are
neighbours in memory, and the lanes of a block take rows. All of it depends on shapes alone, and so does the order of
sums.
"""

from typing import NamedTuple

from ..run.api import cuda
from ..run.compile import device
from ..run.launch import ceil_div, launch

COLUMNS = 32
"""Largest number of threads per block that take neighbouring channels."""

THREADS = 256
"""Largest number of threads per block. Shared memory has room for one number per thread."""

ROWS_PER_THREAD = 4
"""Rows per thread in kernels without sums. A thread prepares the factors of its channel once for several rows. It reads
all of these rows before it writes, because the compiler does not move a read before a write that might change it, and
one read at a time leaves memory idle."""

ROWS_PER_LANE = 16
"""Least number of rows per lane in sums, if there are enough rows."""

SUM_BLOCKS = 1024
"""Number of blocks that compute partial sums: a few per multiprocessor of a large GPU."""

MOST_ROW_BLOCKS = 65535
"""CUDA's limit on the second extent of a grid."""

FINISH_COLUMNS = 8
"""Threads per block that take neighbouring channels when partial sums are added. There are fewer than COLUMNS, so that
a few hundred channels are divided among more blocks."""


def launch_rows(kernel, rows: int, channels: int, *arguments) -> None:
    """Launch a kernel over rows and channels.

    A thread takes channel ``cuda.grid(2)[0]``, if it exists, and the rows from ``cuda.grid(2)[1]`` on in strides of
    ``cuda.gridsize(2)[1]``.
    """
    if rows and channels:
        columns = min(COLUMNS, channels)
        lanes = min(THREADS // columns, ceil_div(rows, ROWS_PER_THREAD))
        blocks = min(MOST_ROW_BLOCKS, ceil_div(rows, lanes * ROWS_PER_THREAD))
        launch(kernel, (ceil_div(channels, columns), blocks), (columns, lanes), *arguments)


class Cut(NamedTuple):
    """A cut of arrays ``[G, M, C]`` into slices of rows for sums. A block of threads sums one slice.

    Attributes:
        columns, lanes: extents of a block: channels, and rows that are summed side by side.
        across: number of blocks side by side that cover the channels.
        parts, rows: number of slices per group, and rows per slice.
    """

    columns: int
    lanes: int
    across: int
    parts: int
    rows: int

    def launch(self, kernel, groups: int, *arguments) -> None:
        """Launch a kernel ``f(..., parts, rows, across)`` with one block per slice, which `place` tells apart."""
        grid = groups * self.parts * self.across
        launch(kernel, grid, (self.columns, self.lanes), *arguments, self.parts, self.rows, self.across)


def cut_rows(groups: int, rows: int, channels: int) -> Cut:
    """Choose the cut of arrays ``[G, M, C]``."""
    columns = min(COLUMNS, channels)
    across = ceil_div(channels, columns)
    lanes = min(THREADS // columns, ceil_div(rows, ROWS_PER_LANE))
    parts = min(ceil_div(rows, lanes * ROWS_PER_LANE), ceil_div(SUM_BLOCKS, across * groups))
    size = ceil_div(rows, parts)
    return Cut(columns, lanes, across, ceil_div(rows, size), size)


def launch_finish(kernel, channels: int, parts: int, *arguments) -> None:
    """Launch a kernel that adds partial sums. A column takes channel ``cuda.grid(2)[0]``; lanes share the slices."""
    columns = min(FINISH_COLUMNS, channels)
    launch(kernel, ceil_div(channels, columns), (columns, min(THREADS // columns, parts)), *arguments)


@device
def place(parts, across):
    """The group, slice and channel of a thread in a launch by `Cut`."""
    block = cuda.blockIdx.x // across
    return block // parts, block % parts, cuda.blockIdx.x % across * cuda.blockDim.x + cuda.threadIdx.x


@device
def sum_lanes(room, value):
    """The sum of the values of a block's lanes, in order, for each column.

    All lanes must call this, and all get the sum. room is shared memory with one number per thread, and may be used
    again after the call.
    """
    columns, column = cuda.blockDim.x, cuda.threadIdx.x
    room[cuda.threadIdx.y * columns + column] = value
    cuda.syncthreads()
    total = room[column]
    for lane in range(1, cuda.blockDim.y):
        total += room[lane * columns + column]
    cuda.syncthreads()
    return total


@device
def max_lanes(room, value):
    """The largest value of a block's lanes, for each column. It is called like `sum_lanes`."""
    columns, column = cuda.blockDim.x, cuda.threadIdx.x
    room[cuda.threadIdx.y * columns + column] = value
    cuda.syncthreads()
    top = room[column]
    for lane in range(1, cuda.blockDim.y):
        top = max(top, room[lane * columns + column])
    cuda.syncthreads()
    return top


def transform(function):
    """A device function ``f(constants, x, y, c, m, last, stride)`` that applies a function to elements of a channel.

    It sets y[m, c] = function(constants, x[m, c]) for the rows m, m + stride, ... below last. Four rows are read before
    they are written. y may be x.
    """

    @device
    def transform_rows(constants, x, y, c, m, last, stride):
        while m + 3 * stride < last:
            second, third, fourth = m + stride, m + 2 * stride, m + 3 * stride
            x_1, x_2, x_3, x_4 = x[m, c], x[second, c], x[third, c], x[fourth, c]
            y[m, c] = function(constants, x_1)
            y[second, c] = function(constants, x_2)
            y[third, c] = function(constants, x_3)
            y[fourth, c] = function(constants, x_4)
            m += 4 * stride
        while m < last:
            y[m, c] = function(constants, x[m, c])
            m += stride

    return transform_rows


def transform_two(function):
    """Like `transform`, for two arrays: y[m, c] = function(constants, u[m, c], x[m, c]). y may be u or x."""

    @device
    def transform_rows(constants, u, x, y, c, m, last, stride):
        while m + 3 * stride < last:
            second, third, fourth = m + stride, m + 2 * stride, m + 3 * stride
            u_1, u_2, u_3, u_4 = u[m, c], u[second, c], u[third, c], u[fourth, c]
            x_1, x_2, x_3, x_4 = x[m, c], x[second, c], x[third, c], x[fourth, c]
            y[m, c] = function(constants, u_1, x_1)
            y[second, c] = function(constants, u_2, x_2)
            y[third, c] = function(constants, u_3, x_3)
            y[fourth, c] = function(constants, u_4, x_4)
            m += 4 * stride
        while m < last:
            y[m, c] = function(constants, u[m, c], x[m, c])
            m += stride

    return transform_rows
