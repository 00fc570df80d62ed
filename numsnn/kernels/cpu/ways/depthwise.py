"""Depthwise convolution: one input channel and a few output channels per group. `reference.conv` documents it.

Input rows are copied to lines of memory with zeros beside them, as real numbers, a block of channels at a time. The
taps of neighbouring output pixels are then summed without a look at borders (`inline.taps`). A line stays in a ring of
lines until the output rows that read it are computed.

The input gradient is computed in the same way from rows of the output's gradient. With a stride, input pixels fall into
phases by the remainder of their column, which have their own taps.

With several output channels per group, lines hold as many copies of each input channel, one beside the other, so that
output channels are computed as if each had an input of its own. The input gradient is then summed over them.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...compile import kernel, register_jitable
from ..inline.local import local
from ..inline.rows import clear_row
from ..inline.taps import MOST_COPIES, add_taps, beyond, copy_vectors, repeat_numbers, sum_taps
from ..inline.vector import REGISTER_BYTES, lanes
from ..run.launch import count_tiles, parallel_for, rows_per_tile, scratch
from ..run.reduce import sum_tiles

MOST_VECTORS = 4
"""Largest number of vectors of channels per block."""

TILES = 16
"""Images are cut into pieces, so that there are at least about this number of tiles."""

WEIGHT_TILES = 64
"""Largest number of tiles of the weight gradient. Each tile has a partial sum that is as large as the weights."""


FEW_GROUPS = 4
"""Number of groups up to which vectors of channels are so empty that `planes` is faster at stride 1."""


def worth_it(w, groups, planes) -> bool:
    """Whether a convolution is computed in this way: each of its groups has one input channel and few outputs.

    Args:
        w: weights ``[kh, kw, I, groups J]``.
        groups: number of groups.
        planes: whether `planes` computes it otherwise, at stride 1.
    """
    single = groups > 1 and w.shape[2] == 1 and w.shape[3] <= MOST_COPIES * groups
    return single and (groups > FEW_GROUPS or not planes)


class Plan(NamedTuple):
    """Which source rows and columns a target row and column reads. "Target" is what is computed.

    Attributes:
        rows: ``[height, kh]``, the source row of each target row and kernel row, or -1.
        columns: ``[phases, kw]``, the position in the line that the first target column of a phase reads, or -1.
        counts: ``[phases]``, the number of target columns of a phase. Its columns are `phase`, `phase` + phases, ...
        left: the position of the first source column in a line.
        shift: the distance of the positions that neighbouring target columns of a phase read.
        ring: the number of lines that are held at a time.
        positions: the length of a line.
    """

    rows: np.ndarray
    columns: np.ndarray
    counts: np.ndarray
    left: int
    shift: int
    ring: int
    positions: int


@lru_cache(256)
def _plan(source, target, kernel_size, stride, padding, dilation, turned):
    """The plan of a convolution, or with `turned` of its input gradient. Extents are pairs (height, width)."""
    reads = []
    for extent, from_extent, taps, step, pad, by in zip(
        target, source, kernel_size, stride, padding, dilation, strict=True
    ):
        at, tap = np.arange(extent)[:, None], by * np.arange(taps)
        where, rest = (at * step - pad + tap, 0 * tap) if not turned else np.divmod(at + pad - tap, step)
        reads.append((where, rest == 0, from_extent))
    where, exact, height = reads[0]
    rows = np.where(exact & (where >= 0) & (where < height), where, -1)
    where, exact, width = reads[1]
    phases = min(stride[1], target[1]) if turned else 1
    columns, exact = where[:phases], np.broadcast_to(exact, where.shape)[:phases]
    counts = np.array([len(range(phase, target[1], phases)) for phase in range(phases)])
    shift = 1 if turned else stride[1]
    left = max(0, -int(columns.min()))
    positions = left + max(width, int(columns.max()) + (int(counts.max()) - 1) * shift + 1)
    columns = np.where(exact, columns + left, -1)
    ring = (kernel_size[0] - 1) * dilation[0] + 1
    return Plan(rows, columns, counts, left, shift, ring, positions)


def _blocks(channels, copies, dtype):
    """How channels are cut into blocks of whole groups of `copies`: (number of blocks, channels per block, channels per
    block in memory)."""
    vector, groups = REGISTER_BYTES // dtype.itemsize, channels // copies
    count = count_tiles(groups, MOST_VECTORS * vector // copies)
    width = count_tiles(count_tiles(groups, count) * copies, vector) * vector
    return count, width // copies * copies, width


def _pack(w, count, columns, width):
    """Weights ``[kh, kw, 1, C]`` as ``[blocks, kh kw, width]``, with zeros behind the last channel of each block."""
    taps, channels = w.shape[0] * w.shape[1], w.shape[3]
    packed = np.zeros((count, taps, width), w.dtype)
    for block, first in enumerate(range(0, channels, columns)):
        mine = w.reshape(taps, channels)[:, first : first + columns]
        packed[block, :, : mine.shape[1]] = mine
    return packed


@register_jitable
def _fill(source, first, step, pixels, copies, columns, width, line, at):
    """Copy channels of the pixels of a row to a line, `copies` times each, for so many columns. With one copy, whole
    vectors are copied, but the array must not be read beyond its last pixel."""
    if copies > 1:
        repeat_numbers(line, at, width, copies, source, first, step, pixels, columns // copies)
        clear_row(line, at + pixels * width, beyond(line))
        return
    vectors = width // lanes(line)
    safe = min(pixels, max(0, (len(source) - first - width) // step + 1))
    copy_vectors(line, at, width, source, first, step, safe, vectors)
    for pixel in range(safe, pixels):
        for c in range(min(width, len(source) - first - pixel * step)):
            line[at + pixel * width + c] = source[first + pixel * step + c]


@kernel
def _target_tiles(source, shape, plan, copies, columns, packed, bias, lines, sums, target, members, pieces, lo, hi):
    """Compute the target. A tile is a block of `columns` channels of one of `pieces` pieces of an image.

    Lines hold `copies` copies of each channel of the source. Each channel of the target is the sum over `members`
    channels, and if there are several, sums gets the numbers of a row.
    """
    _, source_height, source_width, channels = shape
    _, height, width, targets = target.shape
    blocks, taps, block_width = packed.shape
    kh, (phases, kw) = plan.rows.shape[1], plan.columns.shape
    size = len(lines) // plan.ring
    flat, weights = target.reshape(-1), packed.reshape(-1)
    held, base, row = local(plan.ring, np.int64), local(taps, np.int64), local(taps, np.int64)
    rows = -(-height // pieces)
    clear_row(lines, 0, len(lines))
    for item in range(lo, hi):
        image, piece, block = item // (pieces * blocks), item // blocks % pieces, item % blocks
        first = block * columns
        mine = min(columns, targets * members - first)
        held[:] = -1
        for y in range(piece * rows, min(height, (piece + 1) * rows)):
            for ky in range(kh):
                from_row = plan.rows[y, ky]
                if from_row >= 0 and held[from_row % plan.ring] != from_row:
                    held[from_row % plan.ring] = from_row
                    begin = (image * source_height + from_row) * source_width * channels + first // copies
                    at = from_row % plan.ring * size + plan.left * block_width
                    _fill(source, begin, channels, source_width, copies, mine, block_width, lines, at)
            for phase in range(phases):
                n = 0
                for ky in range(kh):
                    from_row = plan.rows[y, ky]
                    for kx in range(kw if from_row >= 0 else 0):
                        if plan.columns[phase, kx] >= 0:
                            base[n] = from_row % plan.ring * size + plan.columns[phase, kx] * block_width
                            row[n] = (block * taps + ky * kw + kx) * block_width
                            n += 1
                count, shift = plan.counts[phase], plan.shift * block_width
                at, step = ((image * height + y) * width + phase) * targets + first // members, phases * targets
                out, to, apart = (flat, at, step) if members == 1 else (sums, 0, block_width)
                sum_taps(out, to, apart, bias, first, lines, base, shift, weights, row, n, count, mine)
                for i in range(count if members > 1 else 0):
                    for k in range(0, mine, members):
                        total = sums[i * block_width + k]
                        for j in range(1, members):
                            total += sums[i * block_width + k + j]
                        flat[at + i * step + k // members] = total


def _lines(plan, width, dtype):
    """Memory for the lines of channels. Copies of the last channel are written beyond the end of a line."""
    return scratch.get("lines of channels", (plan.ring * (plan.positions * width + beyond(dtype)),), dtype)


def _compute(source, w, b, plan, target, copies, members):
    channels = w.shape[3]
    count, columns, width = _blocks(channels, copies * members, w.dtype)
    packed = _pack(w, count, columns, width)
    images, height = target.shape[:2]
    pieces = max(1, min(count_tiles(TILES, images * count), height // (4 * plan.ring)))
    bias = np.zeros(channels, w.dtype) if b is None else b
    flat = source.reshape(-1)

    def work(lo, hi):
        lines = _lines(plan, width, w.dtype)
        sums = scratch.get("sums", (target.shape[2] * width,), w.dtype)
        shape = source.shape
        _target_tiles(flat, shape, plan, copies, columns, packed, bias, lines, sums, target, members, pieces, lo, hi)

    parallel_for(work, images * pieces * count)


def forward(x, w, b, stride, padding, dilation, y):
    """See `reference.conv.conv2d_forward`, for groups of one input channel."""
    plan = _plan(x.shape[1:3], y.shape[1:3], w.shape[:2], tuple(stride), tuple(padding), tuple(dilation), False)
    _compute(x, w, b, plan, y, w.shape[3] // x.shape[3], 1)


def backward_input(dy, w, stride, padding, dilation, dx):
    """See `reference.conv.conv2d_backward_input`, for groups of one input channel."""
    plan = _plan(dy.shape[1:3], dx.shape[1:3], w.shape[:2], tuple(stride), tuple(padding), tuple(dilation), True)
    _compute(dy, w, None, plan, dx, 1, w.shape[3] // dx.shape[3])


@kernel
def _weight_gradient_tiles(x, shape, plan, copies, columns, dy, lines, parts, rows, lo, hi):
    """Compute partial sums. A tile is a block of `columns` channels of `rows` output rows; see `_target_tiles`."""
    _, source_height, source_width, channels = shape
    images, height, width, outputs = dy.shape
    _, blocks, taps, block_width = parts.shape
    kh, kw = plan.rows.shape[1], plan.columns.shape[1]
    size = len(lines) // plan.ring
    flat, sums = dy.reshape(-1), parts.reshape(-1)
    held, base, row = local(plan.ring, np.int64), local(taps, np.int64), local(taps, np.int64)
    clear_row(lines, 0, len(lines))
    for item in range(lo, hi):
        tile, block = item // blocks, item % blocks
        first, own = block * columns, item * taps * block_width
        mine = min(columns, outputs - first)
        clear_row(sums, own, taps * block_width)
        held[:] = -1
        for target in range(tile * rows, min(images * height, (tile + 1) * rows)):
            image, y = target // height, target % height
            n = 0
            for ky in range(kh):
                if plan.rows[y, ky] >= 0:
                    source, place = image * source_height + plan.rows[y, ky], plan.rows[y, ky] % plan.ring
                    if held[place] != source:
                        held[place] = source
                        begin = source * source_width * channels + first // copies
                        at = place * size + plan.left * block_width
                        _fill(x, begin, channels, source_width, copies, mine, block_width, lines, at)
                    for kx in range(kw):
                        base[n] = place * size + plan.columns[0, kx] * block_width
                        row[n] = own + (ky * kw + kx) * block_width
                        n += 1
            at, shift = target * width * outputs + first, plan.shift * block_width
            add_taps(sums, row, lines, base, shift, flat, at, outputs, n, width, mine)


def backward_weight(x, dy, stride, padding, dilation, dw):
    """See `reference.conv.conv2d_backward_weight`, for groups of one input channel."""
    images, height, width, channels = dy.shape
    plan = _plan(x.shape[1:3], dy.shape[1:3], dw.shape[:2], tuple(stride), tuple(padding), tuple(dilation), False)
    copies = channels // x.shape[3]
    count, columns, block_width = _blocks(channels, copies, dw.dtype)
    rows = max(rows_per_tile(width * block_width), count_tiles(images * height, WEIGHT_TILES))
    tiles = count_tiles(images * height, rows)
    parts = np.empty((tiles, count, dw.shape[0] * dw.shape[1], block_width), dw.dtype)
    flat = x.reshape(-1)

    def work(lo, hi):
        lines = _lines(plan, block_width, dw.dtype)
        _weight_gradient_tiles(flat, x.shape, plan, copies, columns, dy, lines, parts, rows, lo, hi)

    parallel_for(work, tiles * count)
    total = np.empty(parts.shape[1:], dw.dtype)
    sum_tiles(parts, total)
    joined = total[..., :columns].swapaxes(0, 1).reshape(len(total[0]), -1)
    dw[...] = joined[:, :channels].reshape(dw.shape)
