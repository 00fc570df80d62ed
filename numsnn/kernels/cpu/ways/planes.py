"""Dense convolutions between few channels: vectors hold neighbouring positions instead of channels.

A tile copies the inputs of its positions to planes, one per channel, with zeros around the image. Rows of a plane lie
one behind the other, so that a tap of all positions of the tile is one run of numbers. Between the rows lie positions
without a meaning, which are computed and not written. With a stride, the columns and rows of an image are split into
phases by their remainders, and each phase that a tap reads has a plane of its own.

In the weight gradient, the output's gradient is copied to planes as well, with zeros where positions have no meaning.
Products of planes are summed lane by lane, and the lanes at the end.
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ...compile import kernel, register_jitable
from ..inline.planes import DEPTH, VECTORS, correlate_planes, multiply_planes
from ..inline.rows import as_bytes, clear_row, copy_apart, copy_numbers
from ..inline.vector import REGISTER_BYTES, lanes
from ..run.launch import count_tiles, parallel_for, scratch
from .positions import positions_of

MOST_OUTPUTS = 8
"""Largest number of output channels."""

MOST_POSITIONS, LEAST_POSITIONS = 2048, 64
"""Bounds of the number of positions per tile, if there are enough of them."""

INPUT_ELEMENTS = 65536
"""Elements of the planes of a tile, unless a single row needs more: 256 KiB of float32."""

TILES = 16
"""There are at least about this number of tiles for the threads, if there are enough positions, and the weight gradient
has at most this number of partial sums."""

COPY, ROW, LOAD = 0.33, 8.0, 0.22
"""Nanoseconds of one core per number that is copied to or from a plane, per row of them, and per vector that is loaded
and multiplied for one or two outputs. A vector of a plane often lies in two cache lines."""


class Plan(NamedTuple):
    """How positions are cut into tiles, and what the planes of a tile hold.

    A tile is a number of rows of positions of one image, or a block of images. It has a plane per channel and phase,
    ``[channels, phases, block, tall, wide]``.

    Attributes:
        images, height, width: number of images, and of positions in them.
        block, rows: images and rows of positions per tile.
        tall, wide: extent of the plane of one image.
        start_y, start_x: ``[phases]``, the row and column of the image, relative to the first position, that a plane
            begins with.
        stride_y, stride_x: the distance in the image of neighbours in a plane.
        offset: where the inputs of the first position are in the planes, per tap and channel, filled up to a multiple
            of DEPTH.
    """

    images: int
    height: int
    width: int
    block: int
    rows: int
    tall: int
    wide: int
    start_y: np.ndarray
    start_x: np.ndarray
    stride_y: int
    stride_x: int
    offset: np.ndarray

    @property
    def tiles(self):
        """The number of tiles."""
        return count_tiles(self.images, self.block) * count_tiles(self.height, self.rows)

    @property
    def span(self):
        """Positions of a tile, with those that have no meaning."""
        return self.block * self.tall * self.wide


def cost(taps, channels, outputs, stride, extent) -> float:
    """Nanoseconds of one core per position.

    Args:
        taps: number of taps, a pair (vertical, horizontal).
        channels, outputs: numbers of input and output channels.
        stride: pair (vertical, horizontal).
        extent: (height, width) of the positions.
    """
    read = prod(min(step, count) for step, count in zip(stride, taps, strict=True))
    vectors = prod(taps) * channels / (REGISTER_BYTES // 4) * count_tiles(outputs, 2)
    meaningless = prod(1 + (count - 1) // step / size for count, step, size in zip(taps, stride, extent, strict=True))
    return (channels * read + outputs) * (COPY + ROW / extent[1]) + vectors * LOAD * meaningless


@lru_cache(256)
def _plan(images, height, width, taps_y, taps_x, stride, channels):
    """The plan for taps at these offsets."""
    steps = [np.divmod(taps, step) for taps, step in zip((taps_y, taps_x), stride, strict=True)]
    (down, phase_y), (across, phase_x) = steps
    top, left = down.min(), across.min()
    phases = sorted(set(zip(phase_y.tolist(), phase_x.tolist(), strict=True)))
    beyond_y, wide = int(down.max() - top), int(width + across.max() - left)
    most = min(MOST_POSITIONS, max(LEAST_POSITIONS, images * height * width // TILES))
    largest = INPUT_ELEMENTS // (channels * len(phases) * wide)  # rows of the planes of a tile
    rows = max(1, min(height, most // width, largest - beyond_y))
    rows = count_tiles(height, count_tiles(height, rows))
    tall = rows + beyond_y
    block = max(1, min(images, most // (height * width), largest // tall)) if rows == height else 1
    number = np.array([phases.index(phase) for phase in zip(phase_y.tolist(), phase_x.tolist(), strict=True)])
    inside = (down - top) * wide + across - left
    plane = np.arange(channels) * len(phases) + number[:, None]
    offset = np.zeros(count_tiles(inside.size * channels, DEPTH) * DEPTH, np.int64)
    offset[: plane.size] = (plane * (block * tall * wide) + inside[:, None]).reshape(-1)
    start_y, start_x = (
        first * step + np.array(those, np.int64)
        for first, step, those in zip((top, left), stride, zip(*phases, strict=True), strict=True)
    )
    return Plan(images, height, width, block, rows, tall, wide, start_y, start_x, *stride, offset)


@register_jitable
def _place(plan, tile):
    """The first image and row of a tile, how many images and rows it has, and how many positions."""
    down = -(-plan.height // plan.rows)
    image, row = tile // down * plan.block, tile % down * plan.rows
    images, rows = min(plan.block, plan.images - image), min(plan.rows, plan.height - row)
    return image, row, images, rows, ((images - 1) * plan.tall + rows - 1) * plan.wide + plan.width


@register_jitable
def _fill(x, spikes, extent, first_channel, channels, plan, place, line, planes):
    """Copy the inputs of a tile to its planes. x and spikes are `rows.as_bytes` of the images of shape extent."""
    _, height, width, all_channels = extent
    image, row, images, rows, _ = place
    wide, step, phases = plan.wide, plan.stride_x * all_channels, len(plan.start_y)
    size = plan.block * plan.tall * wide
    for b in range(images):
        for r in range(plan.tall - plan.rows + rows):
            held = -1  # the row of the image that line holds
            for phase in range(phases):
                left, at = plan.start_x[phase], ((phase * plan.block + b) * plan.tall + r) * wide
                y = (row + r) * plan.stride_y + plan.start_y[phase]
                begin = ((image + b) * height + y) * width * all_channels
                # Columns before..behind-1 of the plane lie in the image.
                before = min(wide, max(0, -(left // plan.stride_x)))
                behind = min(wide, max(before, -((left - width) // plan.stride_x)))
                behind = behind if 0 <= y < height else before
                if behind > before and step > 1 and held != y:
                    held = y
                    copy_numbers(line, 0, x, begin, width * all_channels, spikes)
                first, count = (left + before * plan.stride_x) * all_channels + first_channel, behind - before
                for c in range(channels):
                    to = at + c * phases * size
                    clear_row(planes, to, before)
                    if step == 1:
                        copy_numbers(planes, to + before, x, begin + first, count, spikes)
                    else:
                        copy_apart(planes, to + before, 1, line, first + c, step, count)
                    clear_row(planes, to + behind, wide - behind)


def _memory(plan, channels, row, dtype):
    """Memory for a row of pixels, and for a tile's planes. The last vectors are read beyond the planes."""
    beyond = VECTORS * (REGISTER_BYTES // dtype.itemsize)
    planes = scratch.get("planes", (channels * len(plan.start_y) * plan.span + beyond,), dtype)
    return scratch.get("line of pixels", (row,), dtype), planes


@kernel
def _correlate_tiles(
    x,
    spikes,
    extent,
    first_channel,
    channels,
    plan,
    weights,
    bias,
    y,
    first_output,
    origin,
    apart,
    line,
    planes,
    sums,
    lo,
    hi,
):
    """Compute tiles of `correlate`."""
    outputs, depth = len(bias), len(weights) // len(bias)
    flat, pitch = y.reshape(-1), len(sums) // outputs
    _, height, width, all_outputs = y.shape
    for tile in range(lo, hi):
        place = _place(plan, tile)
        image, row, images, rows, positions = place
        _fill(x, spikes, extent, first_channel, channels, plan, place, line, planes)
        correlate_planes(sums, pitch, bias, planes, plan.offset, depth, weights, outputs, positions)
        step = apart[1] * all_outputs
        for b in range(images):
            for r in range(rows):
                pixel = ((image + b) * height + origin[0] + (row + r) * apart[0]) * width + origin[1]
                for o in range(outputs):
                    at, source = pixel * all_outputs + first_output + o, o * pitch + (b * plan.tall + r) * plan.wide
                    copy_apart(flat, at, step, sums, source, 1, plan.width)


def pack(w, kept=None, group=0):
    """See `few.pack`. Weights ``[taps, C, O]`` are used as they are, and nothing is kept."""
    return np.ascontiguousarray(w)


def correlate(x, first_channel, taps, stride, weights, bias, y, first_output=0, origin=(0, 0), step=(1, 1)):
    """See `product.correlate`; weights are as `pack` makes them."""
    channels, outputs = weights.shape[1:]
    plan = _plan(len(x), *positions_of(y.shape, origin, step), *taps, tuple(stride), channels)
    factors = weights.reshape(-1)
    grain = VECTORS * (REGISTER_BYTES // y.itemsize)
    pitch = count_tiles(plan.span, grain) * grain

    def work(lo, hi):
        line, planes = _memory(plan, channels, x[0, 0].size, y.dtype)
        sums = scratch.get("sums", (outputs * pitch,), y.dtype)
        _correlate_tiles(
            *as_bytes(x),
            x.shape,
            first_channel,
            channels,
            plan,
            factors,
            bias,
            y,
            first_output,
            origin,
            step,
            line,
            planes,
            sums,
            lo,
            hi,
        )

    parallel_for(work, plan.tiles)


@kernel
def _weight_gradient_parts(
    x, spikes, extent, first_channel, channels, plan, tiles, dy, first_output, line, planes, slopes, parts, lo, hi
):
    """Compute partial sums ``[parts, taps and channels, O, lanes]`` over the same number of tiles each."""
    _, depth, outputs, _ = parts.shape
    flat, all_outputs = dy.reshape(-1), dy.shape[3]
    size = -(-tiles // len(parts))
    pitch, numbers = len(slopes) // outputs, depth * outputs * lanes(slopes)
    for part in range(lo, hi):
        mine = parts[part].reshape(-1)
        clear_row(mine, 0, numbers)
        for tile in range(part * size, min(tiles, (part + 1) * size)):
            place = _place(plan, tile)
            image, row, images, rows, positions = place
            _fill(x, spikes, extent, first_channel, channels, plan, place, line, planes)
            clear_row(slopes, 0, len(slopes))
            for b in range(images):
                for r in range(rows):
                    begin = ((image + b) * plan.height + row + r) * plan.width * all_outputs + first_output
                    for o in range(outputs):
                        at = o * pitch + (b * plan.tall + r) * plan.wide
                        copy_apart(slopes, at, 1, flat, begin + o, all_outputs, plan.width)
            multiply_planes(mine, planes, plan.offset, depth, slopes, pitch, outputs, positions)


def weight_gradient(x, first_channel, taps, stride, dy, first_output, dw):
    """See `product.weight_gradient`."""
    depth, outputs = dw.shape
    channels = depth // len(taps[0])
    plan = _plan(*dy.shape[:3], *taps, tuple(stride), channels)
    size = count_tiles(plan.tiles, TILES)
    shape = count_tiles(plan.tiles, size), len(plan.offset), outputs, REGISTER_BYTES // dw.itemsize
    parts = scratch.get("gradient parts", shape, dw.dtype)

    def work(lo, hi):
        line, planes = _memory(plan, channels, x[0, 0].size, dw.dtype)
        slopes = scratch.get("slopes", (outputs * plan.span,), dw.dtype)
        _weight_gradient_parts(
            *as_bytes(x),
            x.shape,
            first_channel,
            channels,
            plan,
            plan.tiles,
            dy,
            first_output,
            line,
            planes,
            slopes,
            parts,
            lo,
            hi,
        )

    parallel_for(work, len(parts))
    dw[...] = np.add.reduce(parts[:, :depth], axis=(0, 3), dtype=np.float64)
