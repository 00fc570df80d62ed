"""Where the tables and lines of `lines` have their numbers.

With a stride, the input pixels of a convolution fall into phases: (a, b), the remainders of their row and of their
column by the stride, determine which taps read them. In a transposed convolution all taps read every pixel, and there
is one phase; the parts of neighbouring pixels in a line begin the stride apart.
"""

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from ..inline.lines import blocks_of
from ..inline.vector import REGISTER_BYTES
from ..run.launch import ALIGNMENT, count_tiles


class Layout(NamedTuple):
    """Which taps read an input pixel, and where their numbers are.

    Attributes:
        source: ``[Ho, kh]``, the input row that an output row reads through a kernel row, or -1.
        target: ``[H, kh]``, the output row that reads an input row through a kernel row, or -1.
        phase: ``[H]``, the phase a of an input row.
        turn, slot: ``[kh]``, the phase a of a kernel row, and its place among the kernel rows of this phase.
        down: ``[phases a]``, the number of kernel rows of each phase a.
        across: ``[phases b]``, the number of kernel columns of each phase b.
        column: ``[phases b]``, the first input column of each phase b.
        position: ``[phases b]``, the position in the line at which the part of this column begins.
        apart: the distance of the parts of neighbouring columns of a phase, in positions.
        left: the position in the line of the first output.
        first: ``[phases a, phases b]``, where the phase's table begins.
        blocks, vectors: ``[phases a, phases b]``, the number of blocks per row of the table, and of vectors per block.
        groups, inputs, outputs: the number of groups, and of channels per group.
        transposed: whether the convolution is transposed.
    """

    source: np.ndarray
    target: np.ndarray
    phase: np.ndarray
    turn: np.ndarray
    slot: np.ndarray
    down: np.ndarray
    across: np.ndarray
    column: np.ndarray
    position: np.ndarray
    apart: int
    left: int
    first: np.ndarray
    blocks: np.ndarray
    vectors: np.ndarray
    groups: int
    inputs: int
    outputs: int
    transposed: bool


def _rows(extent, pictures, taps, stride, padding, dilation):
    """Which row of a picture of `extent` rows each output row reads through each kernel row, and which output row reads
    each row; -1 where there is none. `pictures` is the number of output rows."""
    tap = dilation * np.arange(taps)
    reads = np.arange(pictures)[:, None] * stride - padding + tap
    read_by, rest = np.divmod(np.arange(extent)[:, None] + padding - tap, stride)
    reads = np.where((reads >= 0) & (reads < extent), reads, -1)
    return reads, np.where((rest == 0) & (read_by >= 0) & (read_by < pictures), read_by, -1)


@lru_cache(256)
def layout(source, target, kernel_size, stride, padding, dilation, groups, channels, outputs, dtype, transposed):
    """The layout for an input and an output of these (height, width), with numbers of channels of all groups together.

    stride, padding and dilation are those of the convolution, or of the one that is transposed.

    Returns:
        The `Layout`, whose arrays are shared and must not be changed; the shape of the ring of lines; the numbers of
        all tables.
    """
    (height, width), (out_height, out_width), (kh, kw) = source, target, kernel_size
    if transposed:
        target_rows, source_rows = _rows(out_height, height, kh, stride[0], padding[0], dilation[0])
        phases, apart, ring = (1, 1), stride[1], (kh - 1) * dilation[0] // stride[0] + 1
        left, column = padding[1], np.zeros(1, np.int64)
        last = (width - 1) * apart + kw
    else:
        source_rows, target_rows = _rows(height, out_height, kh, stride[0], padding[0], dilation[0])
        phases, apart, ring = stride, 1, (kh - 1) * dilation[0] + 1
        left, column = (kw - 1) // stride[1], (np.arange(stride[1]) - padding[1]) % stride[1]
        last = left + (width - 1 + padding[1]) // stride[1] + 1
    turn = np.arange(kh) * dilation[0] % phases[0]
    slot = np.array([np.count_nonzero(turn[:ky] == turn[ky]) for ky in range(kh)])
    down = np.bincount(turn, minlength=phases[0])
    across = np.array([len(range(b, kw, phases[1])) for b in range(phases[1])])
    position = np.zeros(1, np.int64) if transposed else (column + padding[1]) // stride[1] + left + 1 - across
    outputs //= groups
    first, blocks, vectors = np.zeros((3, *phases), np.int64)
    size = longest = 0
    lanes = REGISTER_BYTES // dtype.itemsize
    for a, b in np.ndindex(*phases):
        if numbers := int(down[a] * across[b]) * outputs:
            blocks[a, b], vectors[a, b] = blocks_of(numbers, dtype)
            row = int(blocks[a, b] * vectors[a, b]) * lanes
            first[a, b], size, longest = size, size + channels * row, max(longest, row)
    grain = ALIGNMENT // dtype.itemsize
    # The last blocks of a line read beyond its end.
    numbers = count_tiles(max(left + out_width, last) * int(down.max()) * outputs + longest, grain) * grain
    phase = (np.arange(height) + padding[0]) % phases[0]
    found = Layout(
        *(source_rows, target_rows, phase, turn, slot, down, across, column, position, apart, left),
        *(first, blocks, vectors, groups, channels // groups, outputs, transposed),
    )
    return found, (ring, numbers), size


def parts_of(w, table, places):
    """Yield the parts of the weights and of the table that hold the same numbers, as views ``[groups, C/groups, kernel
    columns, kernel rows, O/groups]``, one per phase.

    w is ``[kh, kw, C/groups, O]``, or ``[kh, kw, O/groups, C]`` if the convolution is transposed. In a table the
    kernel columns of a phase are in reversed order, unless the convolution is transposed.
    """
    width, groups, turn = REGISTER_BYTES // table.itemsize, places.groups, places.turn.tolist()
    apart = w.reshape(*w.shape[:3], groups, -1)
    for a, b in product(range(len(places.down)), range(len(places.across))):
        taps = [ky for ky, phase in enumerate(turn) if phase == a]  # they are the same distance apart
        down, across = len(taps), int(places.across[b])
        if down and across:
            row, first = int(places.blocks[a, b] * places.vectors[a, b]) * width, int(places.first[a, b])
            rows = table[first : first + groups * places.inputs * row].reshape(groups, places.inputs, row)
            rows = rows[..., : across * down * places.outputs]
            own = apart[taps[0] :: taps[1] - taps[0] if down > 1 else len(w), b :: len(places.across)]
            own = own.transpose(3, 4, 1, 0, 2) if places.transposed else own[:, ::-1].transpose(3, 2, 1, 0, 4)
            yield own, rows.reshape(own.shape)
