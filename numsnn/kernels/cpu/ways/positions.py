"""How the positions of a convolution are cut into tiles, and a tile's copy of its inputs.

A tile copies the inputs of its positions, with zeros around the image and spikes as numbers, to a small array that
stays in the cache. In it, the input of a position and a tap is at the sum of two offsets, one of the position and one
of the tap.
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ...compile import register_jitable
from ..inline.rows import clear_row, copy_numbers
from ..run.launch import count_tiles
from .panels import padded_rows

MOST_POSITIONS, LEAST_POSITIONS = 256, 32
"""Bounds of the number of positions per tile. 256 rows of the output's gradient, of 32 columns each, are a panel of
32 KiB, which stays in the first-level cache."""

INPUT_ELEMENTS = 131072
"""Elements of the copied inputs of a tile: 512 KiB of float32."""

LEAST_TILES = 16
"""There are at least this number of tiles for the threads, if there are enough positions."""


class Tiling(NamedTuple):
    """How output positions are cut into tiles, and what a tile copies of the input.

    A tile is a block of images, rows and columns of positions. It takes more than one image only with all their rows,
    and more than one row only with all columns, so that its positions are neighbours. Its copy of the input is
    ``[block, tall, wide, channels]``.

    Attributes:
        images, height, width: number of images, and of positions in them.
        block, rows, columns: images, rows and columns of positions per tile.
        down, across: number of tiles per image, vertically and horizontally.
        tall, wide: extent of the copy of one image.
        top, left: row and column of the input, relative to the first position, at which the copy begins.
        stride_y, stride_x: distance of positions in the input.
        step_y, step_x: distance of the rows and columns that are copied: 1, or the stride if there is one tap.
    """

    images: int
    height: int
    width: int
    block: int
    rows: int
    columns: int
    down: int
    across: int
    tall: int
    wide: int
    top: int
    left: int
    stride_y: int
    stride_x: int
    step_y: int
    step_x: int

    @property
    def tiles(self):
        """The number of tiles."""
        return count_tiles(self.images, self.block) * self.down * self.across

    @property
    def pixels(self):
        """Pixels of a tile's copy of the input."""
        return self.block * self.tall * self.wide


def tile_positions(images, height, width, taps, stride, channels, tiles=LEAST_TILES, pitch=None):
    """Cut images of height x width positions, whose taps are at these offsets, into tiles.

    A tile copies `channels` channels, with `pitch` numbers per pixel, or as many as channels. There are at least about
    `tiles` tiles, if there are enough positions.

    Returns:
        the `Tiling`; position, where the inputs of each position of a tile begin in its copy, filled up to whole
        register blocks; and tap ``[taps, channels]``, where the inputs of a position are, relative to that.
    """
    most = min(MOST_POSITIONS, max(LEAST_POSITIONS, images * height * width // tiles))
    return _tiled(images, height, width, *taps, tuple(stride), channels, pitch or channels, most, INPUT_ELEMENTS)


@lru_cache(256)
def _tiled(images, height, width, taps_y, taps_x, stride, channels, pitch, most, elements):
    """The result of `tile_positions`, for at most about `most` positions and `elements` numbers per tile."""
    spans = [max(taps) - min(taps) for taps in (taps_y, taps_x)]
    steps = [by if span == 0 else 1 for by, span in zip(stride, spans, strict=True)]
    inner = [by // step for by, step in zip(stride, steps, strict=True)]  # distance of positions in the copy

    def copied(rows, columns):
        return (rows - 1) * inner[0] + spans[0] + 1, (columns - 1) * inner[1] + spans[1] + 1

    def fits(block, rows, columns):
        return block * rows * columns <= most and block * pitch * prod(copied(rows, columns)) <= elements

    def grown(most, fits):
        """The largest number up to `most` that fits, made smaller so that all tiles get about the same."""
        number = next((n for n in range(2, most + 1) if not fits(n)), most + 1) - 1
        return count_tiles(most, count_tiles(most, number))

    columns = grown(width, lambda n: fits(1, 1, n))
    rows = grown(height, lambda n: fits(1, n, width)) if columns == width else 1
    block = grown(images, lambda n: fits(n, height, width)) if (rows, columns) == (height, width) else 1
    tall, wide = copied(rows, columns)
    top, left = min(taps_y), min(taps_x)
    image, i, j = (axis.reshape(-1) for axis in np.indices((block, rows, columns)))
    position = np.zeros(padded_rows(len(image)), np.int32)
    position[: len(image)] = ((image * tall + i * inner[0]) * wide + j * inner[1]) * pitch
    tap = (np.subtract(taps_y, top) * wide + np.subtract(taps_x, left))[:, None] * pitch + np.arange(channels)
    tiling = Tiling(
        *(images, height, width, block, rows, columns),
        *(count_tiles(height, rows), count_tiles(width, columns), tall, wide, top, left),
        *stride,
        *steps,
    )
    return tiling, position, tap.astype(np.int32)


@register_jitable
def tile_place(tiling, tile):
    """The first image, row and column of positions of a tile, and how many images, rows and columns it has."""
    inside = tile % (tiling.down * tiling.across)
    image = tile // (tiling.down * tiling.across) * tiling.block
    row, column = inside // tiling.across * tiling.rows, inside % tiling.across * tiling.columns
    images, rows = min(tiling.block, tiling.images - image), min(tiling.rows, tiling.height - row)
    return image, row, column, images, rows, min(tiling.columns, tiling.width - column)


@register_jitable
def copy_inputs(x, spikes, extent, first_channel, channels, pitch, tiling, place, source):
    """Copy the inputs of a tile, with `pitch` numbers per pixel, to source. Inputs outside of the image are 0.

    x and spikes are `rows.as_bytes` of the input, and extent is its shape.
    """
    _, height, width, all_channels = extent
    image, row, column, images, rows, _ = place
    wide = tiling.wide
    top, left = row * tiling.stride_y + tiling.top, column * tiling.stride_x + tiling.left
    used = tiling.tall - (tiling.rows - rows) * (tiling.stride_y // tiling.step_y)
    # Columns before..behind-1 of the copy lie in the image.
    before = min(wide, max(0, -(left // tiling.step_x)))
    behind = min(wide, max(before, -((left - width) // tiling.step_x)))
    for b in range(images):
        for r in range(used):
            at = (b * tiling.tall + r) * wide * pitch
            y = top + r * tiling.step_y
            if not 0 <= y < height:
                clear_row(source, at, wide * pitch)
                continue
            clear_row(source, at, before * pitch)
            begin = (((image + b) * height + y) * width + left + before * tiling.step_x) * all_channels + first_channel
            if tiling.step_x == 1 and channels == all_channels == pitch:
                copy_numbers(source, at + before * pitch, x, begin, (behind - before) * pitch, spikes)
            else:
                for k in range(behind - before):
                    start = begin + k * tiling.step_x * all_channels
                    copy_numbers(source, at + (before + k) * pitch, x, start, channels, spikes)
            clear_row(source, at + behind * pitch, (wide - behind) * pitch)


def positions_of(shape, origin, step):
    """How many pixels origin + step (i, j) the images of an array of this shape have, vertically and horizontally."""
    extents = zip(shape[1:3], origin, step, strict=True)
    return tuple(count_tiles(extent - first, by) for extent, first, by in extents)


@register_jitable
def first_offset(place, shape, origin, step, first_output):
    """Where the first position of a tile lies in y of this shape, from channel first_output on."""
    image, row, column, _, _, _ = place
    pixel = (image * shape[1] + origin[0] + row * step[0]) * shape[2] + origin[1] + column * step[1]
    return pixel * shape[3] + first_output


def tile_offsets(tiling, step, shape):
    """Offsets in y of the positions of a tile, relative to its first one.

    step is the distance of positions in y, a pair, and shape ``[H, W, C]`` is that of an image of y.
    """
    return _offsets(tiling.block, tiling.rows, tiling.columns, tuple(step), tuple(shape))


@lru_cache(256)
def _offsets(block, rows, columns, step, shape):
    image, i, j = (axis.reshape(-1) for axis in np.indices((block, rows, columns)))
    return ((image * shape[0] + i * step[0]) * shape[1] + j * step[1]) * shape[2]
