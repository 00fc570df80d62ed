"""Tiles of matrix products: slices in shared memory, sums in registers.

A block of threads owns a tile of a result. What it multiplies comes in slices of a few terms. While a slice is
multiplied the next one is on its way, in registers; two slices take turns in shared memory, so that threads wait for
each other once a slice. Rows of a slice are padded by four numbers: threads that store into it, and those that read
four numbers at a time from it, meet in no bank of shared memory.

A thread sums ``height x width`` numbers and reads ``height + width`` for every term: in the wide tile 128 operations
for 64 bytes of shared memory.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from ..run.api import SIMULATED, cuda
from ..run.compile import device
from ..run.launch import ceil_div
from .vector import WIDTH, load_narrow, load_wide


class Tile(NamedTuple):
    """What a block computes: rows and columns of the result, terms of a slice, and a thread's part of the result."""

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
        """Numbers from one term of a slice to the next: of the left factor, of the right."""
        return self.rows + WIDTH, self.columns + WIDTH

    @property
    def loads(self):
        """Numbers of a slice that a thread brings: of the left factor, of the right."""
        return self.rows * self.depth // self.threads, self.columns * self.depth // self.threads


TILES = {
    np.dtype(np.float32): (Tile(128, 64, 8, 8, 8), Tile(64, 32, 8, 4, 4)),
    np.dtype(np.float64): (Tile(64, 32, 8, 4, 4), Tile(64, 32, 8, 4, 4)),
}
"""Type -> the wide tile, and the one for narrow or small results. Threads are a multiple of rows, columns and depth."""

ENOUGH_BLOCKS = 256
"""Blocks of wide tiles that fill a device, about two for every multiprocessor; with fewer the small tile is taken."""

ALIGNMENT = None if SIMULATED else 16
"""Of shared memory, in bytes; the simulator takes none."""


def choose_tile(rows: int, columns: int, count: int, dtype) -> Tile:
    """The tile for `count` results of so many rows and columns."""
    wide, small = TILES[np.dtype(dtype)]
    blocks = ceil_div(rows, wide.rows) * ceil_div(columns, wide.columns) * count
    return wide if columns > small.columns and blocks >= ENOUGH_BLOCKS else small


@cache
def parts(tile, real):
    """The device functions of a tile: ``clear(sums)``, ``multiply(left, right, slot, sums)``, and where in the tile the
    numbers lie that a thread sums, ``row_of(i)`` and ``column_of(j)``."""
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
        """sums += this thread's part of left^T right, over the slice in a slot."""
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
