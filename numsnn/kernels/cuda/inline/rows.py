"""How threads share out rows of channels ``[M, C]``: neighbouring threads take neighbouring channels, which lie side by
side in memory, and the lanes of a block take rows. All of it depends on shapes alone, and so do sums' orders.
"""

from typing import NamedTuple

from ..run.api import cuda
from ..run.compile import device
from ..run.launch import ceil_div, launch

COLUMNS = 32
"""Threads of a block that take neighbouring channels, at most."""

THREADS = 256
"""Threads of a block at most: shared memory has room for a number of each."""

ROWS_PER_THREAD = 4
"""Rows a thread takes where none is summed, so that it prepares a channel's factors once for several, and reads them
all before it writes: for all the compiler knows what is written could change what is read next, and one read at a time
leaves memory idle."""

ROWS_PER_LANE = 16
"""Rows a lane sums at least, if there are as many."""

SUM_BLOCKS = 1024
"""Blocks that leave partial sums: a few for every multiprocessor of a large device."""

MOST_ROW_BLOCKS = 65535
"""CUDA's limit on the second extent of a grid."""

FINISH_COLUMNS = 8
"""Threads of a block that take neighbouring channels where parts are added up: fewer, so that more blocks share a few
hundred channels."""


def launch_rows(kernel, rows: int, channels: int, *arguments) -> None:
    """Start a kernel whose threads take the channel ``cuda.grid(2)[0]``, if there is one, and the rows from
    ``cuda.grid(2)[1]`` on in strides of ``cuda.gridsize(2)[1]``."""
    if rows and channels:
        columns = min(COLUMNS, channels)
        lanes = min(THREADS // columns, ceil_div(rows, ROWS_PER_THREAD))
        blocks = min(MOST_ROW_BLOCKS, ceil_div(rows, lanes * ROWS_PER_THREAD))
        launch(kernel, (ceil_div(channels, columns), blocks), (columns, lanes), *arguments)


class Cut(NamedTuple):
    """Rows of several groups ``[G, M, C]``, cut into parts that one block each sums: a group has `parts` of `rows`
    rows, `across` blocks lie side by side, and each has `columns` times `lanes` threads."""

    columns: int
    lanes: int
    across: int
    parts: int
    rows: int

    def launch(self, kernel, groups: int, *arguments) -> None:
        """Start a kernel ``f(..., parts, rows, across)`` with a block for every part; see `place`."""
        grid = groups * self.parts * self.across
        launch(kernel, grid, (self.columns, self.lanes), *arguments, self.parts, self.rows, self.across)


def cut_rows(groups: int, rows: int, channels: int) -> Cut:
    """The cut of arrays ``[G, M, C]``."""
    columns = min(COLUMNS, channels)
    across = ceil_div(channels, columns)
    lanes = min(THREADS // columns, ceil_div(rows, ROWS_PER_LANE))
    parts = min(ceil_div(rows, lanes * ROWS_PER_LANE), ceil_div(SUM_BLOCKS, across * groups))
    size = ceil_div(rows, parts)
    return Cut(columns, lanes, across, ceil_div(rows, size), size)


def launch_finish(kernel, channels: int, parts: int, *arguments) -> None:
    """Start a kernel whose columns take the channels ``cuda.grid(2)[0]`` and whose lanes share the parts."""
    columns = min(FINISH_COLUMNS, channels)
    launch(kernel, ceil_div(channels, columns), (columns, min(THREADS // columns, parts)), *arguments)


@device
def place(parts, across):
    """The group, part and channel that a thread of a `Cut` works for."""
    block = cuda.blockIdx.x // across
    return block // parts, block % parts, cuda.blockIdx.x % across * cuda.blockDim.x + cuda.threadIdx.x


@device
def sum_lanes(room, value):
    """The sum over a block's lanes, column by column, of their values in order. All lanes get it, and all have to call.
    room is shared memory for one number per thread, free again afterwards."""
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
    """The largest of a block's lanes' values; otherwise as `sum_lanes`."""
    columns, column = cuda.blockDim.x, cuda.threadIdx.x
    room[cuda.threadIdx.y * columns + column] = value
    cuda.syncthreads()
    top = room[column]
    for lane in range(1, cuda.blockDim.y):
        top = max(top, room[lane * columns + column])
    cuda.syncthreads()
    return top


def transform(function):
    """A device function ``f(constants, x, y, c, m, last, stride)``: y[m, c] = function(constants, x[m, c]) for the rows
    m, m + stride, ... below last; y may be x."""

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
    """As `transform`, of two arrays: y[m, c] = function(constants, u[m, c], x[m, c]); y may be one of them."""

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
