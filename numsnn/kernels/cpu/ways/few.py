"""Dense convolutions with few output channels, which would fill only a part of a register block (`product`).

Registers hold neighbouring inputs instead of neighbouring outputs. Taps that are neighbours in a row of the image read
neighbouring numbers of a tile's copy of its inputs (`positions`), which form a run. The output of a position is a sum
of dot products of runs and rows of weights (`blocks.dot_rows`). In the weight gradient, the weights of a run are a sum
of runs, one for each position, scaled by the gradient of the output (`blocks.sum_rows`). A single tap that reads the
pixel of its output needs no copy.
"""

from functools import lru_cache

import numpy as np

from ...compile import kernel
from ..inline.blocks import dot_rows, sum_rows
from ..inline.local import local
from ..inline.rows import as_bytes, clear_row
from ..inline.vector import REGISTER_BYTES
from ..run.launch import count_tiles, made_once, parallel_for, scratch
from .positions import (
    LEAST_POSITIONS,
    LEAST_TILES,
    MOST_POSITIONS,
    copy_inputs,
    first_offset,
    positions_of,
    tile_offsets,
    tile_place,
    tile_positions,
)

PACKED = "rows of weights"

MOST_OUTPUTS = 8
"""Largest number of output channels: half of a register of float32, on processors with the largest."""

PARTS = 16
"""Number of slices of the positions that the weight gradient sums over. Each has a sum of its own."""

VECTOR, DOT, ENTRY, COPY, ROW = 0.3, 0.8, 0.2, 1.7, 9.0
"""Nanoseconds of one core per vector of a run, per dot product, per run, per vector of inputs that is copied, and per
row of positions."""


def cost(taps, runs, channels, outputs, stride, extent, weight_gradient=False) -> float:
    """Nanoseconds of one core per position. `runs` is the number of runs; the other arguments are as of
    `planes.cost`."""
    lanes = REGISTER_BYTES // 4
    vectors = runs * count_tiles(taps[0] * taps[1] * channels // runs, lanes)
    sums = outputs * (vectors * VECTOR + runs * ENTRY + (0.0 if weight_gradient else DOT))
    copied = min(stride[0], taps[0]) * stride[1] * channels / lanes
    return sums + copied * COPY + ROW / extent[1]


@lru_cache(256)
def runs_of(taps):
    """The number of runs: of groups of the same size of taps that are neighbours in a row."""
    ends = [k for k, (y, x) in enumerate(zip(*taps, strict=True), 1) if (y, x + 1) != _tap(taps, k)]
    sizes = np.diff([0, *ends])
    return len(ends) if len(set(sizes.tolist())) == 1 else len(taps[0])


def _tap(taps, k):
    return (taps[0][k], taps[1][k]) if k < len(taps[0]) else None


def pack(w, kept=None, group=0):
    """Weights ``[taps, C, O]`` of any strides as rows ``[O, taps C]``.

    The rows are in scratch memory, or with a dict `kept` in this dict, under the number of the group.
    """
    taps, channels, outputs = w.shape
    key = PACKED if kept is None else (PACKED, group)

    def fill(rows):
        rows.reshape(outputs, taps, channels)[...] = w.transpose(2, 0, 1)

    return made_once(kept, key, (outputs, taps * channels), w.dtype, fill)


@kernel
def _pixel_tiles(x, pitch, first_channel, rows, bias, y, first_output, index, totals, lo, hi):
    """Compute tiles of `correlate` for a single tap, which reads the pixel of its output. x is flat, with `pitch`
    numbers per pixel, and nothing is copied. index counts the pixels of a tile, and totals is as of
    `_correlate_tiles`."""
    outputs, depth = rows.shape
    weights, sums, flat, most = rows.reshape(-1), totals.reshape(-1), y.reshape(-1), len(index)
    step, pixels = y.shape[3], len(x) // pitch
    base, start = local(1, np.int64), local(1, np.int64)
    for tile in range(lo, hi):
        first = tile * most
        count = min(most, pixels - first)
        start[0] = first * pitch + first_channel
        for o in range(outputs):
            base[0] = o * depth
            dot_rows(sums, o * most, index, 0, count, weights, base, x, start, pitch, depth, 1)
        for m in range(count):
            for o in range(outputs):
                flat[(first + m) * step + first_output + o] = totals[o, m] + bias[o]


@kernel
def _correlate_tiles(
    x,
    spikes,
    extent,
    first_channel,
    channels,
    tiling,
    pixel,
    start,
    rows,
    bias,
    y,
    first_output,
    origin,
    apart,
    in_y,
    source,
    totals,
    lo,
    hi,
):
    """Compute tiles of `correlate`. x and spikes are `rows.as_bytes` of the images of shape extent.

    pixel is where a position's inputs begin in the copy, in pixels; start is where the runs begin, relative to that;
    in_y are the offsets of a tile's positions in y. totals ``[O, pixels of the copy]`` gets the dot products.
    """
    outputs, depth = rows.shape
    runs = len(start)
    run = depth // runs
    flat, weights, sums = y.reshape(-1), rows.reshape(-1), totals.reshape(-1)
    base = local(runs, np.int64)
    for tile in range(lo, hi):
        place = tile_place(tiling, tile)
        copy_inputs(x, spikes, extent, first_channel, channels, channels, tiling, place, source)
        _, _, _, images, high, wide = place
        at = first_offset(place, y.shape, origin, apart, first_output)
        positions = images * high * wide
        for o in range(outputs):
            for g in range(runs):
                base[g] = o * depth + g * run
            dot_rows(sums, o * totals.shape[1], pixel, 0, positions, weights, base, source, start, channels, run, runs)
        for m in range(positions):
            for o in range(outputs):
                flat[at + in_y[m] + o] = totals[o, pixel[m]] + bias[o]


def correlate(x, first_channel, taps, stride, rows, bias, y, first_output=0, origin=(0, 0), step=(1, 1)):
    """See `product.correlate`; rows are the weights, as `pack` makes them."""
    channels = rows.shape[1] // len(taps[0])
    height, width = positions_of(y.shape, origin, step)
    if taps == ((0,), (0,)) and x.shape[1:3] == y.shape[1:3] == (height, width):
        pixels = len(x) * height * width
        index = np.arange(min(MOST_POSITIONS, max(LEAST_POSITIONS, pixels // LEAST_TILES)))

        def work_on_pixels(lo, hi):
            totals = scratch.get("sums", (len(rows), len(index)), y.dtype)
            _pixel_tiles(x.reshape(-1), x.shape[3], first_channel, rows, bias, y, first_output, index, totals, lo, hi)

        parallel_for(work_on_pixels, count_tiles(pixels, len(index)))
        return
    tiling, position, tap = tile_positions(len(x), height, width, taps, stride, channels)
    pixel, start = position // channels, _starts(tap, taps)
    in_y = tile_offsets(tiling, step, y.shape[1:])

    def work(lo, hi):
        source = scratch.get("inputs", (tiling.pixels * channels,), y.dtype)
        totals = scratch.get("sums", (len(rows), tiling.pixels), y.dtype)
        _correlate_tiles(
            *as_bytes(x),
            x.shape,
            first_channel,
            channels,
            tiling,
            pixel,
            start,
            rows,
            bias,
            y,
            first_output,
            origin,
            step,
            in_y,
            source,
            totals,
            lo,
            hi,
        )

    parallel_for(work, tiling.tiles)


def _starts(tap, taps):
    """Where the runs begin in a tile's copy, relative to a position."""
    return tap[:: len(taps[0]) // runs_of(taps), 0].astype(np.int64)


@kernel
def _weight_gradient_parts(
    x,
    spikes,
    extent,
    first_channel,
    channels,
    tiling,
    position,
    start,
    dy,
    first_output,
    tiles,
    size,
    source,
    value,
    sums,
    lo,
    hi,
):
    """Compute parts of `weight_gradient`, each of `size` of the tiles. sums is ``[parts, O, taps C]``."""
    _, outputs, depth = sums.shape
    runs = len(start)
    run, pitch = depth // runs, dy.shape[3]
    slopes, flat = dy.reshape(-1), sums.reshape(-1)
    for part in range(lo, hi):
        clear_row(flat, part * outputs * depth, outputs * depth)
        for tile in range(part * size, min(tiles, (part + 1) * size)):
            place = tile_place(tiling, tile)
            image, row, column, images, high, wide = place
            copy_inputs(x, spikes, extent, first_channel, channels, channels, tiling, place, source)
            begin = (image * tiling.height + row) * tiling.width + column
            count = images * high * wide
            for o in range(outputs):
                for n in range(count):
                    value[n] = slopes[(begin + n) * pitch + first_output + o]
                for g in range(runs):
                    at = (part * outputs + o) * depth + g * run
                    sum_rows(flat, at, flat, at, source, start[g], run, position, value, 0, count)


def weight_gradient(x, first_channel, taps, stride, dy, first_output, dw):
    """See `product.weight_gradient`."""
    depth, outputs = dw.shape
    images, height, width, _ = dy.shape
    channels = depth // len(taps[0])
    tiling, position, tap = tile_positions(images, height, width, taps, stride, channels, PARTS)
    start = _starts(tap, taps)
    size = count_tiles(tiling.tiles, PARTS)
    parts = count_tiles(tiling.tiles, size)
    sums = scratch.get("gradient parts", (parts, outputs, depth), dw.dtype)

    def work(lo, hi):
        source = scratch.get("inputs", (tiling.pixels * channels,), dw.dtype)
        value = scratch.get("values", (len(position),), dw.dtype)
        _weight_gradient_parts(
            *as_bytes(x),
            x.shape,
            first_channel,
            channels,
            tiling,
            position,
            start,
            dy,
            first_output,
            tiling.tiles,
            size,
            source,
            value,
            sums,
            lo,
            hi,
        )

    parallel_for(work, parts)
    dw[...] = np.add.reduce(sums, axis=0, dtype=np.float64).T
