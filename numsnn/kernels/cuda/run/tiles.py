"""Divides arrays ``[T, M, C]`` among threads that go through all time steps.

A thread takes one channel, or a few neighbouring channels, of a row. A block of threads covers channels and rows, so
that its warps read contiguous memory even if rows are short. A tile has one row per lane of the block. A block takes
several tiles, in strides of the whole grid. A thread therefore keeps the same channels, with their parameters and sums
in registers. All of it depends on shapes alone.
"""

from typing import NamedTuple

from .compile import device
from .launch import WARP, ceil_div

THREADS = 256
"""Threads per block, if there is work for a whole GPU."""

HEAVY_THREADS = 128
"""Threads per block, if threads need many registers."""

FEW_THREADS = 64
"""Threads per block, if there is less work, so that there are more blocks."""

FILL = 132 * 512
"""Number of threads that keep the memory of a large GPU (132 multiprocessors) busy."""

MOST_BLOCKS = 1056
"""Largest number of blocks per launch: eight per multiprocessor. Each block leaves a partial sum of every gradient."""


class Cut(NamedTuple):
    """A cut of arrays ``[T, M, C]`` into blocks of threads.

    Attributes:
        columns, lanes: extents of a block: threads side by side, and rows.
        row_blocks, channel_blocks: extents of the grid.
    """

    columns: int
    lanes: int
    row_blocks: int
    channel_blocks: int

    @property
    def grid(self):
        return self.row_blocks, self.channel_blocks

    @property
    def block(self):
        return self.columns, self.lanes


def cut(rows: int, channels: int, width: int, heavy: bool = False, most_columns: int | None = None) -> Cut:
    """Choose the cut of arrays ``[T, rows, channels]``.

    Args:
        rows, channels: extents of the arrays.
        width: channels per thread, a divisor of `channels`.
        heavy: whether threads need many registers.
        most_columns: largest number of threads side by side; None for no limit.
    """
    groups = channels // width
    most = HEAVY_THREADS if heavy else THREADS
    if rows * groups < FILL:
        most = min(most, FEW_THREADS)
    columns = min(groups, most_columns or most, most)
    if columns < groups:
        columns = ceil_div(groups, ceil_div(groups, columns))
        columns = min(ceil_div(columns, WARP) * WARP, most)
    channel_blocks = ceil_div(groups, columns)
    lanes = max(1, min(rows, most // columns))
    tiles = ceil_div(rows, lanes)
    passes = ceil_div(tiles, max(1, MOST_BLOCKS // channel_blocks))
    return Cut(columns, lanes, ceil_div(tiles, passes), channel_blocks)


# --- sums over the rows of a block, from the sums of its threads ----------------------------------------------------


@device
def lay_out(total, n, width, column, columns, lane, room):
    """Copy the thread's n-th sum, total[n width + ...], to shared memory, where room has one number per thread and
    channel. Synchronise the block after the call, and before the next one."""
    for c in range(width):
        room[(lane * width + c) * columns + column] = total[n * width + c]


@device
def leave_sum(room, n, width, column, columns, lane, lanes, block, first, channels, partial_sums):
    """Set partial_sums[n, block, c] to the sum of what the lanes laid out. partial_sums is ``[N, blocks, C]``."""
    for c in range(lane, width, lanes):
        if first + c < channels:
            whole = room[c * columns + column]
            for other in range(1, lanes):
                whole += room[(other * width + c) * columns + column]
            partial_sums[n, block, first + c] = whole
