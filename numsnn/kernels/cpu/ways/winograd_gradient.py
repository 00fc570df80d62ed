"""The gradient of the weights by Winograd's minimal filtering: see `winograd`.

Inputs are transformed as in the forward pass, and gradients of the output as the products there, but the other way. The
entries of all Winograd tiles are multiplied and added, and the sums are transformed back.
"""

from functools import lru_cache

import numpy as np

from ...compile import kernel
from ..inline.blocks import TILE_ROWS, multiply_rows, panel_columns, square_transform
from ..inline.rows import as_bytes
from ..run.launch import count_tiles, launch, parallel_for, scratch
from .panels import DEPTH, padded_columns
from .winograd import apart, cut_out, transform_input
from .winograd_matrices import PRODUCTS, REACH, TILE, WEIGHTS

GRADIENT_BATCH_BYTES = 3 << 20, 24 << 20
"""Bounds of the bytes of transformed inputs and gradients that the weight gradient uses at a time. Within these bounds
they are as large as the sums that they are added to."""

_transform_gradient, _transform_sums = (square_transform(tuple(zip(*m, strict=True))) for m in (PRODUCTS, WEIGHTS))


@kernel
def _transform_tiles(
    x, spikes, extent, dy, of_dy, padding, tile, inputs, gradients, batch, size, pitch, panel, first, lo, hi
):
    """Transform Winograd tiles first + lo..first + hi-1 of x and dy to the places lo..hi-1 of the batch.

    x, spikes and dy are `rows.as_bytes` of arrays of the shapes extent and of_dy.
    inputs is ``[36, ...]``, with ``[blocks, batch, size]`` per entry, and gradients is ``[36, ...]``, with panels of
    `pitch` columns together.
    """
    _, height, width, outputs = of_dy
    channels = extent[3]
    down, across = -(-height // TILE), -(-width // TILE)
    blocks = -(-channels // size)
    flat_v, flat_g = inputs.reshape(-1), gradients.reshape(-1)
    entry_v, entry_g = inputs.shape[1], gradients.shape[1]
    for k in range(lo, hi):
        image, position = (first + k) // (down * across), (first + k) % (down * across)
        top, left = position // across * TILE, position % across * TILE
        cut_out(x, spikes, extent, image, top - padding[0], left - padding[1], REACH, tile)
        for block in range(blocks):
            begin = block * size
            transform_input(
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
        cut_out(dy, False, of_dy, image, top, left, TILE, tile)
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
def _multiply_tiles(
    inputs, gradients, pitch, width, blocks, channels, count, sums, channel, in_batch, in_sums, nothing, fresh, lo, hi
):
    """Add inputs^T gradients of a batch to sums ``[36, ...]``, with ``[blocks size, pitch]`` per entry. An item is an
    entry and a block of channels.

    channel is 0, 1, ...; in_batch and in_sums are where rows of inputs and sums begin; nothing is a row of zeros.
    """
    batch, size = len(in_batch), len(channel)
    left, right, total = inputs.reshape(-1), gradients.reshape(-1), sums.reshape(-1)
    entry_v, entry_g, entry_s = inputs.shape[1], gradients.shape[1], sums.shape[1]
    for item in range(lo, hi):
        e, block = item // blocks, item % blocks
        mine = left[e * entry_v + block * batch * size : e * entry_v + (block + 1) * batch * size]
        for start in range(0, count, DEPTH):
            depth = min(DEPTH, count - start)
            for first in range(0, pitch, width):
                wide = min(width, pitch - first)
                for m in range(0, min(size, channels - block * size), TILE_ROWS):
                    multiply_rows(
                        mine,
                        channel,
                        m,
                        in_batch,
                        start,
                        depth,
                        right,
                        e * entry_g + first * batch + start * wide,
                        wide,
                        nothing,
                        0,
                        total,
                        e * entry_s + block * size * pitch + first,
                        in_sums,
                        m,
                        fresh and start == 0,
                    )


@kernel
def _collect(sums, pitch, dw, lo, hi):
    """Transform the sums back into dw, for input channels lo..hi-1."""
    entry = sums.shape[1]
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
            REACH * entry,
            entry,
            outputs,
        )


@lru_cache(256)
def _cut(shape, outputs, channels, dtype, bounds):
    """How the gradient is cut into batches of Winograd tiles, for a gradient of the output of a shape.

    Returns:
        Numbers: of all tiles, per batch, of channels per block, of blocks, and of columns of all panels; the shapes of
        the tile, inputs, gradients and sums of the kernels; and their arrays that depend on shapes alone (channel,
        in_batch, in_sums, nothing), which must not be changed.
    """
    images, height, width, _ = shape
    size, entries = 2 * TILE_ROWS, REACH * REACH
    blocks, pitch = count_tiles(channels, size), padded_columns(outputs, dtype)
    tiles = images * count_tiles(height, TILE) * count_tiles(width, TILE)
    per_channel = entries * dtype.itemsize
    least, most = bounds
    room = min(most, max(least, per_channel * blocks * size * pitch)) // (per_channel * (blocks * size + pitch))
    batch = min(tiles, max(32, room))
    numbers = blocks * batch * size, batch * pitch, blocks * size * pitch
    shapes = (entries * max(channels, outputs),), *((entries, apart(count, dtype)) for count in numbers)
    nothing = np.zeros(panel_columns(dtype), dtype)
    offsets = np.arange(size), np.arange(batch) * size, np.arange(size) * pitch, nothing
    return (tiles, batch, size, blocks, pitch), shapes, offsets


def weight_gradient(x, dy, padding, dw):
    """Compute dw of `winograd.convolve`. x may be uint8."""
    channels, outputs, dtype, panel = x.shape[3], dy.shape[3], dw.dtype, panel_columns(dw.dtype)
    counts, (of_tile, *shapes), offsets = _cut(dy.shape, outputs, channels, dtype, GRADIENT_BATCH_BYTES)
    tiles, batch, size, blocks, pitch = counts
    names = "inputs", "gradients", "sums"
    arrays = (scratch.get(f"winograd {name}", shape, dtype) for name, shape in zip(names, shapes, strict=True))
    inputs, gradients, sums = arrays
    if channels % TILE_ROWS:  # otherwise no register block reads beyond the last channel
        inputs[:, (blocks - 1) * batch * size :] = 0
    if pitch > outputs:
        gradients[:, (outputs - 1) // panel * panel * batch :] = 0  # the last panel
    pictures = *as_bytes(x), x.shape, as_bytes(dy)[0], dy.shape
    for first in range(0, tiles, batch):
        count = min(batch, tiles - first)

        def transform(lo, hi, first=first):
            tile = scratch.get("winograd tile", of_tile, dtype)
            _transform_tiles(*pictures, padding, tile, inputs, gradients, batch, size, pitch, panel, first, lo, hi)

        parallel_for(transform, count)
        cut = pitch, panel, blocks, channels, count
        launch(_multiply_tiles, REACH * REACH * blocks, inputs, gradients, *cut, sums, *offsets, first == 0)
    launch(_collect, channels, sums, pitch, dw)
