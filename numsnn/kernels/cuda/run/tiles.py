"""How ``[T, M, C]`` arrays are shared out among threads that go through all time steps.

A thread owns one channel, or a few neighbouring ones, of a row; a block is channels by rows, so that its warps read
one piece of memory also where rows are short. Blocks go over tiles, as many rows as a block has lanes, in strides of
the whole grid: a thread keeps its channels, and with them their parameters and sums in registers. All of it depends on
shapes alone.
"""

from typing import NamedTuple

from .compile import device
from .launch import WARP, ceil_div

THREADS = 256
"""Of a block, where there is work for a whole device."""

HEAVY_THREADS = 128
"""Of a block of threads that hold many registers."""

FEW_THREADS = 64
"""Of a block, where there is less work: more blocks to share out."""

FILL = 132 * 512
"""Threads that keep a large device (132 multiprocessors) busy with reading memory."""

MOST_BLOCKS = 1056
"""Of a launch: eight a multiprocessor, of which each leaves a share of every sum."""


class Cut(NamedTuple):
    """One way to share out ``[T, M, C]``: `width` channels a thread; a block is `columns` threads by `lanes` rows; a
    grid is `row_blocks` by `channel_blocks`."""

    width: int
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
    """How threads share out the work.

    Args:
        rows, channels: of the arrays.
        width: channels a thread takes; a divisor of them.
        heavy: whether threads hold many registers.
        most_columns: threads of a block that may take neighbouring channels.
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
    return Cut(width, columns, lanes, ceil_div(tiles, passes), channel_blocks)


# --- sums over rows of what every thread has added up ---------------------------------------------------------------


@device
def lay_out(total, n, width, column, columns, lane, room):
    """room = the n-th of the sums that every thread has added up, total[n width + ...]: a number a thread and channel
    in shared memory. Synchronise behind it, as in front of the next one."""
    for c in range(width):
        room[(lane * width + c) * columns + column] = total[n * width + c]


@device
def leave_share(room, n, width, column, columns, lane, lanes, block, first, channels, shares):
    """shares[n, block, c] = the sum of what a block's lanes laid out: shares ``[N, blocks, C]``."""
    for c in range(lane, width, lanes):
        if first + c < channels:
            whole = room[c * columns + column]
            for other in range(1, lanes):
                whole += room[(other * width + c) * columns + column]
            shares[n, block, first + c] = whole
