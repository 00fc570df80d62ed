"""Cuts arrays ``[T, M, C]`` for kernels that take a tile through all time steps.

A tile is a number of rows and columns with all time steps. It is so small that the data the kernel keeps for the tile,
over all steps, stays in a core's second-level cache. A cut depends on shapes alone.
"""

from ctypes import addressof, c_char
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...compile import kernel
from ..inline.access import read, write
from .launch import count_tiles, scratch
from .reduce import sum_joined

ROW_ELEMENTS = 512
"""Neighbouring rows are joined into one up to this length, because an inner loop over few channels is slow."""

LEAST_JOINED = 32768
"""Elements of an array, over all steps, above which its rows are joined. In a smaller one, to repeat the numbers per
channel for the joined rows takes longer than it saves."""

STATE_ELEMENTS = 32768
"""Elements per tile, if the kernel keeps one number per neuron of the tile."""

SCRATCH_ELEMENTS = 131072
"""Neurons times steps per tile, if the kernel keeps one number for each: 512 KiB of float32, half of a 1 MiB cache."""

LEAST_ELEMENTS = 512
"""Tiles are not made smaller than this number of elements in order to have more of them."""

WIDTH_GRAIN = 64
"""Channels are cut at multiples of this number, so that tiles are made of whole cache lines."""

LEAST_TILES = 16
"""Arrays that are large enough are cut into at least this number of tiles, so that every thread gets a few."""


class Cut(NamedTuple):
    """A cut of arrays ``[T, M, C]`` into tiles.

    Attributes:
        joined: number of neighbouring rows that are joined into one.
        rows, width: rows and columns per tile, both counted after joining.
        blocks: number of tiles side by side that cover the columns.
        count: number of tiles.
    """

    joined: int
    rows: int
    width: int
    blocks: int
    count: int

    def wide(self, *arrays):
        """Views of arrays ``[..., M, C]`` with joined rows: ``[..., M / joined, C joined]``."""
        if self.joined == 1:
            return arrays
        rows, channels = arrays[0].shape[-2:]
        end = rows // self.joined, channels * self.joined
        return [x.reshape(*x.shape[:-2], *end) for x in arrays]

    def repeated(self, vectors, values, d):
        """Five arrays ``[C]``, values ``[P, C]`` and d ``[T, C]``, repeated for each joined row: ``[C joined]``,
        ``[P, C joined]`` and ``[T, C joined]``. The last vector is inverted. They are in scratch memory.

        NumPy does this in several steps, whose code is no longer in the cache when a large kernel has run before.
        """
        first = len(vectors) + len(values)
        block = scratch.get("repeated rows", (first + len(d), d.shape[1] * self.joined), d.dtype)
        _repeat(*vectors, values, d, block)
        return (*block[: len(vectors)], block[len(vectors) : first], block[first:])

    @property
    def row_blocks(self):
        """The number of tiles on top of each other that cover the rows."""
        return self.count // self.blocks

    def add_up(self, parts, totals, others=None):
        """Add partial sums ``[K, row_blocks, joined C]`` in order, as `sum_joined` does. totals are the first outputs
        ``[C]``, of which None is left out, and others, ``[J, C]``, those of the last J partial sums."""
        if others is not None:
            sum_joined(parts[len(totals) :], others)
        wanted = [k for k, total in enumerate(totals) if total is not None]
        if wanted:
            first, last = wanted[0], wanted[-1] + 1
            whole = np.empty((last - first, parts.shape[-1] // self.joined), parts.dtype)
            sum_joined(parts[first:last], whole)
            for k in wanted:
                totals[k][...] = whole[k - first]


@lru_cache(maxsize=1024)
def rows_to_join(rows: int, channels: int) -> int:
    """The number of neighbouring rows that are joined into one: a divisor of rows."""
    most = max(1, ROW_ELEMENTS // channels)
    return next(n for n in range(min(most, rows), 0, -1) if rows % n == 0)


@lru_cache(maxsize=1024)
def cut(rows: int, channels: int, elements: int, tall: bool = False, join: bool = True) -> Cut:
    """Cut rows and channels into tiles of at most about `elements` elements.

    Tall tiles have few columns and many rows. They are used for sums over rows. With join=False no rows are joined, for
    a kernel that treats rows differently.
    """
    joined = rows_to_join(rows, channels) if join else 1
    rows, channels = rows // joined, channels * joined
    elements = max(min(elements, rows * channels // LEAST_TILES), min(elements, LEAST_ELEMENTS), 1)
    width = -(-channels // -(-channels // elements))
    if tall:
        width = min(width, max(LEAST_ELEMENTS // 2, elements // rows))
    width = min(channels, -(-width // WIDTH_GRAIN) * WIDTH_GRAIN)
    blocks = count_tiles(channels, width)
    rows_a_tile = max(1, min(rows, elements // width))
    return Cut(joined, rows_a_tile, width, blocks, count_tiles(rows, rows_a_tile) * blocks)


@kernel
def _repeat(centre, factor, offset, theta, alpha, values, d, block):
    """Fill the rows of block, ``[5 + P + T, C joined]``, in the order of the arguments, with 1 / alpha for alpha."""
    channels, below = d.shape[1], 5 + len(values)
    for at in range(0, block.shape[1], channels):
        for c in range(channels):
            write(block, "output", (0, at + c), read(centre, "value", c))
            write(block, "output", (1, at + c), read(factor, "value", c))
            write(block, "output", (2, at + c), read(offset, "value", c))
            write(block, "output", (3, at + c), read(theta, "value", c))
            width = read(alpha, "value", c)
            write(block, "output", (4, at + c), type(width)(1) / width)
        for p in range(len(values)):
            for c in range(channels):
                write(block, "output", (5 + p, at + c), read(values, "value", (p, c)))
        for t in range(len(d)):
            for c in range(channels):
                write(block, "output", (below + t, at + c), read(d, "value", (t, c)))


def same_memory(a, b) -> bool:
    """Whether two arrays of the same shape begin at the same address."""
    return a is b or (np.may_share_memory(a, b) and _address(a) == _address(b))


def _address(x):
    """The address of an array. Of an array that is written to, ctypes tells it in a fifth of NumPy's time."""
    if x.flags.writeable and x.flags.c_contiguous:
        return addressof(c_char.from_buffer(x))
    return x.__array_interface__["data"][0]
