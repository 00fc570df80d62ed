"""Winograd's minimal filtering for 3x3 convolutions of stride 1, with a quarter of the multiplications.

It is F(4x4, 3x3) of Lavin and Gray 2016 (arXiv:1509.09308). A Winograd tile of 4x4 outputs takes 36 multiplications per
pair of channels instead of 144. Inputs of 6x6 pixels and the weights are transformed into 36 entries each. The entries
are multiplied by 36 matrix products over channels, and the products are transformed back. In float32 the error is about
1e-6 by norm, five times the rounding of the plain sum. `winograd_gradient` computes the gradient of the weights.
"""

from functools import lru_cache

import numpy as np

from ...compile import kernel, register_jitable
from ..inline.blocks import TILE_ROWS, TILE_VECTORS, multiply_rows, panel_columns, square_transform
from ..inline.local import local
from ..inline.rows import as_bytes, clear_row, copy_numbers, copy_row, transpose_block
from ..inline.vector import lanes
from ..run.launch import ALIGNMENT, count_tiles, launch, made_once, parallel_for, scratch
from .panels import DEPTH, padded_columns, padded_rows
from .winograd_matrices import INPUT, PRODUCTS, REACH, TILE, WEIGHTS

PACKED = "transformed weights"

BATCH_BYTES = 256 << 10, 2 << 20
"""Bounds of the bytes of transformed inputs and products that are used at a time. Within these bounds they are twice as
large as the transformed weights, which are read anew for each batch."""

LEAST_TILES, MOST_TILES = 32, 128
"""Bounds of the number of Winograd tiles per batch, where `BATCH_BYTES` have room for fewer."""

NUMBERS_A_TILE = 1024
"""Products of input and output channels for which a batch is larger by one Winograd tile."""

transform_input, _transform_weights, _transform_products = map(square_transform, (INPUT, WEIGHTS, PRODUCTS))


def apart(numbers, dtype):
    """The distance of two entries of `numbers` numbers each: an odd number of cache lines.

    With a power of two, the 36 entries of a transform would lie in the same few sets of the cache.
    """
    line = ALIGNMENT // np.dtype(dtype).itemsize
    return (count_tiles(numbers, line) | 1) * line


@kernel
def _weight_panels(w, packed, padded, width, turned, lo, hi):
    """Transform w ``[3, 3, K, N]`` to packed ``[36, ...]``, panels as of `panels.pack` with `padded` columns together.

    If turned is true, w is ``[3, 3, N, K]``, and it is rotated by 180 degrees. An item is a panel for as many k as a
    register has lanes.
    """
    flat, source, entry = packed.reshape(-1), w.reshape(-1), packed.shape[1]
    depth, outputs = (w.shape[3], w.shape[2]) if turned else (w.shape[2], w.shape[3])
    square, taps = lanes(source), 9
    parts = -(-depth // square)
    part = local(taps * square * width, source.dtype)  # what an item reads of w, [3, 3, k, n], if it has to be turned
    for item in range(lo, hi):
        first, begin = item // parts * width, item % parts * square
        wide, size, count = min(width, padded - first), min(width, outputs - first), min(square, depth - begin)
        if turned:
            for tap in range(taps):
                at = ((taps - 1 - tap) * outputs + first) * depth + begin
                transpose_block(part, tap * square * width, width, source, at, depth, size, count)
        for k in range(count):
            at = first * depth + (begin + k) * wide
            if size < wide:
                for e in range(REACH * REACH):
                    clear_row(flat, e * entry + at, wide)
            read, start, step = source, (begin + k) * outputs + first, depth * outputs
            if turned:
                read, start, step = part, k * width, square * width
            _transform_weights(flat, at, REACH * entry, entry, read, start, 3 * step, step, size)


@register_jitable
def cut_out(x, spikes, extent, image, top, left, size, tile):
    """Copy size x size pixels of an image from (top, left) on to tile ``[size, size, C]``, which is flat.

    x and spikes are `rows.as_bytes` of the images, and extent is their shape. Pixels outside of the image are 0.
    """
    _, height, width, channels = extent
    before, behind = max(0, -left), max(0, min(size, width - left))  # columns before..behind-1 lie in the image
    for i in range(size):
        at, row = i * size * channels, ((image * height + top + i) * width + left) * channels
        if not 0 <= top + i < height or before >= behind:
            clear_row(tile, at, size * channels)
            continue
        clear_row(tile, at, before * channels)
        copy_numbers(tile, at + before * channels, x, row + before * channels, (behind - before) * channels, spikes)
        clear_row(tile, at + behind * channels, (size - behind) * channels)


@kernel
def _batches(
    x,
    spikes,
    numbers,
    extent,
    packed,
    width,
    bias,
    has_bias,
    padding,
    y,
    pitch,
    tile,
    inputs,
    products,
    in_inputs,
    channel,
    in_products,
    nothing,
    lo,
    hi,
):
    """Compute batches lo..hi-1 of Winograd tiles.

    x and spikes are `rows.as_bytes` of the images, numbers is the flat array unless it holds spikes, and extent is the
    shape. The work arrays are tile ``[36 max(I, O)]``, for the pixels of one Winograd tile, and inputs and products
    ``[36, ...]``, for the transformed inputs ``[batch, channels]`` and the products ``[batch, pitch]`` of a batch.
    in_inputs and in_products are where each of their rows begins, channel is 0, 1, ..., and nothing is a row of zeros.
    """
    images, high, broad, channels = extent
    _, out_height, out_width, outputs = y.shape
    down, across = -(-out_height // TILE), -(-out_width // TILE)
    batch = len(in_inputs)
    flat_v, flat_u, flat_m, flat_y = inputs.reshape(-1), packed.reshape(-1), products.reshape(-1), y.reshape(-1)
    entry_v, entry_u, entry_m = inputs.shape[1], packed.shape[1], products.shape[1]
    for number in range(lo, hi):
        first = number * batch
        count = min(batch, images * down * across - first)
        # First the inputs of the batch are transformed. Spikes, and inputs at the border, are cut out before.
        for k in range(count):
            image, position = (first + k) // (down * across), (first + k) % (down * across)
            top, left = position // across * TILE - padding[0], position % across * TILE - padding[1]
            inside = 0 <= top <= high - REACH and 0 <= left <= broad - REACH
            source, at, down_by = numbers, ((image * high + top) * broad + left) * channels, broad * channels
            if spikes or not inside:
                cut_out(x, spikes, extent, image, top, left, REACH, tile)
                source, at, down_by = tile, 0, REACH * channels
            transform_input(flat_v, k * channels, REACH * entry_v, entry_v, source, at, down_by, channels, channels)
        # One matrix product per entry, by slices of DEPTH channels that stay in the first-level cache.
        for e in range(REACH * REACH):
            left = flat_v[e * entry_v : (e + 1) * entry_v]
            for start in range(0, channels, DEPTH):
                block = min(DEPTH, channels - start)
                for column in range(0, pitch, width):
                    wide = min(width, pitch - column)
                    right = e * entry_u + column * channels + start * wide
                    for m in range(0, count, TILE_ROWS):
                        multiply_rows(
                            left,
                            in_inputs,
                            m,
                            channel,
                            start,
                            block,
                            flat_u,
                            right,
                            wide,
                            nothing,
                            0,
                            flat_m,
                            e * entry_m + column,
                            in_products,
                            m,
                            start == 0,
                        )
        # The products are transformed back into y. At the border they go to tile first, as only a part of it is in y.
        for k in range(count):
            image, position = (first + k) // (down * across), (first + k) % (down * across)
            top, left = position // across * TILE, position % across * TILE
            tall, wide = min(TILE, out_height - top), min(TILE, out_width - left)
            at = ((image * out_height + top) * out_width + left) * outputs
            inside = tall == TILE and wide == TILE
            result, start, row = (flat_y, at, out_width) if inside else (tile, 0, TILE)
            _transform_products(
                result, start, row * outputs, outputs, flat_m, k * pitch, REACH * entry_m, entry_m, outputs
            )
            if not inside:
                for i in range(tall):
                    for j in range(wide):
                        copy_row(flat_y, at + (i * out_width + j) * outputs, tile, (i * TILE + j) * outputs, outputs)
            if has_bias:
                for i in range(tall):
                    for j in range(wide):
                        target = y[image, top + i, left + j]
                        for c in range(outputs):
                            target[c] += bias[c]


@lru_cache(256)
def _cut(images, height, width, channels, outputs, dtype, batch_bytes):
    """How `convolve` is cut into batches of Winograd tiles.

    Returns:
        The number of batches; the shapes of the packed weights, and of the tile, inputs and products of `_batches`; and
        its arrays that depend on shapes alone (in_inputs, channel, in_products, nothing), which must not be changed.
    """
    pitch = padded_columns(outputs, dtype)
    tiles = images * count_tiles(height, TILE) * count_tiles(width, TILE)
    least, most = batch_bytes
    per_channel = REACH * REACH * dtype.itemsize
    room = min(most, max(least, 2 * per_channel * channels * pitch)) // (per_channel * (channels + pitch))
    batch = max(LEAST_TILES, room)
    # Every batch reads all weights. Where these are large, batches are larger, and an even number.
    wanted = min(MOST_TILES, channels * pitch // NUMBERS_A_TILE)
    if wanted > batch:
        batch = max(batch, count_tiles(tiles, 2 * count_tiles(tiles, 2 * wanted)))
    batch = padded_rows(min(tiles, batch))
    positions, channel, nothing = np.arange(batch), np.arange(channels), np.zeros(panel_columns(dtype), dtype)
    sizes = channels * pitch, batch * channels, batch * pitch
    packed, inputs, products = ((REACH * REACH, apart(size, dtype)) for size in sizes)
    shapes = packed, (REACH * REACH * max(channels, outputs),), inputs, products
    return count_tiles(tiles, batch), shapes, (positions * channels, channel, positions * pitch, nothing)


def convolve(x, w, b, padding, y, kept=None, turned=False):
    """Compute y, the convolution of x with w ``[3, 3, I, O]`` at stride 1, plus b if it is not None. x may be uint8.

    If turned is true, w is ``[3, 3, O, I]``, and it is rotated by 180 degrees.
    """
    images, out_height, out_width, outputs = y.shape
    channels, dtype = x.shape[3], w.dtype
    width, pitch = panel_columns(dtype), padded_columns(outputs, dtype)
    batches, shapes, offsets = _cut(images, out_height, out_width, channels, outputs, dtype, BATCH_BYTES)
    items = count_tiles(outputs, width) * count_tiles(channels, width // TILE_VECTORS)
    of_weights, of_tile, of_inputs, of_products = shapes

    def fill(packed):
        launch(_weight_panels, items, w, packed, pitch, width, turned)

    packed = made_once(kept, PACKED, of_weights, dtype, fill)
    bias = np.zeros(outputs, dtype) if b is None else b

    def work(lo, hi):
        tile = scratch.get("winograd tile", of_tile, dtype)
        inputs = scratch.get("winograd inputs", of_inputs, dtype)
        products = scratch.get("winograd products", of_products, dtype)
        _batches(
            *as_bytes(x),
            tile if x.dtype == np.uint8 else x.reshape(-1),
            x.shape,
            packed,
            width,
            bias,
            b is not None,
            padding,
            y,
            pitch,
            tile,
            inputs,
            products,
            *offsets,
            lo,
            hi,
        )

    parallel_for(work, batches)


def convolve_backward_input(dy, w, padding, dx):
    """Compute dx of `convolve`, the convolution of dy with the rotated and transposed weights."""
    kh, kw = w.shape[:2]
    convolve(dy, w, None, (kh - 1 - padding[0], kw - 1 - padding[1]), dx, turned=True)
