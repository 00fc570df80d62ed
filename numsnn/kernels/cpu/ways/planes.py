"""Dense convolutions between few channels: vectors hold neighbouring positions instead of channels.

A tile copies the inputs of its positions to planes, one per channel, with zeros around the image. Rows of a plane lie
one behind the other, so that a tap of all positions of the tile is one run of numbers. Between the rows lie positions
without a meaning, which are computed and not written. With a stride, the columns and rows of an image are split into
phases by their remainders, and each phase that a tap reads has a plane of its own.

Groups are computed together, and read the planes of their own channels.

In the weight gradient, the output's gradient is copied to planes as well, with zeros where positions have no meaning.
Products of planes are summed lane by lane, and the lanes at the end.
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ...compile import kernel, register_jitable
from ..inline.planes import DEPTH, VECTORS, correlate_planes, multiply_planes
from ..inline.rows import COLUMNS, as_bytes, clear_row, copy_numbers, copy_row, put_columns, take_columns
from ..inline.vector import REGISTER_BYTES, lanes
from ..run.launch import count_tiles, made_once, parallel_for, scratch
from .positions import positions_of

PACKED = "weights of groups"

MOST_OUTPUTS = 16
"""Largest number of output channels."""

MOST_POSITIONS, LEAST_POSITIONS = 2048, 64
"""Bounds of the number of positions per tile, if there are enough of them."""

INPUT_ELEMENTS = 65536
"""Elements of the planes of a tile, unless a single row needs more: 256 KiB of float32."""

OUTPUT_ELEMENTS = 65536
"""Elements of the outputs of a tile, unless a single row has more."""

MOST_CHANNELS = 64
"""Groups are computed together up to this number of input channels, or one by one if they have more."""

TILES = 16
"""There are at least about this number of tiles for the threads, if there are enough positions, and the weight gradient
has at most this number of partial sums."""

ROW, SQUARES, COPY, MULTIPLY, MULTIPLY_BACK = 8.0, 9.0, 0.6, 0.28, 0.54
"""Nanoseconds of one core per row of pixels that is copied, per vector of positions of COLUMNS planes that is copied to
or from pixels, per vector of pixels that is copied, and per vector of a plane that is multiplied for one or two
outputs, in a convolution and in the weight gradient. A vector of a plane often lies in two cache lines."""


class Plan(NamedTuple):
    """How positions are cut into tiles, and what the planes of a tile hold.

    A tile is a number of rows of positions of one image, or a block of images. It has a plane per phase and channel,
    ``[phases, channels, block, tall, wide]``.

    Attributes:
        images, height, width: number of images, and of positions in them.
        block, rows: images and rows of positions per tile.
        tall, wide: extent of the plane of one image.
        start_y, start_x: ``[phases]``, the row and column of the image, relative to the first position, that a plane
            begins with. Phases of the same rows are neighbours, and the first of them begins first.
        joined: the number of phases of the same rows if their columns are neighbours, or else 1.
        stride_y, stride_x: the distance in the image of neighbours in a plane.
        offset: where the inputs of the first position are in the planes, per tap and channel of the first group, filled
            up to a multiple of DEPTH.
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
    joined: int
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


def cost(taps, channels, outputs, stride, extent, weight_gradient=False, groups=1) -> float:
    """Nanoseconds of one core per position.

    Args:
        taps: number of taps, a pair (vertical, horizontal).
        channels, outputs: numbers of input and output channels.
        stride: pair (vertical, horizontal).
        extent: (height, width) of the positions.
        weight_gradient: whether the gradient of the weights is computed, or else a convolution.
        groups: number of groups; channels and outputs are those of one group.
    """
    products = prod(taps) * channels / (REGISTER_BYTES // 4) * count_tiles(outputs, 2) * groups
    channels, outputs = channels * groups, outputs * groups
    lanes, (height, width) = REGISTER_BYTES // 4, extent
    (down, across), beyond = map(min, stride, taps), [(n - 1) // step for n, step in zip(taps, stride, strict=True)]
    wide = width + beyond[1]
    squares = down * count_tiles(across * channels, COLUMNS) * count_tiles(wide, lanes)
    squares *= {1: 0.0, 2: 0.2}.get(channels * stride[1], 1.0)  # pixels of one or two numbers need no squares
    copied = ROW * down + SQUARES * squares + COPY * down * channels * stride[1] * width / lanes
    # Tiles of few rows copy the rows between them twice.
    rows = max(1, min(height, INPUT_ELEMENTS // (channels * down * across * wide) - beyond[0]))
    copied *= 1 + beyond[0] / rows
    written = ROW + (SQUARES * count_tiles(outputs, COLUMNS) * count_tiles(width, lanes) if outputs > 1 else 0.0)
    meaningless = prod(1 + more / size for more, size in zip(beyond, extent, strict=True))
    products *= meaningless
    return (copied + written) / width + products * (MULTIPLY_BACK if weight_gradient else MULTIPLY)


@lru_cache(256)
def _plan(images, height, width, taps_y, taps_x, stride, channels, outputs, groups):
    """The plan for taps at these offsets, and numbers of channels of all groups together."""
    steps = [np.divmod(taps, step) for taps, step in zip((taps_y, taps_x), stride, strict=True)]
    (down, phase_y), (across, phase_x) = steps
    top, left = down.min(), across.min()
    phases = sorted(set(zip(phase_y.tolist(), phase_x.tolist(), strict=True)))
    beyond_y, wide = int(down.max() - top), int(width + across.max() - left)
    most = max(LEAST_POSITIONS, min(images * height * width // TILES, OUTPUT_ELEMENTS // outputs))
    most = min(MOST_POSITIONS, most)
    largest = INPUT_ELEMENTS // (channels * len(phases) * wide)  # rows of the planes of a tile
    rows = max(1, min(height, most // width, largest - beyond_y))
    rows = count_tiles(height, count_tiles(height, rows))
    tall = rows + beyond_y
    block = max(1, min(images, most // (height * width), largest // tall)) if rows == height else 1
    number = np.array([phases.index(phase) for phase in zip(phase_y.tolist(), phase_x.tolist(), strict=True)])
    inside = (down - top) * wide + across - left
    plane = number[:, None] * channels + np.arange(channels // groups)
    offset = np.zeros(count_tiles(plane.size, DEPTH) * DEPTH, np.int64)
    offset[: plane.size] = (plane * (block * tall * wide) + inside[:, None]).reshape(-1)
    start_y, start_x = (
        first * step + np.array(those, np.int64)
        for first, step, those in zip((top, left), stride, zip(*phases, strict=True), strict=True)
    )
    columns = sorted(set(phase_x.tolist()))
    joined = len(columns) if columns[-1] - columns[0] == len(columns) - 1 else 1
    return Plan(images, height, width, block, rows, tall, wide, start_y, start_x, joined, *stride, offset)


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
    size, left = plan.block * plan.tall * wide, plan.start_x[0]
    joined = plan.joined if channels == all_channels else 1
    # Pixels before..behind-1 of a line lie in the image.
    pixels = wide * plan.stride_x
    before = min(pixels, max(0, -left))
    behind = min(pixels, max(before, width - left))
    lead = -before * all_channels % lanes(planes)
    for b in range(images):
        for r in range(plan.tall - plan.rows + rows):
            held = -1  # the row of the image that line holds
            for phase in range(0, phases, joined):
                at = (phase * channels * plan.block + b) * plan.tall * wide + r * wide
                y = (row + r) * plan.stride_y + plan.start_y[phase]
                if not 0 <= y < height:
                    for c in range(joined * channels):
                        clear_row(planes, at + c * size, wide)
                    continue
                begin = (((image + b) * height + y) * width + left + before) * all_channels
                if step == 1:
                    clear_row(planes, at, before)
                    copy_numbers(planes, at + before, x, begin, behind - before, spikes)
                    clear_row(planes, at + behind, wide - behind)
                    continue
                if held != y:
                    held = y
                    clear_row(line, lead, before * all_channels)
                    copy_numbers(line, lead + before * all_channels, x, begin, (behind - before) * all_channels, spikes)
                    clear_row(line, lead + behind * all_channels, (pixels - behind) * all_channels)
                first = lead + (plan.start_x[phase] - left) * all_channels + first_channel
                take_columns(planes, at, size, line, first, step, joined * channels, wide)


def _line(purpose, pixels, numbers, dtype):
    """Memory for a line of pixels of `numbers` numbers each. `take_columns` reads beyond the last pixel."""
    beyond = REGISTER_BYTES // dtype.itemsize
    return scratch.get(purpose, ((pixels + beyond) * numbers + COLUMNS + beyond,), dtype)


def _memory(plan, channels, all_channels, dtype):
    """Memory for a row of pixels, and for a tile's planes. The last vectors are read beyond the planes."""
    beyond = VECTORS * (REGISTER_BYTES // dtype.itemsize)
    planes = scratch.get("planes", (channels * len(plan.start_y) * plan.span + beyond,), dtype)
    return _line("line of pixels", plan.wide, plan.stride_x * all_channels, dtype), planes


@kernel
def _correlate_tiles(
    x,
    spikes,
    extent,
    first_channel,
    channels,
    groups,
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
    own, size = outputs // groups, channels // groups * plan.block * plan.tall * plan.wide
    flat, pitch = y.reshape(-1), len(sums) // (outputs + COLUMNS)
    _, height, width, all_outputs = y.shape
    for tile in range(lo, hi):
        place = _place(plan, tile)
        image, row, images, rows, positions = place
        _fill(x, spikes, extent, first_channel, channels, plan, place, line, planes)
        for g in range(groups):
            total, mine = sums[g * own * pitch :], planes[g * size :]
            factors, start = weights[g * own * depth :], bias[g * own :]
            correlate_planes(total, pitch, start, mine, plan.offset, depth, factors, own, positions)
        step = apart[1] * all_outputs
        for b in range(images):
            for r in range(rows):
                pixel = ((image + b) * height + origin[0] + (row + r) * apart[0]) * width + origin[1]
                at, source = pixel * all_outputs + first_output, (b * plan.tall + r) * plan.wide
                if step == 1:
                    copy_row(flat, at, sums, source, plan.width)
                else:
                    put_columns(flat, at, step, sums, source, pitch, outputs, plan.width)


def pack(w, kept=None, group=0):
    """See `few.pack`. Weights ``[taps, C, O]`` are used as they are, and nothing is kept."""
    return np.ascontiguousarray(w)


def correlate(x, first_channel, taps, stride, weights, bias, y, first_output=0, origin=(0, 0), step=(1, 1), groups=1):
    """See `product.correlate`; weights are as `pack` makes them, or of several groups ``[G, taps, C/G, O/G]``."""
    channels, outputs = groups * weights.shape[-2], groups * weights.shape[-1]
    plan = _plan(len(x), *positions_of(y.shape, origin, step), *taps, tuple(stride), channels, outputs, groups)
    factors = weights.reshape(-1)
    grain = VECTORS * (REGISTER_BYTES // y.itemsize)
    pitch = count_tiles(plan.span, grain) * grain

    def work(lo, hi):
        line, planes = _memory(plan, channels, x.shape[3], y.dtype)
        sums = scratch.get("sums", ((outputs + COLUMNS) * pitch,), y.dtype)
        _correlate_tiles(
            *as_bytes(x),
            x.shape,
            first_channel,
            channels,
            groups,
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


def _together(channels, groups):
    """Yield slices of groups that are computed together, for this number of channels per group."""
    count = max(1, min(groups, MOST_CHANNELS // channels))
    for first in range(0, groups, count):
        yield slice(first, min(groups, first + count))


def correlate_groups(x, taps, stride, w, bias, y, origin=(0, 0), step=(1, 1), kept=None):
    """`correlate` for all groups. w is ``[taps, C/G, G, O/G]``, and is packed as `few.pack` does it."""
    count, channels, groups, outputs = w.shape

    def fill(packed):
        packed[...] = w.transpose(2, 0, 1, 3)

    packed = made_once(kept, PACKED, (groups, count, channels, outputs), w.dtype, fill)
    for g in _together(channels, groups):
        weights, first = packed[g], g.start * outputs
        start = bias[first : first + len(weights) * outputs]
        correlate(x, g.start * channels, taps, stride, weights, start, y, first, origin, step, len(weights))


@kernel
def _weight_gradient_parts(
    x, spikes, extent, first_channel, channels, plan, tiles, dy, first_output, line, planes, row, slopes, parts, lo, hi
):
    """Compute partial sums ``[parts, G, taps and channels, O/G, lanes]`` over the same number of tiles each."""
    _, groups, depth, own, _ = parts.shape
    flat, all_outputs, outputs = dy.reshape(-1), dy.shape[3], groups * own
    size = -(-tiles // len(parts))
    pitch, numbers = len(slopes) // outputs, depth * own * lanes(slopes)
    apart = channels // groups * plan.block * plan.tall * plan.wide
    for part in range(lo, hi):
        sums = parts[part].reshape(-1)
        clear_row(sums, 0, groups * numbers)
        for tile in range(part * size, min(tiles, (part + 1) * size)):
            place = _place(plan, tile)
            image, first, images, rows, positions = place
            _fill(x, spikes, extent, first_channel, channels, plan, place, line, planes)
            clear_row(slopes, 0, len(slopes))
            for b in range(images):
                for r in range(rows):
                    begin = ((image + b) * plan.height + first + r) * plan.width * all_outputs
                    at = (b * plan.tall + r) * plan.wide
                    if all_outputs == 1:
                        copy_row(slopes, at, flat, begin, plan.width)
                    else:
                        copy_row(row, 0, flat, begin, plan.width * all_outputs)
                        take_columns(slopes, at, pitch, row, first_output, all_outputs, outputs, plan.width)
            for g in range(groups):
                inputs, factors = planes[g * apart :], slopes[g * own * pitch :]
                multiply_planes(sums[g * numbers :], inputs, plan.offset, depth, factors, pitch, own, positions)


def weight_gradient(x, first_channel, taps, stride, dy, first_output, dw, groups=1):
    """See `product.weight_gradient`. With several groups, dw is ``[taps C/G, O]`` with the outputs of all of them."""
    depth, outputs = dw.shape
    channels = groups * depth // len(taps[0])
    plan = _plan(*dy.shape[:3], *taps, tuple(stride), channels, outputs, groups)
    size = count_tiles(plan.tiles, TILES)
    shape = count_tiles(plan.tiles, size), groups, len(plan.offset), outputs // groups, REGISTER_BYTES // dw.itemsize
    parts = scratch.get("gradient parts", shape, dw.dtype)

    def work(lo, hi):
        line, planes = _memory(plan, channels, x.shape[3], dw.dtype)
        row = _line("line of gradients", plan.width, dy.shape[3], dw.dtype)
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
            row,
            slopes,
            parts,
            lo,
            hi,
        )

    parallel_for(work, len(parts))
    total = np.add.reduce(parts[:, :, :depth], axis=(0, 4), dtype=np.float64)
    dw[...] = total.swapaxes(0, 1).reshape(dw.shape)


def weight_gradient_groups(x, taps, stride, dy, dw, groups):
    """`weight_gradient` for all groups. dw is ``[taps C/G, O]``."""
    channels, outputs = len(dw) // len(taps[0]), dw.shape[1] // groups
    for g in _together(channels, groups):
        first, last = g.start * outputs, g.stop * outputs
        weight_gradient(x, g.start * channels, taps, stride, dy, first, dw[:, first:last], g.stop - g.start)
