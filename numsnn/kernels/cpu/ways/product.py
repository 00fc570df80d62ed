"""Matrix products and dense convolutions, by an indirect matrix product.

A convolution is a product of a matrix of patches, with one row per output position and one column per tap and channel,
and the weights. The matrix is never made: entry (position, tap) is at the sum of two offsets in the input, one of the
position and one of the tap. This is the indirect convolution of Dukhan 2019 (arXiv:1907.02129), with offsets in the
place of pointers. A tile copies the inputs of its positions, with zeros around the image and spikes as numbers, to a
small array that stays in the cache (`positions.copy_inputs`); the product then reads it through the offsets
(`blocks.multiply_rows`). The weight gradient is the product of the transposed matrix and the output's gradient.

The right factor is packed into `panels`.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...compile import kernel
from ..inline.blocks import TILE_ROWS, multiply_rows, panel_columns
from ..inline.rows import as_bytes, copy_row
from ..inline.vector import REGISTER_BYTES
from ..run.launch import count_tiles, parallel_for, scratch
from ..run.reduce import sum_tiles
from . import positions
from .panels import DEPTH, pack_gradients, padded_columns, padded_rows
from .positions import Tiling, copy_inputs, first_offset, positions_of, tile_offsets, tile_place, tile_positions

FEW_WEIGHTS = 65536
"""Up to this number of weights, which stay in the second-level cache, there are enough tiles for the threads because
tiles get fewer positions, and above it because they get fewer columns: every tile reads its weights anew."""

COLLIDING, PAD = 256, 16
"""Pixels with a multiple of COLLIDING channels would lie in the same sets of the cache; PAD numbers keep them apart."""

MOST_SUMS = 65536
"""Results of a tile, beyond which they are summed up in a small array if the sums are made in several slices. The part
of y is spread over memory, and would not stay in the cache from one slice to the next."""

OWNER_ROWS = 128
"""Rows of the weight gradient per owner, at least one channel with all its taps."""

FEW_OWNERS, PARTS = 4, 16
"""With rows for fewer than FEW_OWNERS owners, the positions that the weight gradient sums over are cut into PARTS
slices, if there are enough of them. Otherwise the number of owners is a multiple of FEW_OWNERS."""


POSITION, PRODUCT, COPY, ROW = 2.0, 0.154, 1.0, 11.0
"""Nanoseconds of one core per position, per row of one vector of the right factor, per vector of inputs that is copied,
and per row of positions."""

PRODUCT_BACK, COPY_BACK, ROW_BACK = 0.19, 4.0, 33.0
"""The same in the weight gradient, where they differ."""


def narrow_cost(taps, channels, outputs, stride, extent, weight_gradient=False) -> float:
    """Nanoseconds of one core per position, for few output channels. The arguments are as of `planes.cost`."""
    lanes, rows = REGISTER_BYTES // 4, taps[0] * taps[1] * channels
    vectors, copied = count_tiles(outputs, lanes), min(stride[0], taps[0]) * stride[1] * channels / lanes
    if weight_gradient:
        sums = padded_rows(rows) * vectors * PRODUCT_BACK
        return POSITION + sums + copied * COPY_BACK + ROW_BACK / extent[1]
    return POSITION + rows * vectors * PRODUCT + copied * COPY + ROW / extent[1]


@kernel
def _correlate_tiles(
    x,
    spikes,
    extent,
    first_channel,
    channels,
    pitch,
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
    sums,
    in_sums,
    cut,
    lo,
    hi,
):
    """Compute tiles of `correlate`, each for `cut` columns. x and spikes are `rows.as_bytes` of the images of shape
    extent. The blocks of columns of the same positions are neighbours.

    in_y are the offsets of a tile's positions in y. sums, with the offsets in_sums, gets the results of all positions
    before they are copied to y, or, if there is room for TILE_ROWS only, those of a last register block that the
    positions do not fill.
    """
    depth, outputs = len(tap), len(bias)
    padded = len(packed) // depth
    flat = y.reshape(-1)
    blocks, copied = -(-outputs // cut), -1
    for item in range(lo, hi):
        tile, begin = item // blocks, item % blocks * cut
        place = tile_place(tiling, tile)
        if tile != copied:
            copy_inputs(x, spikes, extent, first_channel, channels, pitch, tiling, place, source)
            copied = tile
        _, _, _, images, rows, columns = place
        at = first_offset(place, y.shape, origin, apart, first_output)
        positions = images * rows * columns
        direct = 0 if len(in_sums) > TILE_ROWS else positions // TILE_ROWS * TILE_ROWS
        # A slice of a panel stays in the first-level cache while it is multiplied with all positions.
        for k in range(0, depth, DEPTH):
            block = min(DEPTH, depth - k)
            for first in range(begin, min(outputs, begin + cut), width):
                wide, used = min(width, padded - first), min(width, outputs - first)
                for m in range(0, positions, TILE_ROWS):
                    result, start, places, row = flat, at + first, in_y, m
                    if m >= direct:
                        result, start, places, row = sums, first - begin, in_sums, m - direct
                    multiply_rows(
                        source,
                        position,
                        m,
                        tap,
                        k,
                        block,
                        packed,
                        first * depth + k * wide,
                        used,
                        bias,
                        first,
                        result,
                        start,
                        places,
                        row,
                        k == 0,
                    )
        for m in range(direct, positions):
            copy_row(flat, at + in_y[m] + begin, sums, in_sums[m - direct], min(cut, outputs - begin))


class _Plan(NamedTuple):
    """What `correlate` knows from shapes alone. Its arrays must not be changed.

    Attributes:
        tiling, position: as of `positions.tile_positions`, and tap, which is flat.
        in_y, in_sums: where the sums of a tile's positions begin in y, and in the small array.
        channels: number of channels that are read.
        pitch: numbers per pixel of a tile's copy of its inputs.
        width: columns per panel.
        cut: columns of y per tile.
        copied, summed: shapes of a tile's copy and of its sums.
        tiles: number of tiles, for all blocks of columns.
    """

    tiling: Tiling
    position: np.ndarray
    tap: np.ndarray
    in_y: np.ndarray
    in_sums: np.ndarray
    channels: int
    pitch: int
    width: int
    cut: int
    copied: tuple[int]
    summed: tuple[int]
    tiles: int


@lru_cache(256)
def _correlate_plan(extent, taps, stride, weights, outputs, target, dtype, origin, step):
    """The plan of `correlate` for x of the shape `extent`, y of the shape `target`, and a number of packed weights."""
    images, channels = extent[0], weights // padded_columns(outputs, dtype) // len(taps[0])
    height, width = positions_of(target, origin, step)
    panel, blocks = panel_columns(dtype), 1
    if weights > FEW_WEIGHTS:
        most = count_tiles(images * height * width, positions.MOST_POSITIONS)
        blocks = min(count_tiles(outputs, panel), count_tiles(positions.LEAST_TILES, most))
    cut = count_tiles(outputs, panel * blocks) * panel
    tiles = max(1, positions.LEAST_TILES // blocks)
    pitch = channels if channels % COLLIDING else channels + PAD
    tiling, position, tap = tile_positions(images, height, width, taps, stride, channels, tiles, pitch)
    again = tap.size > DEPTH and len(position) * cut > MOST_SUMS
    in_sums = np.arange(len(position) if again else TILE_ROWS) * (cut + PAD)
    return _Plan(
        *(tiling, position, tap.reshape(-1), tile_offsets(tiling, step, target[1:]), in_sums),
        *(channels, pitch, panel, cut, (tiling.pixels * pitch,), (len(in_sums) * (cut + PAD),)),
        tiling.tiles * count_tiles(outputs, cut),
    )


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
    plan = _correlate_plan(x.shape, taps, tuple(stride), len(packed), len(bias), y.shape, y.dtype, origin, step)

    def work(lo, hi):
        source = scratch.get("inputs", plan.copied, y.dtype)
        sums = scratch.get("sums of positions", plan.summed, y.dtype)
        _correlate_tiles(
            *as_bytes(x),
            x.shape,
            first_channel,
            plan.channels,
            plan.pitch,
            plan.tiling,
            plan.position,
            plan.tap,
            packed,
            plan.width,
            bias,
            y,
            first_output,
            origin,
            step,
            plan.in_y,
            source,
            sums,
            plan.in_sums,
            plan.cut,
            lo,
            hi,
        )

    parallel_for(work, plan.tiles)


@kernel
def _weight_gradient_owners(
    x,
    spikes,
    extent,
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
    """Compute owners of `weight_gradient`. x and spikes are `rows.as_bytes` of the images of shape extent.

    An owner has the rows of dw ``[taps C, O]`` of `share` channels.

    The sum runs over tiles opening..closing-1. sums is ``[owners, rows, padded columns]``, where the rows of an owner
    are ordered by channel and then by tap.
    """
    taps = len(dw) // channels
    outputs, pitch = dw.shape[1], sums.shape[2]
    total, each = sums.reshape(-1), sums.shape[1] * sums.shape[2]
    for tile in range(opening, closing):
        place = tile_place(tiling, tile)
        image, row, column, images, rows, columns = place
        positions = images * rows * columns
        first = (image * tiling.height + row) * tiling.width + column
        right = panels[: positions * pitch]
        pack_gradients(dy, first_output, outputs, first, positions, width, right)
        for owner in range(lo, hi):
            begin = owner * share
            mine = min(share, channels - begin)
            copy_inputs(x, spikes, extent, first_channel + begin, mine, share, tiling, place, source)
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


class _GradientPlan(NamedTuple):
    """What `weight_gradient` knows from shapes alone. Its arrays must not be changed.

    Attributes:
        tiling, position: as of `positions.tile_positions`.
        in_rows: where the inputs of each row of an owner begin, filled up to whole register blocks.
        in_sums: where the sums of these rows begin.
        nothing: a row of zeros.
        channels, share: numbers of channels, of all owners and of one.
        owners: number of owners.
        shared: whether threads share the positions, and not the owners.
        width, columns: columns per panel, and of all panels.
        copied, packed: shapes of a tile's copy of its inputs, and of the panels of its gradients.
    """

    tiling: Tiling
    position: np.ndarray
    in_rows: np.ndarray
    in_sums: np.ndarray
    nothing: np.ndarray
    channels: int
    share: int
    owners: int
    shared: bool
    width: int
    columns: int
    copied: tuple[int]
    packed: tuple[int]


@lru_cache(256)
def _gradient_plan(source, taps, stride, target, dtype):
    """The plan of `weight_gradient` for dy of the shape `source` and dw of the shape `target`."""
    (images, height, width, _), (depth, outputs) = source, target
    channels = depth // len(taps[0])
    owners = count_tiles(count_tiles(depth, OWNER_ROWS), FEW_OWNERS) * FEW_OWNERS
    # If dw has few rows, as in the first layer of a network, threads share the positions instead of the rows.
    enough = images * height * width >= PARTS * positions.LEAST_POSITIONS
    shared = depth < FEW_OWNERS * OWNER_ROWS and enough
    share = channels if shared else count_tiles(channels, owners)
    tiling, position, tap = tile_positions(images, height, width, taps, stride, share, PARTS if shared else 1)
    rows, columns, panel = padded_rows(tap.size), padded_columns(outputs, dtype), panel_columns(dtype)
    in_rows = np.zeros(rows, np.int32)
    in_rows[: tap.size] = tap.T.reshape(-1)
    return _GradientPlan(
        *(tiling, position, in_rows, np.arange(rows) * columns, np.zeros(panel, dtype)),
        *(channels, share, count_tiles(channels, share), shared, panel, columns),
        *((tiling.pixels * share,), (len(position) * columns,)),
    )


def weight_gradient(x, first_channel, taps, stride, dy, first_output, dw):
    """Compute dw[tap] = sum over positions of x[stride position + tap]^T dy[position], for dw ``[taps C, O]``.

    The other arguments are those of `correlate`, with dy in the place of y.
    """
    plan = _gradient_plan(dy.shape, taps, tuple(stride), dw.shape, dw.dtype)
    tiling, owners, rows, columns = plan.tiling, plan.owners, len(plan.in_rows), plan.columns

    def add_up(lo, hi, dw, opening, closing):
        source = scratch.get("inputs", plan.copied, dw.dtype)
        panels = scratch.get("gradient panels", plan.packed, dw.dtype)
        sums = scratch.get("sums", (hi - lo, rows, columns), dw.dtype)
        _weight_gradient_owners(
            *as_bytes(x),
            x.shape,
            first_channel,
            plan.channels,
            plan.share,
            tiling,
            plan.position,
            plan.in_rows,
            dy,
            first_output,
            dw,
            plan.width,
            source,
            panels,
            plan.nothing,
            sums,
            plan.in_sums,
            opening,
            closing,
            lo,
            hi,
        )

    if not plan.shared:
        parallel_for(lambda lo, hi: add_up(lo, hi, dw, 0, tiling.tiles), owners, chunks_per_thread=1)
        return
    size = count_tiles(tiling.tiles, PARTS)
    parts = scratch.get("gradient parts", (count_tiles(tiling.tiles, size), *dw.shape), dw.dtype)

    def work(lo, hi):
        for part in range(lo, hi):
            add_up(0, owners, parts[part], part * size, min(tiling.tiles, (part + 1) * size))

    parallel_for(work, len(parts))
    sum_tiles(parts, dw)
