"""How ``[T, M, C]`` arrays are cut for kernels that take a tile through all time steps.

A tile is a block of rows and a block of channels, so small that what the kernel keeps of it for every step stays in a
core's second-level cache, however long the sequence. Cuts depend on shapes alone.
"""

from typing import NamedTuple

import numpy as np

from .launch import count_tiles
from .reduce import sum_tiles

ROW_ELEMENTS = 512
"""Neighbouring rows are taken as one up to this length: an inner loop over 16 channels would hardly start."""

STATE_ELEMENTS = 32768
"""Of a tile of which one value a neuron is kept."""

SCRATCH_ELEMENTS = 131072
"""Of a tile of which one value a neuron and step is kept: 512 KiB of float32, half of a cache of 1 MiB."""

LEAST_ELEMENTS = 512
"""A tile is not cut smaller than this to have more of them."""

WIDTH_GRAIN = 64
"""Channels are cut at multiples of this: whole cache lines."""

LEAST_TILES = 16
"""As many tiles are made of anything that is large enough: a few for every thread."""


class Cut(NamedTuple):
    """One way to cut ``[T, M, C]``: `joined` rows are one, a tile is `rows` of those by `width` of their channels."""

    joined: int
    rows: int
    width: int
    blocks: int
    count: int

    def wide(self, *arrays):
        """Views of arrays ``[..., M, C]`` whose joined rows are one."""
        return tuple(x.reshape(*x.shape[:-2], x.shape[-2] // self.joined, x.shape[-1] * self.joined) for x in arrays)

    def repeated(self, *arrays):
        """Arrays ``[..., C]`` of numbers a channel, repeated for every row that was joined."""
        if self.joined == 1:
            return arrays
        return tuple(np.concatenate([x] * self.joined, axis=-1) for x in arrays)

    @property
    def row_blocks(self):
        """Blocks of rows there are."""
        return self.count // self.blocks

    def add_up(self, parts, total):
        """Sum partial sums ``[blocks of rows, joined C]`` in order: total ``[C]``."""
        sum_tiles(parts.reshape(-1, len(total)), total)


def cut(rows: int, channels: int, elements: int, tall: bool = False) -> Cut:
    """Tiles of at most about so many elements; tall ones have as many rows as that allows, for sums over rows."""
    most = max(1, ROW_ELEMENTS // channels)
    joined = next(n for n in range(min(most, rows), 0, -1) if rows % n == 0)
    rows, channels = rows // joined, channels * joined
    elements = max(min(elements, rows * channels // LEAST_TILES), min(elements, LEAST_ELEMENTS), 1)
    width = -(-channels // -(-channels // elements))
    if tall:
        width = min(width, max(LEAST_ELEMENTS // 2, elements // rows))
    width = min(channels, -(-width // WIDTH_GRAIN) * WIDTH_GRAIN)
    blocks = count_tiles(channels, width)
    rows_a_tile = max(1, min(rows, elements // width))
    return Cut(joined, rows_a_tile, width, blocks, count_tiles(rows, rows_a_tile) * blocks)


def same_memory(a, b) -> bool:
    """Whether two arrays of one shape are the same place."""
    return a.__array_interface__["data"] == b.__array_interface__["data"]
