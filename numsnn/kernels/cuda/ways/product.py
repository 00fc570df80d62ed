"""Dense convolutions and matrix products without a library, in tiles (see `product_tiles`).

A row of the left factor is an output pixel, and a term is a tap and a channel. The kernel reads them directly from the
input, and writes no patches to memory. The input gradient is the same with the rotated filter ("turned"). Its rows are
input pixels, in classes by their remainder when divided by the stride; the pixels of a class are read by the same taps.
Neighbouring taps of a class are `apart` taps apart, and read positions that are `jump` positions apart.
In the weight gradient, rows are taps and channels, and terms are output pixels. Blocks of threads share the output
pixels, and their partial sums are added in order.
"""

from functools import cache
from math import gcd, prod

import numpy as np

from ..inline.pixels import check_pixels, flat, inside, pixel_at
from ..inline.product_tiles import ALIGNMENT, choose_tile, parts
from ..run.api import cuda
from ..run.compile import device, kernel
from ..run.launch import ceil_div, launch, scratch
from ..run.reduce import sum_parts

LEAST_PIXELS = 512
"""Least number of output pixels per block in the weight gradient, if there are enough."""

MOST_PARTS = 256
"""Largest number of blocks that share the output pixels of one tile of the weight gradient."""

NEEDED_BLOCKS = 512
"""Number of blocks that share the weight gradient, if there are enough pixels."""

NOWHERE = -(1 << 30)
"""A position outside of every picture, for every tap."""


@device
def _axis(turned, remainder, kernel_size, stride, padding, dilation, apart):
    """The taps of one class of rows, along one axis. The rows of the class are remainder, remainder + stride and so on.

    Returns:
        the first tap that reads these rows, the number of taps, which are `apart` taps apart, and the position that the
        first tap reads for the first row. If not turned, all rows are in one class.
    """
    if turned:
        first, distance = 0, remainder + padding
        while first < apart and distance % stride != 0:
            first += 1
            distance -= dilation
        count = max(0, (kernel_size - first + apart - 1) // apart) if first < apart else 0
        return first, count, distance // stride
    return 0, kernel_size, -padding


@device
def _count(turned, extent, remainder, stride):
    """The number of rows of a class along one axis."""
    return (extent - remainder + stride - 1) // stride if turned else extent


@cache
def _slices(tile, real, turned):
    """The device functions that read slices of a convolution into registers, and copy them to shared memory.

    A thread reads one term of the left factor for several rows.
    """
    depth, columns, threads = tile.depth, tile.columns, tile.threads
    loads_left, loads_right = tile.loads
    pitch_left, pitch_right = tile.pitches
    step = threads // depth
    sign = -1 if turned else 1

    @device
    def locate(top, images, high, wide, stride, shift_y, shift_x, source, pitch, at_y, at_x, place):
        """Set at_y, at_x and place to the position that the first tap reads, and its first element of x, per row."""
        for i in range(loads_left):
            image, row, column = pixel_at(top + np.uint32(cuda.threadIdx.x) // depth + i * step, high, wide)
            y, x = shift_y + row * stride[0], shift_x + column * stride[1]
            at_y[i], at_x[i] = y if image < images else NOWHERE, x
            place[i] = ((image * source[0] + y) * source[1] + x) * pitch

    @device
    def fetch_left(x, down, across, channel, source, pitch, at_y, at_x, place, ahead):
        offset = sign * (down * source[1] + across) * pitch + channel
        for i in range(loads_left):
            seen = inside(at_y[i] + sign * down, source[0]) and inside(at_x[i] + sign * across, source[1])
            ahead[i] = real(x[np.uint64(place[i] + offset)]) if seen else real(0)

    @device
    def fetch_right(w, first, terms, edge, outputs, pitch, ahead):
        """Read numbers of w. `first` is the first element of the slice.

        `pitch` is the distance between columns of the slice if turned, and otherwise the distance between terms.
        """
        t = np.uint32(cuda.threadIdx.x)
        for i in range(loads_right):
            if turned:
                n, there = edge + t // depth + i * step, terms > 0
                at = first + n * pitch
            else:
                n, term = edge + t % columns, t // columns + i * (threads // columns)
                at, there = first + term * pitch + n, term < terms
            ahead[i] = w[np.uint64(at)] if there and n < outputs else real(0)

    @device
    def store(left, right, slot, ahead_left, ahead_right):
        t = np.uint32(cuda.threadIdx.x)
        for i in range(loads_left):
            left[np.uint64((slot * depth + t % depth) * pitch_left + t // depth + i * step)] = ahead_left[i]
        for i in range(loads_right):
            if turned:
                term, column = t % depth, t // depth + i * step
            else:
                term, column = t // columns + i * (threads // columns), t % columns
            right[np.uint64((slot * depth + term) * pitch_right + column)] = ahead_right[i]

    return locate, fetch_left, fetch_right, store


@cache
def _correlate_kernel(tile, real, turned, biased):
    """The kernel of y = bias + sum over taps of x w.

    If turned, x is the gradient of a convolution's output, and y that of its input.
    """
    rows, columns, depth, height, width = tile
    clear, multiply, row_of, column_of = parts(tile, real)
    locate, fetch_left, fetch_right, store = _slices(tile, real, turned)
    loads_left, loads_right = tile.loads
    size_left, size_right = (2 * depth * pitch for pitch in tile.pitches)

    @kernel
    def correlate(
        x, w, b, y, images, source, target, kernel_size, stride, padding, dilation, apart, jump, inputs, outputs
    ):
        """Compute one tile per block. The extents of the grid are tiles, groups, and, if turned, classes."""
        # The simulator tells shared arrays apart by their lines, so that each needs a line of its own. Registers: sums
        # is the thread's part of the tile; ahead_* hold the next slice while the present one is multiplied.
        left = cuda.shared.array(size_left, real, ALIGNMENT)
        right = cuda.shared.array(size_right, real, ALIGNMENT)
        sums = cuda.local.array((height, width), real)
        ahead_left, ahead_right = cuda.local.array(loads_left, real), cuda.local.array(loads_right, real)
        at_y, at_x = cuda.local.array(loads_left, np.int32), cuda.local.array(loads_left, np.int32)
        place = cuda.local.array(loads_left, np.int64)
        group, groups = cuda.blockIdx.y, cuda.gridDim.y
        tiles = (outputs + columns - 1) // columns
        top, edge = cuda.blockIdx.x // tiles * rows, cuda.blockIdx.x % tiles * columns
        below, beside = cuda.blockIdx.z // stride[1], cuda.blockIdx.z % stride[1]
        first_y, taps_y, shift_y = _axis(turned, below, kernel_size[0], stride[0], padding[0], dilation[0], apart[0])
        first_x, taps_x, shift_x = _axis(turned, beside, kernel_size[1], stride[1], padding[1], dilation[1], apart[1])
        high, wide = _count(turned, target[0], below, stride[0]), _count(turned, target[1], beside, stride[1])
        steps = (1, 1) if turned else stride
        locate(top, images, high, wide, steps, shift_y, shift_x, source, inputs * groups, at_y, at_x, place)
        term = np.int64(np.uint32(cuda.threadIdx.x) % depth)
        tap, channel = term // inputs, group * inputs + term % inputs
        tap_y, tap_x = tap // max(1, taps_x), tap % max(1, taps_x)
        clear(sums)
        terms = taps_y * taps_x * inputs
        for k in range(0, terms + depth, depth):  # a slice is read while the one before it is multiplied
            if k < terms:
                within = source if tap_y < taps_y else (0, 0)
                down, across = tap_y * jump[0], tap_x * jump[1]
                fetch_left(x, down, across, channel, within, inputs * groups, at_y, at_x, place, ahead_left)
                if turned:
                    tap = (first_y + tap_y * apart[0]) * kernel_size[1] + first_x + tap_x * apart[1]
                    begin = tap * outputs * inputs * groups + channel
                    fetch_right(w, begin, taps_y - tap_y, edge, outputs, inputs * groups, ahead_right)
                else:
                    begin = (k * groups + group) * outputs
                    fetch_right(w, begin, terms - k, edge, outputs, groups * outputs, ahead_right)
                channel += depth
                while channel >= (group + 1) * inputs:
                    channel -= inputs
                    tap_x += 1
                    if tap_x == taps_x:
                        tap_x = 0
                        tap_y += 1
            if k > 0:
                multiply(left, right, (k // depth - 1) % 2, sums)
            if k < terms:
                store(left, right, k // depth % 2, ahead_left, ahead_right)
            cuda.syncthreads()
        # Each thread writes its part of the tile; if turned, the rows of a class are a stride apart.
        for i in range(height):
            m = top + row_of(i)
            written = m < images * high * wide
            if turned:
                image, row, column = pixel_at(m, high, wide)
                m = (image * target[0] + below + row * stride[0]) * target[1] + beside + column * stride[1]
            for j in range(width):
                n = edge + column_of(j)
                if written and n < outputs:
                    at = np.uint64((m * groups + group) * outputs + n)
                    y[at] = sums[i, j] + b[np.uint64(group * outputs + n)] if biased else sums[i, j]

    return correlate


@cache
def _weight_kernel(tile, real):
    """The kernel of the sums of x^T dy over a block's slice of the output pixels. Rows are taps and channels."""
    rows, columns, depth, height, width = tile
    clear, multiply, row_of, column_of = parts(tile, real)
    threads = tile.threads
    loads_left, loads_right = tile.loads
    pitch_left, pitch_right = tile.pitches
    size_left, size_right = (2 * depth * pitch for pitch in tile.pitches)
    step_left, step_right = threads // rows, threads // columns

    @device
    def advance(steps, y, x, place, source, target, stride, padding, pitch):
        """The corner of the filter window `steps` output pixels further, and the element of x at this corner."""
        x += steps * stride[1]
        place += steps * stride[1] * pitch
        while x + padding[1] >= target[1] * stride[1]:
            x -= target[1] * stride[1]
            y += stride[0]
            place += (stride[0] * source[1] - target[1] * stride[1]) * pitch
            if y + padding[0] == target[0] * stride[0]:
                y = np.int32(-padding[0])
                place += (source[0] - target[0] * stride[0]) * source[1] * pitch
        return np.int32(y), np.int32(x), place

    @device
    def store(left, right, slot, ahead_left, ahead_right):
        t = np.uint32(cuda.threadIdx.x)
        for i in range(loads_left):
            left[np.uint64((slot * depth + t // rows + i * step_left) * pitch_left + t % rows)] = ahead_left[i]
        for i in range(loads_right):
            term = slot * depth + t // columns + i * step_right
            right[np.uint64(term * pitch_right + t % columns)] = ahead_right[i]

    @kernel
    def weight_gradient(
        x, dy, y, pixels, share, source, target, kernel_size, stride, padding, dilation, inputs, outputs
    ):
        """Compute one tile per block. The extents of the grid are tiles, groups, and slices of the pixels."""
        # Shared memory and registers as in `correlate`.
        left = cuda.shared.array(size_left, real, ALIGNMENT)
        right = cuda.shared.array(size_right, real, ALIGNMENT)
        sums = cuda.local.array((height, width), real)
        ahead_left, ahead_right = cuda.local.array(loads_left, real), cuda.local.array(loads_right, real)
        t, group, groups = np.uint32(cuda.threadIdx.x), cuda.blockIdx.y, cuda.gridDim.y
        tiles = (outputs + columns - 1) // columns
        top, edge = cuda.blockIdx.x // tiles * rows, cuda.blockIdx.x % tiles * columns
        terms = kernel_size[0] * kernel_size[1] * inputs
        begin = cuda.blockIdx.z * share
        end = min(pixels, begin + share)
        row, n, pitch = top + np.int64(t % rows), edge + t % columns, inputs * groups
        down = row // inputs // kernel_size[1] * dilation[0]
        across = row // inputs % kernel_size[1] * dilation[1]
        offset = (down * source[1] + across) * pitch + group * inputs + row % inputs
        m = begin + t // rows
        image, line, column = pixel_at(m, target[0], target[1])
        at_y, at_x = np.int32(line * stride[0] - padding[0]), np.int32(column * stride[1] - padding[1])
        place = ((image * source[0] + at_y) * source[1] + at_x) * pitch
        clear(sums)
        # As in `correlate`, a slice is read while the one before it is multiplied; advance avoids divisions.
        slices = (end - begin + depth - 1) // depth
        for k in range(slices + 1):
            if k < slices:
                for i in range(loads_left):
                    seen = row < terms and m < end
                    seen = seen and inside(at_y + down, source[0]) and inside(at_x + across, source[1])
                    ahead_left[i] = real(x[np.uint64(place + offset)]) if seen else real(0)
                    m += step_left
                    at_y, at_x, place = advance(step_left, at_y, at_x, place, source, target, stride, padding, pitch)
                for i in range(loads_right):
                    p = begin + k * depth + t // columns + i * step_right
                    seen = p < end and n < outputs
                    ahead_right[i] = dy[np.uint64((p * groups + group) * outputs + n)] if seen else real(0)
            if k > 0:
                multiply(left, right, (k - 1) % 2, sums)
            if k < slices:
                store(left, right, k % 2, ahead_left, ahead_right)
            cuda.syncthreads()
        for i in range(height):
            for j in range(width):
                r, c = top + row_of(i), edge + column_of(j)
                if r < terms and c < outputs:
                    y[np.uint64(((cuda.blockIdx.z * terms + r) * groups + group) * outputs + c)] = sums[i, j]

    return weight_gradient


# --- launches --------------------------------------------------------------------------------------------------------


def forward(x, w, b, stride, padding, groups, dilation, y):
    """See `reference.conv.conv2d_forward`."""
    _correlate(False, x, w, b, stride, padding, groups, dilation, y, w.shape[2], w.shape[3] // groups)


def backward_input(dy, w, stride, padding, groups, dilation, dx):
    """See `reference.conv.conv2d_backward_input`."""
    _correlate(True, dy, w, None, stride, padding, groups, dilation, dx, w.shape[3] // groups, w.shape[2])


def _correlate(turned, x, w, b, stride, padding, groups, dilation, y, inputs, outputs):
    """Launch the kernel of `_correlate_kernel`. inputs and outputs are the channels per group of x and of y."""
    common = [gcd(step, by) if turned else 1 for step, by in zip(stride, dilation, strict=True)]
    apart = tuple(step // shared if turned else 1 for step, shared in zip(stride, common, strict=True))
    jump = tuple(by // shared for by, shared in zip(dilation, common, strict=True))
    classes = prod(stride) if turned else 1
    largest = [ceil_div(extent, step) for extent, step in zip(y.shape[1:3], stride, strict=True)]
    rows = len(y) * (prod(largest) if turned else prod(y.shape[1:3]))
    check_pixels(rows)
    tile = choose_tile(rows, outputs, groups * classes, w.dtype)
    grid = ceil_div(rows, tile.rows) * ceil_div(outputs, tile.columns), groups, classes
    launch(
        _correlate_kernel(tile, w.dtype.type, turned, b is not None),
        grid,
        tile.threads,
        flat(x),
        flat(w),
        flat(w) if b is None else b,
        flat(y),
        len(y),
        x.shape[1:3],
        y.shape[1:3],
        w.shape[:2],
        tuple(stride),
        tuple(padding),
        tuple(dilation),
        apart,
        jump,
        inputs,
        outputs,
    )


def backward_weight(x, dy, stride, padding, groups, dilation, dw):
    """See `reference.conv.conv2d_backward_weight`."""
    terms, outputs = prod(dw.shape[:3]), dw.shape[3] // groups
    pixels = prod(dy.shape[:3])
    check_pixels(pixels)
    tile = choose_tile(terms, outputs, groups * min(MOST_PARTS, ceil_div(pixels, LEAST_PIXELS)), dw.dtype)
    blocks = ceil_div(terms, tile.rows) * ceil_div(outputs, tile.columns)
    shares = min(MOST_PARTS, ceil_div(pixels, LEAST_PIXELS), ceil_div(NEEDED_BLOCKS, blocks * groups))
    share = ceil_div(pixels, shares)
    shares = ceil_div(pixels, share)
    sums = scratch.get("weight gradients", (shares, dw.size), dw.dtype) if shares > 1 else dw
    launch(
        _weight_kernel(tile, dw.dtype.type),
        (blocks, groups, shares),
        tile.threads,
        flat(x),
        flat(dy),
        flat(sums),
        pixels,
        share,
        x.shape[1:3],
        dy.shape[1:3],
        dw.shape[:2],
        tuple(stride),
        tuple(padding),
        tuple(dilation),
        dw.shape[2],
        outputs,
    )
    if shares > 1:
        sum_parts(sums, flat(dw))
