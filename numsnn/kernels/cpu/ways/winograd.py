"""Winograd's minimal filtering for 3x3 convolutions of stride 1: a quarter of the multiplications.

F(4x4, 3x3) of Lavin and Gray 2016 (arXiv:1509.09308): a tile of 4x4 outputs of one channel pair takes 36
multiplications instead of 144. Input tiles of 6x6 pixels and the weights are transformed, their 36 entries multiplied
channel by channel, 36 matrix products, and the products transformed back. In float32 the result is exact to about
1e-6 by norm, five times the rounding of the plain sum.
"""

from fractions import Fraction
from math import prod

import numpy as np

from ...compile import kernel
from ..inline.blocks import TILE_ROWS, multiply_tile, panel_columns, square_transform
from ..inline.vector import clear_row, copy_row
from ..run.launch import count_tiles, launch, made_once, parallel_for, scratch
from .product import DEPTH, padded_rows

PACKED = "transformed weights"

TILE = 4
"""Outputs of a tile, each way."""

REACH = TILE + 2
"""Inputs of a tile, each way."""

BATCH_BYTES = 2 << 20
"""Of transformed inputs and products that are worked on at a time."""

POINTS = tuple(map(Fraction, ("0", "2/3", "-2/3", "3/2", "-3/2")))
"""Where the polynomials behind the filtering are evaluated, besides infinity. With these the error is half as large as
with the usual 0, 1, -1, 2, -2 and its extremes a fifth (measured on normal numbers)."""


def _polynomial(roots):
    """Coefficients of the polynomial with these roots, the constant one first."""
    coefficients = [1]
    for root in roots:
        coefficients = [a - root * b for a, b in zip([0, *coefficients], [*coefficients, 0], strict=True)]
    return coefficients


def _matrices(points):
    """B^T, G and A^T of the paper, by Toom and Cook's construction: y = A^T [(G g) (B^T d)] in one dimension."""
    others = [[q for q in points if q != p] for p in points]
    inputs = [[*_polynomial(rest), 0] for rest in others] + [_polynomial(points)]
    weights = [[p**k / prod(p - q for q in rest) for k in range(3)] for p, rest in zip(points, others, strict=True)]
    products = [[*(p**i for p in points), i == TILE - 1] for i in range(TILE)]
    return tuple(tuple(tuple(map(float, row)) for row in m) for m in (inputs, [*weights, [0, 0, 1]], products))


INPUT, WEIGHTS, PRODUCTS = _matrices(POINTS)

GRADIENT_BATCH_BYTES = 3 << 20, 24 << 20
"""Of transformed inputs and gradients that the weight gradient works on at a time: as much as the sums they go to, but
within these bounds."""

_transform_input, _transform_weights, _transform_products = map(square_transform, (INPUT, WEIGHTS, PRODUCTS))
_transform_gradient, _transform_sums = (square_transform(tuple(zip(*m, strict=True))) for m in (PRODUCTS, WEIGHTS))


@kernel
def _weight_panels(w, packed, lo, hi):
    """packed ``[36, panels, K, width]`` of w ``[3, 3, K, N]``; work is shared out by panels and rows k."""
    _, panels, depth, width = packed.shape
    outputs = w.shape[3]
    flat, source = packed.reshape(-1), w.reshape(-1)
    entry = panels * depth * width
    for item in range(lo, hi):
        panel, k = item // depth, item % depth
        at = (panel * depth + k) * width
        size = min(width, outputs - panel * width)
        if size < width:
            for e in range(REACH * REACH):
                flat[e * entry + at : e * entry + at + width] = 0
        _transform_weights(
            flat,
            at,
            REACH * entry,
            entry,
            source,
            k * outputs + panel * width,
            3 * depth * outputs,
            depth * outputs,
            size,
        )


@kernel
def _flip(w, flipped, lo, hi):
    """flipped ``[3, 3, O, I]`` = w ``[3, 3, I, O]`` turned around and transposed, by blocks of eight of O."""
    kh, kw, inputs, outputs = w.shape
    for item in range(lo, hi):
        tap, block = item // (-(-outputs // 8)), item % (-(-outputs // 8))
        ky, kx = tap // kw, tap % kw
        for i in range(inputs):
            for o in range(block * 8, min(outputs, block * 8 + 8)):
                flipped[kh - 1 - ky, kw - 1 - kx, o, i] = w[ky, kx, i, o]


@kernel
def _cut_out(x, image, top, left, extent, tile):
    """extent x extent pixels of an image from (top, left) on, zero outside: tile ``[extent, extent, C]``, flat."""
    _, height, width, channels = x.shape
    flat = x.reshape(-1)
    for i in range(extent):
        row = ((image * height + top + i) * width + left) * channels
        for j in range(extent):
            at = (i * extent + j) * channels
            if 0 <= top + i < height and 0 <= left + j < width:
                copy_row(tile, at, flat, row + j * channels, channels)
            else:
                clear_row(tile, at, channels)


@kernel
def _batches(x, packed, bias, has_bias, padding, y, tile, inputs, products, batch, lo, hi):
    """Batches of tiles lo..hi-1. tile ``[36 max(I, O)]`` takes tiles that stick out, or are spikes; inputs and products
    are ``[36, batch, channels]``."""
    images, _, _, channels = x.shape
    _, out_height, out_width, outputs = y.shape
    down, across = -(-out_height // TILE), -(-out_width // TILE)
    _, panels, depth, columns = packed.shape
    pitch = panels * columns
    flat_v, flat_u, flat_m, flat_y = inputs.reshape(-1), packed.reshape(-1), products.reshape(-1), y.reshape(-1)
    entry_v, entry_m = batch * channels, batch * pitch
    for number in range(lo, hi):
        first = number * batch
        count = min(batch, images * down * across - first)
        for k in range(count):
            image, position = (first + k) // (down * across), (first + k) % (down * across)
            top, left = position // across * TILE - padding[0], position % across * TILE - padding[1]
            _cut_out(x, image, top, left, REACH, tile)
            _transform_input(
                flat_v, k * channels, REACH * entry_v, entry_v, tile, 0, REACH * channels, channels, channels
            )
        for e in range(REACH * REACH):
            for start in range(0, depth, DEPTH):
                block = min(DEPTH, depth - start)
                for panel in range(panels):
                    for m in range(0, count, TILE_ROWS):
                        multiply_tile(
                            flat_v,
                            e * entry_v + m * channels + start,
                            channels,
                            1,
                            flat_u,
                            ((e * panels + panel) * depth + start) * columns,
                            block,
                            flat_m,
                            e * entry_m + m * pitch + panel * columns,
                            pitch,
                            start == 0,
                        )
        for k in range(count):
            image, position = (first + k) // (down * across), (first + k) % (down * across)
            top, left = position // across * TILE, position % across * TILE
            tall, wide = min(TILE, out_height - top), min(TILE, out_width - left)
            at = ((image * out_height + top) * out_width + left) * outputs
            if tall == TILE and wide == TILE:
                _transform_products(
                    flat_y, at, out_width * outputs, outputs, flat_m, k * pitch, REACH * entry_m, entry_m, outputs
                )
            else:
                _transform_products(
                    tile, 0, TILE * outputs, outputs, flat_m, k * pitch, REACH * entry_m, entry_m, outputs
                )
                for i in range(tall):
                    for j in range(wide):
                        copy_row(flat_y, at + (i * out_width + j) * outputs, tile, (i * TILE + j) * outputs, outputs)
            if has_bias:
                for i in range(tall):
                    for j in range(wide):
                        target = y[image, top + i, left + j]
                        for c in range(outputs):
                            target[c] += bias[c]


def convolve(x, w, b, padding, y, kept=None):
    """y = x convolved with w ``[3, 3, I, O]``, stride 1, plus b or None; x may be uint8."""
    images, out_height, out_width, outputs = y.shape
    channels = x.shape[3]
    columns = panel_columns(w.dtype)
    panels = count_tiles(outputs, columns)
    packed = made_once(
        kept,
        PACKED,
        (REACH * REACH, panels, channels, columns),
        w.dtype,
        lambda packed: launch(_weight_panels, panels * channels, w, packed),
    )
    tiles = images * count_tiles(out_height, TILE) * count_tiles(out_width, TILE)
    pitch = panels * columns
    room = BATCH_BYTES // (REACH * REACH * (channels + pitch) * w.dtype.itemsize)
    batch = padded_rows(min(tiles, max(32, room)))
    bias = np.zeros(outputs, w.dtype) if b is None else b

    def work(lo, hi):
        tile = scratch.get("winograd tile", (REACH * REACH * max(channels, outputs),), w.dtype)
        inputs = scratch.get("winograd inputs", (REACH * REACH, batch, channels), w.dtype)
        products = scratch.get("winograd products", (REACH * REACH, batch, pitch), w.dtype)
        _batches(x, packed, bias, b is not None, padding, y, tile, inputs, products, batch, lo, hi)

    parallel_for(work, count_tiles(tiles, batch))


def convolve_backward_input(dy, w, padding, dx):
    """dx of `convolve`: dy convolved with the weights turned around."""
    kh, kw, inputs, outputs = w.shape
    flipped = scratch.get("flipped weights", (kh, kw, outputs, inputs), w.dtype)
    launch(_flip, kh * kw * count_tiles(outputs, 8), w, flipped)
    convolve(dy, flipped, None, (kh - 1 - padding[0], kw - 1 - padding[1]), dx)


@kernel
def _transform_tiles(x, dy, padding, tile, inputs, gradients, first, count, lo, hi):
    """Tiles first + lo..first + hi-1 of both, into the batch's places lo..hi-1: inputs ``[36, blocks, batch, size]``,
    gradients ``[36, panels, batch, width]``."""
    _, height, width, outputs = dy.shape
    channels = x.shape[3]
    down, across = -(-height // TILE), -(-width // TILE)
    _, blocks, batch, size = inputs.shape
    panels, columns = gradients.shape[1], gradients.shape[3]
    flat_v, flat_g = inputs.reshape(-1), gradients.reshape(-1)
    entry_v, entry_g = blocks * batch * size, panels * batch * columns
    for k in range(lo, hi):
        image, position = (first + k) // (down * across), (first + k) % (down * across)
        top, left = position // across * TILE, position % across * TILE
        _cut_out(x, image, top - padding[0], left - padding[1], REACH, tile)
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
        _cut_out(dy, image, top, left, TILE, tile)
        for panel in range(panels):
            begin = panel * columns
            _transform_gradient(
                flat_g,
                (panel * batch + k) * columns,
                REACH * entry_g,
                entry_g,
                tile,
                begin,
                TILE * outputs,
                outputs,
                min(columns, outputs - begin),
            )


@kernel
def _multiply_tiles(inputs, gradients, count, sums, fresh, lo, hi):
    """sums ``[36, blocks size, pitch]`` += inputs^T gradients over a batch; items are entries and channel blocks."""
    _, blocks, batch, size = inputs.shape
    panels, columns = gradients.shape[1], gradients.shape[3]
    pitch = panels * columns
    left, right, total = inputs.reshape(-1), gradients.reshape(-1), sums.reshape(-1)
    for item in range(lo, hi):
        e = item // blocks
        for start in range(0, count, DEPTH):
            depth = min(DEPTH, count - start)
            for panel in range(panels):
                for m in range(0, size, TILE_ROWS):
                    multiply_tile(
                        left,
                        (item * batch + start) * size + m,
                        1,
                        size,
                        right,
                        ((e * panels + panel) * batch + start) * columns,
                        depth,
                        total,
                        (item * size + m) * pitch + panel * columns,
                        pitch,
                        fresh and start == 0,
                    )


@kernel
def _collect(sums, dw, lo, hi):
    """Rows lo..hi-1 (input channels) of dw."""
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
    """dw of `convolve`: x may be uint8."""
    images, height, width, outputs = dy.shape
    channels = x.shape[3]
    size, columns = 2 * TILE_ROWS, panel_columns(dw.dtype)
    blocks, panels = count_tiles(channels, size), count_tiles(outputs, columns)
    tiles = images * count_tiles(height, TILE) * count_tiles(width, TILE)
    entries, pitch = REACH * REACH, panels * columns
    per_channel = entries * dw.dtype.itemsize
    least, most = GRADIENT_BATCH_BYTES
    room = min(most, max(least, per_channel * blocks * size * pitch)) // (per_channel * (blocks * size + pitch))
    batch = min(tiles, max(32, room))
    inputs = scratch.get("winograd inputs", (entries, blocks, batch, size), dw.dtype)
    gradients = scratch.get("winograd gradients", (entries, panels, batch, columns), dw.dtype)
    sums = scratch.get("winograd sums", (entries, blocks * size, pitch), dw.dtype)
    if blocks * size > channels:
        inputs[:, -1] = 0
    if pitch > outputs:
        gradients[:, -1] = 0
    for first in range(0, tiles, batch):
        count = min(batch, tiles - first)

        def transform(lo, hi, first=first, count=count):
            tile = scratch.get("winograd tile", (entries * max(channels, outputs),), dw.dtype)
            _transform_tiles(x, dy, padding, tile, inputs, gradients, first, count, lo, hi)

        parallel_for(transform, count)
        launch(_multiply_tiles, entries * blocks, inputs, gradients, count, sums, first == 0)
    launch(_collect, channels, sums, dw)
