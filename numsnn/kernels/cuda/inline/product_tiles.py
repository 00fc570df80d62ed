"""Tiles of matrix products: slices of the factors in shared memory, sums in registers.

A block of threads computes a tile of the result. It multiplies the factors in slices of a few terms. While one slice is
multiplied, the next one is read from memory into registers. Shared memory has two slots for slices, which are used in
turn, so that the threads synchronise once per slice. Rows of a slice are padded by four numbers, so that threads that
write to it, or read four numbers at a time from it, use different banks of shared memory.

A thread sums ``height x width`` numbers and reads ``height + width`` numbers per term. In the wide tile, these are 128
operations for 64 bytes of shared memory.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from ..run.api import SIMULATED, cuda
from ..run.compile import device
from ..run.launch import ceil_div
from .vector import WIDTH, load_narrow, load_wide


class Tile(NamedTuple):
    """The extents of a tile.

    Attributes:
        rows, columns: rows and columns of the result per block.
        depth: terms per slice.
        height, width: rows and columns of the result per thread.
    """

    rows: int
    columns: int
    depth: int
    height: int
    width: int

    @property
    def threads(self):
        return self.rows // self.height * (self.columns // self.width)

    @property
    def pitches(self):
        """The distance from one term of a slice to the next in shared memory, of the left and of the right factor."""
        return self.rows + WIDTH, self.columns + WIDTH

    @property
    def loads(self):
        """How many numbers of a slice each thread reads from memory, of the left and of the right factor."""
        return self.rows * self.depth // self.threads, self.columns * self.depth // self.threads


TILES = {
    np.dtype(np.float32): (Tile(128, 64, 8, 8, 8), Tile(64, 32, 8, 4, 4)),
    np.dtype(np.float64): (Tile(64, 32, 8, 4, 4), Tile(64, 32, 8, 4, 4)),
}
"""Type -> the wide tile, and the small tile for narrow or small results. The number of threads is a multiple of rows,
columns and depth."""

ENOUGH_BLOCKS = 256
"""Number of blocks that fill a GPU, about two per multiprocessor. With fewer wide tiles, the small tile is used."""

ALIGNMENT = None if SIMULATED else 16
"""Alignment of shared memory in bytes. The simulator does not support one."""


def choose_tile(rows: int, columns: int, count: int, dtype) -> Tile:
    """Choose the tile for `count` results of `rows` rows and `columns` columns."""
    wide, small = TILES[np.dtype(dtype)]
    blocks = ceil_div(rows, wide.rows) * ceil_div(columns, wide.columns) * count
    return wide if columns > small.columns and blocks >= ENOUGH_BLOCKS else small


@cache
def parts(tile, real):
    """The device functions of a tile.

    Returns:
        ``clear(sums)``, ``multiply(left, right, slot, sums)``, and ``row_of(i)`` and ``column_of(j)``, the row and
        column in the tile of the thread's number sums[i, j].
    """
    depth, height, width = tile[2:]
    across, down = tile.columns // width, tile.rows // height
    left_pitch, right_pitch = tile.pitches
    tall, broad = (WIDTH if extent % WIDTH == 0 else 1 for extent in (height, width))
    load_left, load_right = (load_wide if size == WIDTH else load_narrow for size in (tall, broad))

    @device
    def clear(sums):
        for i in range(height):
            for j in range(width):
                sums[i, j] = real(0)

    @device
    def multiply(left, right, slot, sums):
        """Add this thread's part of left^T right, over the slice in a slot, to sums."""
        # a and b hold one term's numbers in registers; each is used in several products.
        a, b = cuda.local.array(height, real), cuda.local.array(width, real)
        from_left = slot * depth * left_pitch + np.uint32(cuda.threadIdx.x) // across * tall
        from_right = slot * depth * right_pitch + np.uint32(cuda.threadIdx.x) % across * broad
        for k in range(depth):
            for i in range(0, height, tall):
                load_left(left, from_left + k * left_pitch + i * down, a, i)
            for j in range(0, width, broad):
                load_right(right, from_right + k * right_pitch + j * across, b, j)
            for i in range(height):
                for j in range(width):
                    sums[i, j] += a[i] * b[j]

    @device
    def row_of(i):
        return i // tall * tall * down + np.uint32(cuda.threadIdx.x) // across * tall + i % tall

    @device
    def column_of(j):
        return j // broad * broad * across + np.uint32(cuda.threadIdx.x) % across * broad + j % broad

    return clear, multiply, row_of, column_of
