"""Winograd's minimal filtering for 3x3 convolutions of stride 1, with a quarter of the multiplications.

It is F(4x4, 3x3) of Lavin and Gray 2016 (arXiv:1509.09308). A Winograd tile of 4x4 outputs takes 36 multiplications per
pair of channels instead of 144. Inputs of 6x6 pixels and the weights are transformed into 36 entries each. The entries
are multiplied by 36 matrix products over channels, and the products are transformed back. In float32 the error is about
1e-6 by norm, five times the rounding of the plain sum.
"""

from functools import lru_cache

import numpy as np

from ...compile import kernel, register_jitable
from ..inline.blocks import TILE_ROWS, multiply_rows, panel_columns, square_transform
from ..inline.rows import as_bytes, clear_row, copy_numbers, copy_row
from ..run.launch import count_tiles, launch, made_once, parallel_for, scratch
from .panels import DEPTH, padded_columns, padded_rows
from .winograd_matrices import INPUT, PRODUCTS, REACH, TILE, WEIGHTS

PACKED = "transformed weights"

BATCH_BYTES = 2 << 20
"""Bytes of transformed inputs and products that are used at a time."""

LEAST_TILES, MOST_TILES = 32, 128
"""Bounds of the number of Winograd tiles per batch, where `BATCH_BYTES` have room for fewer."""

FLIPPED = 16
"""Output channels that are transposed at a time: a cache line of float32."""

NUMBERS_A_TILE = 1024
"""Products of input and output channels for which a batch is larger by one Winograd tile."""

GRADIENT_BATCH_BYTES = 3 << 20, 24 << 20
"""Bounds of the bytes of transformed inputs and gradients that the weight gradient uses at a time. Within these bounds
they are as large as the sums that they are added to."""

_transform_input, _transform_weights, _transform_products = map(square_transform, (INPUT, WEIGHTS, PRODUCTS))
_transform_gradient, _transform_sums = (square_transform(tuple(zip(*m, strict=True))) for m in (PRODUCTS, WEIGHTS))


@kernel
def _weight_panels(w, packed, width, lo, hi):
    """Transform w ``[3, 3, K, N]`` to packed ``[36, N K]``, panels as of `panels.pack`. An item is a panel and a k."""
    depth, outputs = w.shape[2:]
    entry = packed.shape[1]
    padded = entry // depth
    flat, source = packed.reshape(-1), w.reshape(-1)
    for item in range(lo, hi):
        panel, k = item // depth, item % depth
        first = panel * width
        wide, size = min(width, padded - first), min(width, outputs - first)
        at = first * depth + k * wide
        if size < wide:
            for e in range(REACH * REACH):
                flat[e * entry + at : e * entry + at + wide] = 0
        _transform_weights(
            flat,
            at,
            REACH * entry,
            entry,
            source,
            k * outputs + first,
            3 * depth * outputs,
            depth * outputs,
            size,
        )


@kernel
def _flip(w, flipped, lo, hi):
    """Copy w ``[3, 3, I, O]`` to flipped ``[3, 3, O, I]``, rotated by 180 degrees and transposed. An item is a tap and
    FLIPPED outputs."""
    kh, kw, inputs, outputs = w.shape
    for item in range(lo, hi):
        tap, block = item // (-(-outputs // FLIPPED)), item % (-(-outputs // FLIPPED))
        ky, kx = tap // kw, tap % kw
        for i in range(inputs):
            for o in range(block * FLIPPED, min(outputs, block * FLIPPED + FLIPPED)):
                flipped[kh - 1 - ky, kw - 1 - kx, o, i] = w[ky, kx, i, o]


@register_jitable
def _cut_out(x, spikes, extent, image, top, left, size, tile):
    """Copy size x size pixels of an image from (top, left) on to tile ``[size, size, C]``, which is flat.

    x and spikes are `rows.as_bytes` of the images, and extent is their shape. Pixels outside of the image are 0.
    """
    _, height, width, channels = extent
    for i in range(size):
        row = ((image * height + top + i) * width + left) * channels
        for j in range(size):
            at = (i * size + j) * channels
            if 0 <= top + i < height and 0 <= left + j < width:
                copy_numbers(tile, at, x, row + j * channels, channels, spikes)
            else:
                clear_row(tile, at, channels)


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
    ``[36, batch, channels]``, for the transformed inputs and the products of a batch. in_inputs and in_products are
    where each of their rows begins, channel is 0, 1, ..., and nothing is a row of zeros.
    """
    images, high, broad, channels = extent
    _, out_height, out_width, outputs = y.shape
    down, across = -(-out_height // TILE), -(-out_width // TILE)
    _, batch, pitch = products.shape
    flat_v, flat_u, flat_m, flat_y = inputs.reshape(-1), packed.reshape(-1), products.reshape(-1), y.reshape(-1)
    entry_v, entry_m = batch * channels, batch * pitch
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
                _cut_out(x, spikes, extent, image, top, left, REACH, tile)
                source, at, down_by = tile, 0, REACH * channels
            _transform_input(flat_v, k * channels, REACH * entry_v, entry_v, source, at, down_by, channels, channels)
        # One matrix product per entry, by slices of DEPTH channels that stay in the first-level cache.
        for e in range(REACH * REACH):
            left = flat_v[e * entry_v : (e + 1) * entry_v]
            for start in range(0, channels, DEPTH):
                block = min(DEPTH, channels - start)
                for column in range(0, pitch, width):
                    wide = min(width, pitch - column)
                    right = (e * pitch + column) * channels + start * wide
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
    """How `convolve` is cut into batches of Winograd tiles: tiles per batch, number of batches, and the arrays of
    `_batches` that depend on shapes alone (in_inputs, channel, in_products, nothing), which must not be changed."""
    pitch = padded_columns(outputs, dtype)
    tiles = images * count_tiles(height, TILE) * count_tiles(width, TILE)
    room = batch_bytes // (REACH * REACH * (channels + pitch) * dtype.itemsize)
    # Every batch reads all weights. Where these are large, batches are larger, and an even number.
    least = min(MOST_TILES, channels * pitch // NUMBERS_A_TILE)
    batch = max(LEAST_TILES, room)
    if least > batch:
        batch = max(batch, count_tiles(tiles, 2 * count_tiles(tiles, 2 * least)))
    batch = padded_rows(min(tiles, batch))
    positions, channel, nothing = np.arange(batch), np.arange(channels), np.zeros(panel_columns(dtype), dtype)
    return batch, count_tiles(tiles, batch), (positions * channels, channel, positions * pitch, nothing)


def convolve(x, w, b, padding, y, kept=None):
    """Compute y, the convolution of x with w ``[3, 3, I, O]`` at stride 1, plus b if it is not None. x may be uint8."""
    images, out_height, out_width, outputs = y.shape
    channels = x.shape[3]
    width, pitch = panel_columns(w.dtype), padded_columns(outputs, w.dtype)
    batch, batches, offsets = _cut(images, out_height, out_width, channels, outputs, w.dtype, BATCH_BYTES)
    packed = made_once(
        kept,
        PACKED,
        (REACH * REACH, channels * pitch),
        w.dtype,
        lambda packed: launch(_weight_panels, count_tiles(outputs, width) * channels, w, packed, width),
    )
    bias = np.zeros(outputs, w.dtype) if b is None else b

    def work(lo, hi):
        tile = scratch.get("winograd tile", (REACH * REACH * max(channels, outputs),), w.dtype)
        inputs = scratch.get("winograd inputs", (REACH * REACH, batch, channels), w.dtype)
        products = scratch.get("winograd products", (REACH * REACH, batch, pitch), w.dtype)
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
    kh, kw, inputs, outputs = w.shape
    flipped = scratch.get("flipped weights", (kh, kw, outputs, inputs), w.dtype)
    launch(_flip, kh * kw * count_tiles(outputs, FLIPPED), w, flipped)
    convolve(dy, flipped, None, (kh - 1 - padding[0], kw - 1 - padding[1]), dx)


@kernel
def _transform_tiles(x, spikes, extent, dy, of_dy, padding, tile, inputs, gradients, panel, first, count, lo, hi):
    """Transform Winograd tiles first + lo..first + hi-1 of x and dy to the places lo..hi-1 of the batch.

    x, spikes and dy are `rows.as_bytes` of arrays of the shapes extent and of_dy.
    inputs is ``[36, blocks, batch, size]``, and gradients is ``[36, batch pitch]``, panels of that width.
    """
    _, height, width, outputs = of_dy
    channels = extent[3]
    down, across = -(-height // TILE), -(-width // TILE)
    _, blocks, batch, size = inputs.shape
    flat_v, flat_g = inputs.reshape(-1), gradients.reshape(-1)
    entry_v, entry_g = blocks * batch * size, gradients.shape[1]
    pitch = entry_g // batch
    for k in range(lo, hi):
        image, position = (first + k) // (down * across), (first + k) % (down * across)
        top, left = position // across * TILE, position % across * TILE
        _cut_out(x, spikes, extent, image, top - padding[0], left - padding[1], REACH, tile)
        for block in range(blocks):
            begin = block * size
            _transform_input(
                flat_v,
                (block * batch + k) * size,
                REACH * entry_v,
                entry_v,
                tile,
                begin,
                REACH * channels,
                channels,
                min(size, channels - begin),
            )
        _cut_out(dy, False, of_dy, image, top, left, TILE, tile)
        for begin in range(0, outputs, panel):
            wide = min(panel, pitch - begin)
            _transform_gradient(
                flat_g,
                begin * batch + k * wide,
                REACH * entry_g,
                entry_g,
                tile,
                begin,
                TILE * outputs,
                outputs,
                min(wide, outputs - begin),
            )


@kernel
def _multiply_tiles(inputs, gradients, width, count, sums, channel, in_batch, in_sums, nothing, fresh, lo, hi):
    """Add inputs^T gradients of a batch to sums ``[36, blocks size, pitch]``. An item is an entry and channel block.

    channel is 0, 1, ...; in_batch and in_sums are where rows of inputs and sums begin; nothing is a row of zeros.
    """
    _, blocks, batch, size = inputs.shape
    pitch = sums.shape[2]
    left, right, total = inputs.reshape(-1), gradients.reshape(-1), sums.reshape(-1)
    for item in range(lo, hi):
        e = item // blocks
        mine = left[item * batch * size : (item + 1) * batch * size]
        for start in range(0, count, DEPTH):
            depth = min(DEPTH, count - start)
            for first in range(0, pitch, width):
                wide = min(width, pitch - first)
                for m in range(0, size, TILE_ROWS):
                    multiply_rows(
                        mine,
                        channel,
                        m,
                        in_batch,
                        start,
                        depth,
                        right,
                        (e * pitch + first) * batch + start * wide,
                        wide,
                        nothing,
                        0,
                        total,
                        item * size * pitch + first,
                        in_sums,
                        m,
                        fresh and start == 0,
                    )


@kernel
def _collect(sums, dw, lo, hi):
    """Transform the sums back into dw, for input channels lo..hi-1."""
    _, rows, pitch = sums.shape
    _, _, channels, outputs = dw.shape
    flat, total = dw.reshape(-1), sums.reshape(-1)
    for c in range(lo, hi):
        _transform_sums(
            flat,
            c * outputs,
            3 * channels * outputs,
            channels * outputs,
            total,
            c * pitch,
            REACH * rows * pitch,
            rows * pitch,
            outputs,
        )


def weight_gradient(x, dy, padding, dw):
    """Compute dw of `convolve`. x may be uint8."""
    images, height, width, outputs = dy.shape
    channels = x.shape[3]
    size, panel = 2 * TILE_ROWS, panel_columns(dw.dtype)
    blocks, pitch = count_tiles(channels, size), padded_columns(outputs, dw.dtype)
    tiles = images * count_tiles(height, TILE) * count_tiles(width, TILE)
    entries = REACH * REACH
    per_channel = entries * dw.dtype.itemsize
    least, most = GRADIENT_BATCH_BYTES
    room = min(most, max(least, per_channel * blocks * size * pitch)) // (per_channel * (blocks * size + pitch))
    batch = min(tiles, max(32, room))
    inputs = scratch.get("winograd inputs", (entries, blocks, batch, size), dw.dtype)
    gradients = scratch.get("winograd gradients", (entries, batch * pitch), dw.dtype)
    sums = scratch.get("winograd sums", (entries, blocks * size, pitch), dw.dtype)
    if blocks * size > channels:
        inputs[:, -1] = 0
    if pitch > outputs:
        gradients[:, (outputs - 1) // panel * panel * batch :] = 0  # the last panel
    channel, in_batch, in_sums = np.arange(size), np.arange(batch) * size, np.arange(size) * pitch
    nothing = np.zeros(panel, dw.dtype)
    pictures = *as_bytes(x), x.shape, as_bytes(dy)[0], dy.shape
    for first in range(0, tiles, batch):
        count = min(batch, tiles - first)

        def transform(lo, hi, first=first, count=count):
            tile = scratch.get("winograd tile", (entries * max(channels, outputs),), dw.dtype)
            _transform_tiles(*pictures, padding, tile, inputs, gradients, panel, first, count, lo, hi)

        parallel_for(transform, count)
        offsets = channel, in_batch, in_sums
        launch(_multiply_tiles, entries * blocks, inputs, gradients, panel, count, sums, *offsets, nothing, first == 0)
    launch(_collect, channels, sums, dw)
