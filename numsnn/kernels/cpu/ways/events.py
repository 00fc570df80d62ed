"""Convolution by active inputs. The work is proportional to their number.

An active input (`active`) adds one scaled row of weights to every output that it reaches. In the weight gradient, it
adds one scaled row of the output's gradient to every row of weights that it uses. Channels are the last axis, so that
these rows are contiguous, and `blocks.sum_rows` sums them in registers. The table that the rows come from is cut so
that it stays in the second-level cache. `lines` does the same in another order, for short rows.
"""

from functools import lru_cache

import numpy as np

from ...compile import kernel
from ..inline.blocks import sum_rows
from ..inline.local import local
from ..inline.nonzero import copy_entries
from ..inline.prefetch import load
from ..inline.rows import clear_row
from ..inline.vector import REGISTER_BYTES, lanes
from ..run.launch import count_tiles, launch, made_once, parallel_for, scratch

PACKED = "packed weights"

PIXELS = 256
"""Largest number of output pixels per tile."""

MOST_VECTORS = 16
"""Largest number of vectors of a row of weights that are summed at a time."""

MOST_COLUMNS = MOST_VECTORS * 16
"""Largest number of columns that are summed at a time, on any processor: the longest vector has 16 numbers."""

TABLE_BYTES = 640 << 10
"""Bytes of the table of rows that is used at a time, so that it stays in the second-level cache."""

FEW_READS = 1
"""Rows of weights that are read less often than this, on average, stay where they are: packing them takes longer."""

NEAR_BYTES = 4 << 20
"""Bytes of the lists of rows of input pixels that are made at a time, so that they stay in the third-level cache."""

LOADED_READS = 2
"""Tables whose rows are read more often than this, on average, are loaded as a whole before they are used."""

CHUNK_BYTES, LARGE_CHUNK_BYTES = 512 << 10, 1 << 20
"""Bytes of the output's gradient that the weight gradient uses at a time. Every chunk reads and writes all weights, and
if these are large, so is a chunk."""

LARGE_BYTES = 4 << 20
"""Bytes from which on a weight gradient is large."""


def fits(x, y) -> bool:
    """Whether the 32-bit indices of the lists suffice for the arrays x and y of a convolution."""
    return max(x.size, y.size, MOST_COLUMNS * x[0, 0].size) < 1 << 31


@kernel
def _near_tiles(
    start,
    channel,
    value,
    shape,
    out_height,
    kernel_size,
    stride,
    padding,
    dilation,
    columns,
    image,
    near,
    index,
    factor,
    images,
    lo,
    hi,
):
    """List the active inputs that each output row reads, column by column of the input, so that those of an output
    pixel are neighbours. With a horizontal dilation d, columns 0, d, 2 d, ... come first, then 1, 1 + d, and so on.

    A tile is a number of images, from `image` on. near ``[images, out_height, width + 1]`` is where the entries of each
    column begin, and index where their rows begin in a packed table, for a pixel whose first tap is column 0 of these.
    """
    _, height, width, channels = shape
    kh, kw = kernel_size
    room, step = lanes(factor), channels * columns
    for k in range(lo * images, min(len(near), hi * images)):
        first = (image + k) * height * width
        n = (start[first] - start[image * height * width]) * kh + k * room
        for oy in range(out_height):
            place = 0
            for phase in range(min(width, dilation[1])):
                for x in range(phase, width, dilation[1]):
                    near[k, oy, place] = n
                    place += 1
                    for ky in range(kh):
                        iy = oy * stride[0] - padding[0] + ky * dilation[0]
                        if 0 <= iy < height:
                            p = first + iy * width + x
                            shift = (ky * kw + x // dilation[1]) * step
                            n = copy_entries(index, factor, n, channel, value, start[p], start[p + 1], columns, shift)
            near[k, oy, place] = n


@kernel
def _pack_blocks(w, packed, lo, hi):
    """Copy w ``[K, O]``, cut into blocks of columns, to packed ``[blocks, K, columns]``.

    The rows of a block are then contiguous. Slices of the rows of w would use few sets of the cache only.
    """
    _, rows, columns = packed.shape
    for block in range(lo, hi):
        first = block * columns
        size = min(columns, w.shape[1] - first)
        for k in range(rows):
            source, target = w[k, first : first + size], packed[block, k]
            for c in range(size):
                target[c] = source[c]


@kernel
def _forward_tiles(
    near, index, factor, width, packed, ahead, bias, kernel_size, stride, padding, dilation, y, rows, lo, hi
):
    """Compute y from the lists of `_near_tiles`. A tile is a number of output rows, for one block of columns.

    All tiles of a block of columns come one after the other, so that the block's table stays in the cache while the
    lists are read. If `ahead` is true, the table is loaded at once before it is used: from memory this is faster than
    row by row.
    """
    images, out_height, out_width, outputs = y.shape
    _, taps, columns = packed.shape
    flat, table, begins = y.reshape(-1), packed.reshape(-1), near.reshape(-1)
    kw, by = kernel_size[1], dilation[1]
    step = taps // (kernel_size[0] * kw) * columns
    # For each output pixel of a row, the places of the first column that it reads and of that behind the last one, and
    # the distance of its rows from those in index.
    first, last, shift = local(out_width, np.int64), local(out_width, np.int64), local(out_width, np.int64)
    unused = local(1, y.dtype)
    for ox in range(out_width):
        left = ox * stride[1] - padding[1]
        phase, place = left % by, left // by
        before, inside = phase * (width // by) + min(phase, width % by), (width - phase + by - 1) // by
        first[ox] = before + max(0, min(inside, place))
        last[ox] = before + max(0, min(inside, place + kw))
        shift[ox] = -place * step
    tiles = -(-images * out_height // rows)
    for item in range(lo, hi):
        block, tile = item // tiles, item % tiles
        column = block * columns
        size, weights = min(columns, outputs - column), block * taps * columns
        if ahead and (tile == 0 or item == lo):
            load(table, weights, taps * columns, unused)
        for row in range(tile * rows, min(images * out_height, (tile + 1) * rows)):
            line, at = row * (width + 1), row * out_width * outputs + column
            for ox in range(out_width):
                begin, end = begins[line + first[ox]], begins[line + last[ox]]
                sum_rows(flat, at, bias, column, table, weights + shift[ox], size, index, factor, begin, end)
                at += outputs


def forward(active, w, b, stride, padding, dilation, y, kept=None):
    """See `reference.conv.conv2d_forward`, for one group."""
    images, height, width, outputs = y.shape
    _, source_height, source_width, channels = active.shape
    kh, kw = w.shape[:2]
    taps = kh * kw * channels
    reads = int(active.start[-1]) * kh * kw // (stride[0] * stride[1])
    if kept is None and reads < FEW_READS * taps:
        columns, packed = outputs, w.reshape(1, taps, outputs)
    else:
        columns = _columns(taps, outputs, w.dtype)
        blocks = count_tiles(outputs, columns)
        packed = made_once(
            kept,
            PACKED,
            (blocks, taps, columns),
            w.dtype,
            lambda packed: launch(_pack_blocks, blocks, w.reshape(taps, outputs), packed),
        )
    bias = np.zeros(outputs, w.dtype) if b is None else b
    rows = max(1, PIXELS // width)
    at_a_time = _images_at_a_time(int(active.start[-1]), images, kh, w.dtype)
    a_tile = max(1, PIXELS // (height * source_width))
    for image in range(0, images, at_a_time):
        here = min(at_a_time, images - image)
        first, last = (int(active.start[k * source_height * source_width]) for k in (image, image + here))
        room = (last - first) * kh + here * REGISTER_BYTES // w.dtype.itemsize
        near = scratch.get("columns of rows", (here, height, source_width + 1), np.int64)
        index = scratch.get("event rows", (room,), np.uint32)
        factor = scratch.get("event factors", (room,), w.dtype)
        launch(
            _near_tiles,
            count_tiles(here, a_tile),
            active.start,
            active.channel,
            active.value,
            active.shape,
            height,
            (kh, kw),
            stride,
            padding,
            dilation,
            columns,
            image,
            near,
            index,
            factor,
            a_tile,
        )
        launch(
            _forward_tiles,
            len(packed) * count_tiles(here * height, rows),
            near,
            index,
            factor,
            source_width,
            packed,
            reads > LOADED_READS * taps,
            bias,
            (kh, kw),
            stride,
            padding,
            dilation,
            y[image : image + here],
            rows,
        )


def _images_at_a_time(entries, images, kh, dtype):
    """The number of images whose lists are made at a time."""
    parts = max(1, min(images, round(entries * kh * (4 + dtype.itemsize) / NEAR_BYTES)))
    return count_tiles(images, parts)


def _columns(rows, columns, dtype):
    """The number of columns of a table that are used at a time: a power of two of vectors, and at least two."""
    lanes = REGISTER_BYTES // dtype.itemsize
    vectors = MOST_VECTORS
    while vectors > 2 and rows * vectors * REGISTER_BYTES > TABLE_BYTES:
        vectors //= 2
    return min(columns, vectors * lanes)


@kernel
def _sort_chunks(
    start, channel, value, inside, at, out_positions, outputs, images_a_chunk, first, position, origin, factor, lo, hi
):
    """Sort the entries of each chunk of images by channel, and within a channel into those that all taps read (inside)
    and the others.

    The results are first ``[chunks, 2 C + 1]``, where each of these groups begins, and for every entry: position, its
    pixel in the image; factor, its value; and origin, where a row of the output's gradient begins. For inside entries
    this row is that of the first tap, and for the others that of the image's first output pixel.
    """
    groups = first.shape[1] - 1
    positions = len(inside)
    images = (len(start) - 1) // positions
    fill = local(groups, np.int64)
    for chunk in range(lo, hi):
        begin, end = chunk * images_a_chunk, min(images, (chunk + 1) * images_a_chunk)
        # A counting sort: the size of each group, the sums of sizes as starts, and then the entries one by one.
        count = first[chunk]
        count[:] = 0
        for image in range(begin, end):
            for p in range(positions):
                pixel = image * positions + p
                for k in range(start[pixel], start[pixel + 1]):
                    count[2 * channel[k] + 2 - inside[p]] += 1
        count[0] = start[begin * positions]
        for g in range(groups):
            count[g + 1] += count[g]
            fill[g] = count[g]
        for image in range(begin, end):
            for p in range(positions):
                pixel = image * positions + p
                used = image * out_positions + (at[0, p] if inside[p] else 0)
                for k in range(start[pixel], start[pixel + 1]):
                    g = 2 * channel[k] + 1 - inside[p]
                    n = fill[g]
                    fill[g] = n + 1
                    position[n], origin[n], factor[n] = p, used * outputs, value[k]


@kernel
def _weight_gradient_channels(dy, at, shift, first, position, origin, factor, dw, index, weight, lo, hi):
    """Compute dw of channels lo..hi-1. The loop over chunks is the outer one, so that a chunk's dy stays in the cache.

    at ``[taps, H W]`` is the output pixel that reads an input pixel through a tap, or -1. shift ``[taps]`` is the
    distance of a tap's output pixel from that of the first tap.
    """
    taps = len(at)
    chunks, channels = first.shape[0], first.shape[1] // 2
    outputs = dy.shape[1]
    table, weights = dy.reshape(-1), dw.reshape(-1)
    for chunk in range(chunks):
        for c in range(lo, hi):
            inside, outside, stop = first[chunk, 2 * c], first[chunk, 2 * c + 1], first[chunk, 2 * c + 2]
            for tap in range(taps):
                target = (tap * channels + c) * outputs
                if chunk == 0:
                    clear_row(weights, target, outputs)
                # All taps read the inside entries, so that one list serves every tap with another base.
                if outside > inside:
                    first_row = shift[tap] * outputs
                    sum_rows(
                        weights, target, weights, target, table, first_row, outputs, origin, factor, inside, outside
                    )
                # Of the entries at the border, those that this tap reads are listed first.
                n = 0
                for k in range(outside, stop):
                    used = at[tap, position[k]]
                    index[n] = origin[k] + used * outputs
                    weight[n] = factor[k]
                    n += used >= 0
                if n > 0:
                    sum_rows(weights, target, weights, target, table, 0, outputs, index, weight, 0, n)


def backward_weight(active, dy, stride, padding, dilation, dw):
    """See `reference.conv.conv2d_backward_weight`, for one group."""
    images, height, width, channels = active.shape
    out_height, out_width, outputs = dy.shape[1:]
    kh, kw = dw.shape[:2]
    at, inside, shift = _pixels_reading(
        (height, width), (out_height, out_width), (kh, kw), tuple(stride), tuple(padding), tuple(dilation)
    )
    chunk = CHUNK_BYTES if dw.nbytes < LARGE_BYTES else LARGE_CHUNK_BYTES
    images_a_chunk = max(1, chunk // (dy[0].size * dy.itemsize))
    chunks = count_tiles(images, images_a_chunk)
    first = scratch.get("chunk channels", (chunks, 2 * channels + 1), np.int64)
    entries = len(active.channel)
    position, origin = (scratch.get(f"chunk {part}", (entries,), np.int32) for part in ("positions", "origins"))
    factor = scratch.get("chunk factors", (entries,), dw.dtype)
    launch(
        _sort_chunks,
        chunks,
        active.start,
        active.channel,
        active.value,
        inside,
        at,
        out_height * out_width,
        outputs,
        images_a_chunk,
        first,
        position,
        origin,
        factor,
    )
    rows = dy.reshape(-1, outputs)

    def work(lo, hi):
        longest = images_a_chunk * height * width + 1
        index = scratch.get("event rows", (longest,), np.int32)
        weight = scratch.get("event factors", (longest,), dw.dtype)
        _weight_gradient_channels(rows, at, shift, first, position, origin, factor, dw, index, weight, lo, hi)

    parallel_for(work, channels, chunks_per_thread=1)


@lru_cache(64)
def _pixels_reading(source, target, kernel_size, stride, padding, dilation):
    """Which output pixels read which input pixels. All arguments are pairs (vertical, horizontal).

    Returns:
        at ``[taps, H W]``, the output pixel that reads each input pixel through each tap, or -1 if there is none;
        inside ``[H W]``, 1 for input pixels that are read through every tap; shift ``[taps]``, the distance from the
        output pixel of the first tap. The arrays are shared and must not be changed.
    """
    lines = []
    for extent, out, taps, step, pad, by in zip(source, target, kernel_size, stride, padding, dilation, strict=True):
        line, rest = np.divmod(np.arange(extent) + pad - by * np.arange(taps)[:, None], step)
        lines.append(np.where((rest == 0) & (line >= 0) & (line < out), line, -1))
    vertical, horizontal = lines[0][:, None, :, None], lines[1][None, :, None, :]
    at = np.where((vertical >= 0) & (horizontal >= 0), vertical * target[1] + horizontal, -1)
    at = at.reshape(kernel_size[0] * kernel_size[1], -1).astype(np.int32)
    # A pixel that all taps read exists only if the stride divides the distance of neighbouring taps.
    down, across = (by // step * np.arange(taps) for by, step, taps in zip(dilation, stride, kernel_size, strict=True))
    shift = -(np.repeat(down, len(across)) * target[1] + np.tile(across, len(down)))
    return at, (at >= 0).all(0).astype(np.int64), shift
