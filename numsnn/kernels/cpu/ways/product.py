"""Matrix products and dense convolutions, by an indirect matrix product.

A convolution is a product of a matrix of patches, with one row per output position and one column per tap and channel,
and the weights. The matrix is never made: entry (position, tap) is at the sum of two offsets in the input, one of the
position and one of the tap. This is the indirect convolution of Dukhan 2019 (arXiv:1907.02129), with offsets in the
place of pointers. A tile copies the inputs of its positions, with zeros around the image and spikes as numbers, to a
small array that stays in the cache (`_copy_inputs`); the product then reads it through the offsets
(`blocks.multiply_rows`). The weight gradient is the product of the transposed matrix and the output's gradient.

The right factor is packed into panels of `blocks.panel_columns` columns, which a block reads from one end to the other.
If one vector suffices for the columns of the last panel, it is only one vector wide.
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ...compile import kernel
from ..inline.blocks import TILE_ROWS, multiply_rows, panel_columns
from ..inline.vector import REGISTER_BYTES, clear_row, copy_row
from ..run.launch import count_tiles, launch, made_once, parallel_for, scratch
from ..run.reduce import sum_tiles

PACKED = "panels"

INPUT_ELEMENTS = 131072
"""Elements of the copied inputs of a tile: 512 KiB of float32."""

MOST_POSITIONS, LEAST_POSITIONS = 256, 32
"""Bounds of the number of positions per tile. 256 rows of the output's gradient, of 32 columns each, are a panel of
32 KiB, which stays in the first-level cache."""

LEAST_TILES = 16
"""There are at least this number of tiles for the threads, if the shapes allow it. For this, tiles have fewer
positions, down to LEAST_POSITIONS, or fewer columns."""

FEW_WEIGHTS = 65536
"""Up to this number of weights, which stay in the second-level cache, tiles get fewer positions, and above it fewer
columns: every tile reads its weights anew."""

DEPTH = 256
"""Rows of a panel that are multiplied at a time. With 32 columns of float32 these are 32 KiB, which stay in the
first-level cache."""

PACKED_ROWS = 64
"""Rows of the weights that are packed at a time."""

OWNER_ROWS = 128
"""Rows of the weight gradient per owner, at least one channel with all its taps."""

FEW_OWNERS, PARTS = 4, 16
"""With rows for fewer than FEW_OWNERS owners, the positions that the weight gradient sums over are cut into PARTS
slices, if there are enough of them. Otherwise the number of owners is a multiple of FEW_OWNERS."""


def padded_rows(rows):
    """`rows` rounded up to a multiple of TILE_ROWS."""
    return count_tiles(rows, TILE_ROWS) * TILE_ROWS


def padded_columns(columns, dtype):
    """The width of all panels together: `columns` rounded up to whole vectors."""
    lanes = REGISTER_BYTES // np.dtype(dtype).itemsize
    return count_tiles(columns, lanes) * lanes


@kernel
def _pack_rows(w, first_column, columns, packed, width, lo, hi):
    """Copy rows lo PACKED_ROWS..hi PACKED_ROWS-1 of w to the panels; columns beyond the last one of w are 0."""
    flat, pitch = w.reshape(-1), w.shape[3]
    depth = len(flat) // pitch
    padded = len(packed) // depth
    for k in range(lo * PACKED_ROWS, min(depth, hi * PACKED_ROWS)):
        for first in range(0, columns, width):
            wide, used = min(width, padded - first), min(width, columns - first)
            at = first * depth + k * wide
            copy_row(packed, at, flat, k * pitch + first_column + first, used)
            clear_row(packed, at + used, wide - used)


@kernel
def _pack_transposed_panels(w, packed, width, lo, hi):
    """Pack panels of weights ``[ty, tx, N, K]``, which are read along their last axis."""
    taps_y, taps_x, columns, inner = w.shape
    depth = taps_y * taps_x * inner
    padded = len(packed) // depth
    for panel in range(lo, hi):
        first = panel * width
        wide, size = min(width, padded - first), min(width, columns - first)
        for ty in range(taps_y):
            for tx in range(taps_x):
                at = first * depth + (ty * taps_x + tx) * inner * wide
                target = packed[at : at + inner * wide].reshape(inner, wide)
                for j in range(size):
                    row = w[ty, tx, first + j]
                    for k in range(inner):
                        target[k, j] = row[k]
                for j in range(size, wide):
                    for k in range(inner):
                        target[k, j] = 0


def pack(w, first_column=0, columns=None, kept=None, group=0):
    """Pack some columns of weights ``[ty, tx, K, N]`` into panels, a flat array of taps K `padded_columns` numbers.

    The last panel is filled up with columns of zeros. The panels are in scratch memory, or with a dict `kept` in this
    dict, under the number of the group. columns=None is all of them.
    """
    columns = w.shape[3] if columns is None else columns
    depth = prod(w.shape[:3])
    key = PACKED if kept is None else (PACKED, group)  # groups share the scratch memory
    shape, width = (depth * padded_columns(columns, w.dtype),), panel_columns(w.dtype)

    def fill(packed):
        launch(_pack_rows, count_tiles(depth, PACKED_ROWS), w, first_column, columns, packed, width)

    return made_once(kept, key, shape, w.dtype, fill)


def pack_transposed(w):
    """Like `pack`, for weights ``[ty, tx, N, K]`` of any strides. The panels are in scratch memory."""
    taps_y, taps_x, columns, inner = w.shape
    width = panel_columns(w.dtype)
    packed = scratch.get(PACKED, (taps_y * taps_x * inner * padded_columns(columns, w.dtype),), w.dtype)
    launch(_pack_transposed_panels, count_tiles(columns, width), w, packed, width)
    return packed


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


@lru_cache(256)
def _tiling(images, height, width, taps_y, taps_x, stride, channels, most, elements):
    """Cut images of height x width positions, whose taps are at these offsets, into tiles.

    A tile has at most about `most` positions, and copies `channels` channels, at most about `elements` numbers.

    Returns:
        the `Tiling`; position, where the inputs of each position of a tile begin in its copy, filled up to whole
        register blocks; and tap ``[taps, channels]``, where the inputs of a position are, relative to that.
    """
    spans = [max(taps) - min(taps) for taps in (taps_y, taps_x)]
    steps = [by if span == 0 else 1 for by, span in zip(stride, spans, strict=True)]
    inner = [by // step for by, step in zip(stride, steps, strict=True)]  # distance of positions in the copy

    def copied(rows, columns):
        return (rows - 1) * inner[0] + spans[0] + 1, (columns - 1) * inner[1] + spans[1] + 1

    def fits(block, rows, columns):
        return block * rows * columns <= most and block * channels * prod(copied(rows, columns)) <= elements

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
    position[: len(image)] = ((image * tall + i * inner[0]) * wide + j * inner[1]) * channels
    tap = (np.subtract(taps_y, top) * wide + np.subtract(taps_x, left))[:, None] * channels + np.arange(channels)
    tiling = Tiling(
        *(images, height, width, block, rows, columns),
        *(count_tiles(height, rows), count_tiles(width, columns), tall, wide, top, left),
        *stride,
        *steps,
    )
    return tiling, position, tap.astype(np.int32)


@kernel
def _place(tiling, tile):
    """The first image, row and column of positions of a tile, and how many images, rows and columns it has."""
    inside = tile % (tiling.down * tiling.across)
    image = tile // (tiling.down * tiling.across) * tiling.block
    row, column = inside // tiling.across * tiling.rows, inside % tiling.across * tiling.columns
    images, rows = min(tiling.block, tiling.images - image), min(tiling.rows, tiling.height - row)
    return image, row, column, images, rows, min(tiling.columns, tiling.width - column)


@kernel
def _copy_inputs(x, first_channel, channels, pitch, tiling, place, source):
    """Copy the inputs of a tile, with `pitch` numbers per pixel, to source. Inputs outside of the image are 0."""
    _, height, width, all_channels = x.shape
    image, row, column, images, rows, _ = place
    flat, wide = x.reshape(-1), tiling.wide
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
                copy_row(source, at + before * pitch, flat, begin, (behind - before) * pitch)
            else:
                for k in range(behind - before):
                    copy_row(
                        source, at + (before + k) * pitch, flat, begin + k * tiling.step_x * all_channels, channels
                    )
            clear_row(source, at + behind * pitch, (wide - behind) * pitch)


@kernel
def _correlate_tiles(
    x,
    first_channel,
    channels,
    tiling,
    position,
    tap,
    packed,
    width,
    bias,
    y,
    first_output,
    origin,
    apart,
    in_y,
    source,
    rest,
    in_rest,
    cut,
    lo,
    hi,
):
    """Compute tiles of `correlate`, each for `cut` columns. The blocks of columns of the same positions are neighbours.

    in_y are the offsets of a tile's positions in y. rest, with the offsets in_rest, gets the last register block of a
    tile if the positions do not fill it.
    """
    depth, outputs = len(tap), len(bias)
    padded = len(packed) // depth
    flat = y.reshape(-1)
    blocks, copied = -(-outputs // cut), -1
    for item in range(lo, hi):
        tile, begin = item // blocks, item % blocks * cut
        place = _place(tiling, tile)
        if tile != copied:
            _copy_inputs(x, first_channel, channels, channels, tiling, place, source)
            copied = tile
        image, i, j, images, rows, columns = place
        at = (image * y.shape[1] + origin[0] + i * apart[0]) * y.shape[2] + origin[1] + j * apart[1]
        at = at * y.shape[3] + first_output
        positions = images * rows * columns
        whole = positions // TILE_ROWS * TILE_ROWS
        # A slice of a panel stays in the first-level cache while it is multiplied with all positions.
        for k in range(0, depth, DEPTH):
            block = min(DEPTH, depth - k)
            for first in range(begin, min(outputs, begin + cut), width):
                right = first * depth + k * min(width, padded - first)
                used = min(width, outputs - first)
                for m in range(0, positions, TILE_ROWS):
                    result, start, places, row = flat, at + first, in_y, m
                    if m == whole:
                        result, start, places, row = rest, first, in_rest, 0
                    multiply_rows(
                        source,
                        position,
                        m,
                        tap,
                        k,
                        block,
                        packed,
                        right,
                        used,
                        bias,
                        first,
                        result,
                        start,
                        places,
                        row,
                        k == 0,
                    )
        for m in range(whole, positions):
            copy_row(flat, at + in_y[m] + begin, rest, (m - whole) * outputs + begin, min(cut, outputs - begin))


def correlate(x, first_channel, taps, stride, packed, bias, y, first_output=0, origin=(0, 0), step=(1, 1)):
    """Compute y[origin + step (i, j)] = bias + sum over taps of x[stride (i, j) + tap] w[tap] for all pixels in y.

    Args:
        x: ``[B, H, W, C]``, real or uint8. Outside of the image it counts as 0.
        first_channel: first channel of x that is read.
        taps: offsets of the taps in pixels, a pair of tuples (vertical, horizontal).
        stride: pair (vertical, horizontal).
        packed: panels of the weights, as `pack` makes them.
        bias: ``[O]``.
        y: output, ``[B, Ho, Wo, ...]``. O channels from first_output on are written.
        first_output: first channel of y that is written.
        origin, step: pairs (vertical, horizontal): the first pixel of y, and the distance between pixels.
    """
    outputs = len(bias)
    channels = len(packed) // padded_columns(outputs, y.dtype) // len(taps[0])
    height, width = (
        count_tiles(extent - first, by) for extent, first, by in zip(y.shape[1:3], origin, step, strict=True)
    )
    positions, panel = len(x) * height * width, panel_columns(y.dtype)
    blocks = 1
    if len(packed) > FEW_WEIGHTS:
        blocks = min(count_tiles(outputs, panel), count_tiles(LEAST_TILES, count_tiles(positions, MOST_POSITIONS)))
    cut = count_tiles(outputs, panel * blocks) * panel
    most = min(MOST_POSITIONS, max(LEAST_POSITIONS, positions * blocks // LEAST_TILES))
    tiling, position, tap = _tiling(len(x), height, width, *taps, tuple(stride), channels, most, INPUT_ELEMENTS)
    in_y = _offsets(tiling.block, tiling.rows, tiling.columns, tuple(step), y.shape[1:])
    in_rest = np.arange(TILE_ROWS) * outputs

    def work(lo, hi):
        source = scratch.get("inputs", (tiling.pixels * channels,), y.dtype)
        rest = scratch.get("rest", (TILE_ROWS * outputs,), y.dtype)
        _correlate_tiles(
            x,
            first_channel,
            channels,
            tiling,
            position,
            tap.reshape(-1),
            packed,
            panel,
            bias,
            y,
            first_output,
            origin,
            step,
            in_y,
            source,
            rest,
            in_rest,
            cut,
            lo,
            hi,
        )

    parallel_for(work, tiling.tiles * count_tiles(outputs, cut))


@lru_cache(256)
def _offsets(block, rows, columns, step, shape):
    """Offsets in y of the positions of a tile, relative to its first one. shape is that of an image of y."""
    image, i, j = (axis.reshape(-1) for axis in np.indices((block, rows, columns)))
    return ((image * shape[0] + i * step[0]) * shape[1] + j * step[1]) * shape[2]


@kernel
def _pack_gradients(dy, first_output, outputs, first, positions, width, panels):
    """Copy rows first..first + positions - 1 of dy to panels of that many rows, filled up with columns of zeros."""
    flat, pitch = dy.reshape(-1), dy.shape[3]
    padded = len(panels) // positions
    for column in range(0, outputs, width):
        wide, used = min(width, padded - column), min(width, outputs - column)
        for n in range(positions):
            at = column * positions + n * wide
            copy_row(panels, at, flat, (first + n) * pitch + first_output + column, used)
            clear_row(panels, at + used, wide - used)


@kernel
def _weight_gradient_owners(
    x,
    first_channel,
    channels,
    share,
    tiling,
    position,
    tap,
    dy,
    first_output,
    dw,
    width,
    source,
    panels,
    nothing,
    sums,
    in_sums,
    opening,
    closing,
    lo,
    hi,
):
    """Compute owners of `weight_gradient`. An owner has the rows of dw ``[taps C, O]`` of `share` channels.

    The sum runs over tiles opening..closing-1. sums is ``[owners, rows, padded columns]``, where the rows of an owner
    are ordered by channel and then by tap.
    """
    taps = len(dw) // channels
    outputs, pitch = dw.shape[1], sums.shape[2]
    total, each = sums.reshape(-1), sums.shape[1] * sums.shape[2]
    for tile in range(opening, closing):
        place = _place(tiling, tile)
        image, row, column, images, rows, columns = place
        positions = images * rows * columns
        first = (image * tiling.height + row) * tiling.width + column
        right = panels[: positions * pitch]
        _pack_gradients(dy, first_output, outputs, first, positions, width, right)
        for owner in range(lo, hi):
            begin = owner * share
            mine = min(share, channels - begin)
            _copy_inputs(x, first_channel + begin, mine, share, tiling, place, source)
            for panel in range(0, outputs, width):
                for m in range(0, mine * taps, TILE_ROWS):
                    multiply_rows(
                        source,
                        tap,
                        m,
                        position,
                        0,
                        positions,
                        right,
                        panel * positions,
                        min(width, pitch - panel),
                        nothing,
                        0,
                        total,
                        (owner - lo) * each + panel,
                        in_sums,
                        m,
                        tile == opening,
                    )
    for c in range(lo * share, min(channels, hi * share)):
        for k in range(taps):
            target, result = dw[k * channels + c], sums[c // share - lo, c % share * taps + k]
            for o in range(outputs):
                target[o] = result[o]


def weight_gradient(x, first_channel, taps, stride, dy, first_output, dw):
    """Compute dw[tap] = sum over positions of x[stride position + tap]^T dy[position], for dw ``[taps C, O]``.

    The other arguments are those of `correlate`, with dy in the place of y.
    """
    depth, outputs = dw.shape
    images, height, width, _ = dy.shape
    channels = depth // len(taps[0])
    positions = images * height * width
    owners = count_tiles(count_tiles(depth, OWNER_ROWS), FEW_OWNERS) * FEW_OWNERS
    # If dw has few rows, as in the first layer of a network, threads share the positions instead of the rows.
    shared = depth < FEW_OWNERS * OWNER_ROWS and positions >= PARTS * LEAST_POSITIONS
    share = channels if shared else count_tiles(channels, owners)
    owners = count_tiles(channels, share)
    most = min(MOST_POSITIONS, positions // PARTS if shared else positions)
    tiling, position, tap = _tiling(images, height, width, *taps, tuple(stride), share, most, INPUT_ELEMENTS)
    rows, pitch = padded_rows(tap.size), padded_columns(outputs, dw.dtype)
    in_rows = np.zeros(rows, np.int32)
    in_rows[: tap.size] = tap.T.reshape(-1)
    in_sums = np.arange(rows) * pitch
    nothing = np.zeros(panel_columns(dw.dtype), dw.dtype)

    def add_up(lo, hi, dw, opening, closing):
        source = scratch.get("inputs", (tiling.pixels * share,), dw.dtype)
        panels = scratch.get("gradient panels", (len(position) * pitch,), dw.dtype)
        sums = scratch.get("sums", (hi - lo, rows, pitch), dw.dtype)
        _weight_gradient_owners(
            x,
            first_channel,
            channels,
            share,
            tiling,
            position,
            in_rows,
            dy,
            first_output,
            dw,
            panel_columns(dw.dtype),
            source,
            panels,
            nothing,
            sums,
            in_sums,
            opening,
            closing,
            lo,
            hi,
        )

    if not shared:
        parallel_for(lambda lo, hi: add_up(lo, hi, dw, 0, tiling.tiles), owners, chunks_per_thread=1)
        return
    size = count_tiles(tiling.tiles, PARTS)
    parts = scratch.get("gradient parts", (count_tiles(tiling.tiles, size), depth, outputs), dw.dtype)

    def work(lo, hi):
        for part in range(lo, hi):
            add_up(0, owners, parts[part], part * size, min(tiling.tiles, (part + 1) * size))

    parallel_for(work, len(parts))
    sum_tiles(parts, dw)
