"""Matrix products and dense convolutions, by an indirect matrix product.

A convolution is a product of a matrix of patches, with one row per output position and one column per tap and channel,
and the weights. The matrix is never made: entry (position, tap) is at the sum of two offsets in the input, one of the
position and one of the tap. This is the indirect convolution of Dukhan 2019 (arXiv:1907.02129), with offsets in the
place of pointers. A tile copies the inputs of its positions, with zeros around the image and spikes as numbers, to a
small array that stays in the cache (`positions.copy_inputs`); the product then reads it through the offsets
(`blocks.multiply_rows`). The weight gradient is the product of the transposed matrix and the output's gradient.

The right factor is packed into `panels`.
"""

from ...compile import kernel
from ..inline.blocks import TILE_ROWS, multiply_rows
from ..inline.rows import as_bytes, copy_row
from ..inline.vector import REGISTER_BYTES
from ..run.launch import count_tiles, parallel_for, scratch
from ..run.reduce import sum_tiles
from .panels import DEPTH, pack_gradients, padded_rows
from .positions import copy_inputs, first_offset, tile_place
from .product_cut import PARTS, forward_cut, gradient_cut

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
    cut = forward_cut(x.shape, taps, tuple(stride), len(packed), len(bias), y.shape, y.dtype, origin, step)

    def work(lo, hi):
        source = scratch.get("inputs", cut.copied, y.dtype)
        sums = scratch.get("sums of positions", cut.summed, y.dtype)
        _correlate_tiles(
            *as_bytes(x),
            x.shape,
            first_channel,
            cut.channels,
            cut.pitch,
            cut.tiling,
            cut.position,
            cut.tap,
            packed,
            cut.width,
            bias,
            y,
            first_output,
            origin,
            step,
            cut.in_y,
            source,
            sums,
            cut.in_sums,
            cut.columns,
            lo,
            hi,
        )

    parallel_for(work, cut.tiles)


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


def weight_gradient(x, first_channel, taps, stride, dy, first_output, dw):
    """Compute dw[tap] = sum over positions of x[stride position + tap]^T dy[position], for dw ``[taps C, O]``.

    The other arguments are those of `correlate`, with dy in the place of y.
    """
    cut = gradient_cut(dy.shape, taps, tuple(stride), dw.shape, dw.dtype)
    tiling, owners, rows, columns = cut.tiling, cut.owners, len(cut.in_rows), cut.columns

    def add_up(lo, hi, dw, opening, closing):
        source = scratch.get("inputs", cut.copied, dw.dtype)
        panels = scratch.get("gradient panels", cut.packed, dw.dtype)
        sums = scratch.get("sums", (hi - lo, rows, columns), dw.dtype)
        _weight_gradient_owners(
            *as_bytes(x),
            x.shape,
            first_channel,
            cut.channels,
            cut.share,
            tiling,
            cut.position,
            cut.in_rows,
            dy,
            first_output,
            dw,
            cut.width,
            source,
            panels,
            cut.nothing,
            sums,
            cut.in_sums,
            opening,
            closing,
            lo,
            hi,
        )

    if not cut.shared:
        parallel_for(lambda lo, hi: add_up(lo, hi, dw, 0, tiling.tiles), owners, chunks_per_thread=1)
        return
    size = count_tiles(tiling.tiles, PARTS)
    parts = scratch.get("gradient parts", (count_tiles(tiling.tiles, size), *dw.shape), dw.dtype)

    def work(lo, hi):
        for part in range(lo, hi):
            add_up(0, owners, parts[part], part * size, min(tiling.tiles, (part + 1) * size))

    parallel_for(work, len(parts))
    sum_tiles(parts, dw)
