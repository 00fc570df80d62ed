"""Convolution by active inputs, input pixel by input pixel: for few outputs, whose rows of weights are short.

`events` sums a row of weights per active input and tap. Here one row of a table holds the weights of all taps of an
input channel, so that an active input reads one long row instead of many short ones. Outputs that share an input row
lie side by side in memory, in a line: for each position of an output row, the outputs of the kernel rows that read this
input row. Then the outputs that a pixel adds to are contiguous: those of a kernel row's taps are neighbours, in
reversed order.

    forward            A pixel sums its rows of the table in registers and adds the sum to the line. An output row adds
                       up the lines that it reads.
    weight gradient    A line is a copy of the output's gradient. An active input adds a multiple of its pixel's part of
                       the line to its row of a table, which is the weight gradient in another order.

With a stride, an input pixel is read by the taps of its phase only: those with the remainder of its position. Each
phase has a table of its own. With groups, each group has its lines, and the rows of its channels are as short as its
outputs. A transposed convolution is computed in the same way from its own input: the gradient of the output of the
convolution that is transposed. `line_layout` says where all numbers are.
"""

import numpy as np

from ...compile import kernel
from ..inline.lines import add_pixel, sum_pieces, sum_pixel
from ..inline.local import local
from ..inline.rows import clear_row
from ..inline.vector import lanes
from ..run.launch import count_tiles, launch, made_once, parallel_for, scratch
from ..run.reduce import sum_parts
from .active import pixels_per_tile
from .line_layout import layout, parts_of

PACKED = "rows of all taps"

TILE_PIXELS = 512
"""Output pixels per tile of small images, which share a tile."""

TILES = 16
"""Fewer images than this are cut into pieces, so that there are about this number of tiles."""

PARTS, PART_ENTRIES = 16, 64
"""Largest number of partial sums of the weight gradient, and least number of active inputs per channel for each."""


@kernel
def _split_tiles(start, channel, groups, inputs, parted, pixels, lo, hi):
    """Set parted[p groups + g] to where the entries of group g of pixel p begin."""
    total = len(start) - 1
    for p in range(lo * pixels, min(total, hi * pixels)):
        k = start[p]
        for g in range(groups):
            parted[p * groups + g] = k
            while k < start[p + 1] and channel[k] < (g + 1) * inputs:
                k += 1


def _starts(active, groups):
    """Where the entries of each pixel and group begin."""
    if groups == 1:
        return active.start
    pixels, channels = len(active.start) - 1, active.shape[3]
    parted = scratch.get("starts of groups", (pixels * groups + 1,), np.int64)
    parted[-1] = active.start[-1]
    share = pixels_per_tile(channels)
    launch(
        _split_tiles,
        count_tiles(pixels, share),
        active.start,
        active.channel,
        groups,
        channels // groups,
        parted,
        share,
    )
    return parted


@kernel
def _forward_tiles(start, channel, value, shape, taps, table, bias, lines, y, images_a_tile, pieces, lo, hi):
    """Compute y. A tile is a number of images, or one of `pieces` pieces of an image, for one group.

    A line stays in its place of the ring until the output rows that read it are computed.
    """
    images, height, width, _ = shape
    _, out_height, out_width, all_outputs = y.shape
    groups, outputs = taps.groups, taps.outputs
    size, step = lines.shape[1], lanes(table)
    flat, memory = y.reshape(-1), lines.reshape(-1)
    kh = len(taps.slot)
    base, pitch, missing = local(kh, np.int64), local(kh, np.int64), local(kh, np.int64)
    held, active = local(len(lines), np.int64), local(len(lines), np.bool_)
    rows = images_a_tile * out_height if pieces == 1 else -(-out_height // pieces)
    for item in range(lo, hi):
        tile, group = item // groups, item % groups
        held[:] = -1
        begin = tile * rows if pieces == 1 else tile // pieces * out_height + tile % pieces * rows
        end = images * out_height if pieces == 1 else (tile // pieces + 1) * out_height
        for out in range(begin, min(end, begin + rows)):
            image, oy = out // out_height, out % out_height
            # The lines that this output row reads, and those of them that are not there yet.
            n = missed = 0
            for ky in range(len(taps.slot)):
                iy = taps.source[oy, ky]
                if iy >= 0:
                    source, place = image * height + iy, iy % len(lines)
                    if held[place] != source:
                        held[place] = source
                        active[place] = start[(source + 1) * width * groups] > start[source * width * groups]
                        missing[missed] = iy
                        missed += active[place]
                    if active[place]:
                        pitch[n] = taps.down[taps.phase[iy]] * outputs
                        base[n] = place * size + taps.left * pitch[n] + taps.slot[ky] * outputs
                        n += 1
            for k in range(missed):
                iy = missing[k]
                a, line, pixel = taps.phase[iy], iy % len(lines) * size, (image * height + iy) * width
                positions = taps.down[a] * outputs
                clear_row(memory, line, size)
                for b in range(len(taps.column)):
                    vectors = taps.vectors[a, b]
                    long, row = taps.blocks[a, b] * vectors * step, taps.first[a, b]
                    to, numbers = line + taps.position[b] * positions, taps.across[b] * positions
                    p = (pixel + taps.column[b]) * groups + group
                    stop = (pixel + width) * groups if long > 0 else 0
                    while p < stop:
                        first, last = start[p], start[p + 1]
                        done = 0 if last > first else long
                        while done < long:
                            at, left, rest = to + done, numbers - done, row + done
                            sum_pixel(memory, at, left, table, rest, long, channel, value, first, last, vectors)
                            done += vectors * step
                        p += len(taps.column) * groups
                        to += taps.apart * positions
            to, own = out * out_width * all_outputs + group * outputs, group * outputs
            sum_pieces(flat, to, all_outputs, bias, own, memory, base, pitch, out_width, outputs, n)


def _layout(active, target, w, geometry, groups, transposed):
    """See `line_layout.layout`, for an output array and w, or its gradient."""
    geometry = map(tuple, geometry)
    channels, outputs = active.shape[3], target.shape[3]
    source, target = active.shape[1:3], target.shape[1:3]
    return layout(source, target, w.shape[:2], *geometry, groups, channels, outputs, w.dtype, transposed)


def forward(active, w, b, stride, padding, dilation, y, kept=None, groups=1, transposed=False):
    """See `reference.conv.conv2d_forward`, without a horizontal dilation.

    If it is transposed, see `reference.conv.conv2d_backward_input` instead, with y in the place of dx.
    """
    images, out_height, out_width, outputs = y.shape
    taps, ring, size = _layout(active, y, w, (stride, padding, dilation), groups, transposed)

    def fill(table):
        table[:] = 0
        for own, rows in parts_of(w, table, taps):
            rows[...] = own

    table = made_once(kept, PACKED, (size,), w.dtype, fill)
    bias = np.zeros(outputs, w.dtype) if b is None else b
    images_a_tile = max(1, TILE_PIXELS // (out_height * out_width))
    pieces = min(count_tiles(TILES, images), count_tiles(out_height, 4 * ring[0]))
    count = images * pieces if pieces > 1 else count_tiles(images, images_a_tile)

    starts = _starts(active, groups)

    def work(lo, hi):
        _forward_tiles(
            starts,
            active.channel,
            active.value,
            active.shape,
            taps,
            table,
            bias,
            scratch.get("event lines", ring, w.dtype),
            y,
            images_a_tile,
            pieces,
            lo,
            hi,
        )

    parallel_for(work, count * groups)


@kernel
def _weight_gradient_parts(start, channel, value, shape, taps, dy, nothing, line, parts, rows, lo, hi):
    """Compute partial sums over `rows` input rows each, for one group each."""
    images, height, width, _ = shape
    _, out_height, out_width, all_outputs = dy.shape
    groups, outputs = taps.groups, taps.outputs
    slopes, table, step = dy.reshape(-1), parts.reshape(-1), lanes(line)
    base, pitch = local(1, np.int64), local(1, np.int64)
    pitch[0] = all_outputs
    for item in range(lo, hi):
        part, group = item // groups, item % groups
        own = part * parts.shape[1]
        for a in range(len(taps.down)):
            for b in range(len(taps.column)):
                numbers = taps.blocks[a, b] * taps.vectors[a, b] * step * taps.inputs
                clear_row(table, own + taps.first[a, b] + group * numbers, numbers)
        for source in range(part * rows, min(images * height, (part + 1) * rows)):
            image, iy, pixel = source // height, source % height, source * width
            a = taps.phase[iy]
            positions = taps.down[a] * outputs
            if positions == 0 or start[(pixel + width) * groups] == start[pixel * groups]:
                continue
            # The rows of dy that read this input row, and zeros beside them.
            clear_row(line, 0, len(line))
            for ky in range(len(taps.slot)):
                oy = taps.target[iy, ky]
                if oy >= 0:
                    base[0] = (image * out_height + oy) * out_width * all_outputs + group * outputs
                    to = taps.left * positions + taps.slot[ky] * outputs
                    sum_pieces(line, to, positions, nothing, 0, slopes, base, pitch, out_width, outputs, 1)
            for b in range(len(taps.column)):
                vectors = taps.vectors[a, b]
                long, row, at = taps.blocks[a, b] * vectors * step, own + taps.first[a, b], taps.position[b] * positions
                p = (pixel + taps.column[b]) * groups + group
                stop = (pixel + width) * groups if long > 0 else 0
                while p < stop:
                    first, last = start[p], start[p + 1]
                    done = 0 if last > first else long
                    while done < long:
                        add_pixel(table, row + done, long, line, at + done, channel, value, first, last, vectors)
                        done += vectors * step
                    p += len(taps.column) * groups
                    at += taps.apart * positions


def parts_for(entries):
    """The number of partial sums of the weight gradient for a number of active inputs per channel. Each of them is as
    large as the weights, and must be worth it."""
    return int(max(1, min(PARTS, entries // PART_ENTRIES)))


def backward_weight(active, dy, stride, padding, dilation, dw, groups=1, transposed=False):
    """See `reference.conv.conv2d_backward_weight`, without a horizontal dilation.

    If it is transposed, the list is that of the output's gradient, and dy is the input.
    """
    images, height, _, channels = active.shape
    taps, ring, size = _layout(active, dy, dw, (stride, padding, dilation), groups, transposed)
    count = min(images * height, parts_for(int(active.start[-1]) / channels))
    rows = count_tiles(images * height, count)
    parts = scratch.get("partial rows of all taps", (count_tiles(images * height, rows), size), dw.dtype)
    nothing = np.zeros(dy.shape[3], dw.dtype)

    starts = _starts(active, groups)

    def work(lo, hi):
        _weight_gradient_parts(
            starts,
            active.channel,
            active.value,
            active.shape,
            taps,
            dy,
            nothing,
            scratch.get("event line", ring[1:], dw.dtype),
            parts,
            rows,
            lo,
            hi,
        )

    parallel_for(work, len(parts) * groups, chunks_per_thread=1)
    total = parts[0]
    if len(parts) > 1:
        total = scratch.get("rows of all taps", (size,), dw.dtype)
        sum_parts(parts, total)
    for own, rows in parts_of(dw, total, taps):
        own[...] = rows
