"""Panels: the right factor of a matrix product, in the order in which the register blocks read it.

A panel has `blocks.panel_columns` columns, which a block reads from one end to the other. The last panel is filled up
with columns of zeros, to one vector if this suffices for its columns, and otherwise to all of them. The panels of a
factor with K rows are a flat array of K `padded_columns` numbers; the one that begins with column c is at K c.
"""

from math import prod

import numpy as np

from ...compile import kernel, register_jitable
from ..inline.blocks import TILE_ROWS, panel_columns
from ..inline.rows import clear_row, copy_row, transpose_block
from ..inline.vector import REGISTER_BYTES
from ..run.launch import count_tiles, launch, made_once, scratch

PACKED = "panels"

DEPTH = 256
"""Rows of a panel that are multiplied at a time. With 32 columns of float32 these are 32 KiB, which stay in the
first-level cache."""

PACKED_ROWS = 64
"""Rows of the weights that are packed at a time."""


def padded_rows(rows):
    """`rows` rounded up to a multiple of TILE_ROWS."""
    return count_tiles(rows, TILE_ROWS) * TILE_ROWS


def padded_columns(columns, dtype):
    """The width of all panels together: `columns` rounded up to whole vectors."""
    lanes = REGISTER_BYTES // np.dtype(dtype).itemsize
    return count_tiles(columns, lanes) * lanes


@kernel
def _pack_rows(w, first_column, columns, packed, width, lo, hi):
    """Copy rows lo PACKED_ROWS..hi PACKED_ROWS-1 of w to the panels; columns beyond the last one of w are 0."""
    flat, pitch = w.reshape(-1), w.shape[3]
    depth = len(flat) // pitch
    padded = len(packed) // depth
    for k in range(lo * PACKED_ROWS, min(depth, hi * PACKED_ROWS)):
        for first in range(0, columns, width):
            wide, used = min(width, padded - first), min(width, columns - first)
            at = first * depth + k * wide
            copy_row(packed, at, flat, k * pitch + first_column + first, used)
            clear_row(packed, at + used, wide - used)


@kernel
def _pack_transposed_panels(w, taps, first_column, inner, packed, width, lo, hi):
    """Pack panels of `pack_transposed`."""
    columns, pitch = w.shape[2], w.shape[3]
    flat = w.reshape(-1)
    padded = len(packed) // (len(taps) * inner)
    for panel in range(lo, hi):
        first = panel * width
        wide, size = min(width, padded - first), min(width, columns - first)
        for n in range(len(taps)):
            source = (taps[n] * columns + first) * pitch + first_column
            target = (first * len(taps) + n * wide) * inner
            if size < wide:
                clear_row(packed, target, inner * wide)
            transpose_block(packed, target, wide, flat, source, pitch, size, inner)


def pack(w, first_column=0, columns=None, kept=None, group=0):
    """Pack some columns of weights ``[ty, tx, K, N]`` into panels, a flat array of taps K `padded_columns` numbers.

    The last panel is filled up with columns of zeros. The panels are in scratch memory, or with a dict `kept` in this
    dict, under the number of the group. columns=None is all of them.
    """
    columns = w.shape[3] if columns is None else columns
    depth = prod(w.shape[:3])
    key = PACKED if kept is None else (PACKED, group)  # groups share the scratch memory
    shape, width = (depth * padded_columns(columns, w.dtype),), panel_columns(w.dtype)

    def fill(packed):
        launch(_pack_rows, count_tiles(depth, PACKED_ROWS), w, first_column, columns, packed, width)

    return made_once(kept, key, shape, w.dtype, fill)


def pack_transposed(w, taps, first_column, inner, width=None):
    """Like `pack`, for some taps of weights ``[kh, kw, N, K']``, and `inner` of their last axis from first_column on.

    The rows of the panels are ordered by tap and then by the last axis. They are in scratch memory. With `width`, all
    panels have this number of columns, the last one, too.
    """
    columns = w.shape[2]
    padded = padded_columns(columns, w.dtype) if width is None else count_tiles(columns, width) * width
    width = width or panel_columns(w.dtype)
    packed = scratch.get(PACKED, (len(taps) * inner * padded,), w.dtype)
    launch(_pack_transposed_panels, count_tiles(columns, width), w, np.array(taps), first_column, inner, packed, width)
    return packed


@register_jitable
def pack_gradients(dy, first_output, outputs, first, positions, width, panels):
    """Copy rows first..first + positions - 1 of dy to panels of that many rows, filled up with columns of zeros."""
    flat, pitch = dy.reshape(-1), dy.shape[3]
    padded = len(panels) // positions
    for column in range(0, outputs, width):
        wide, used = min(width, padded - column), min(width, outputs - column)
        for n in range(positions):
            at = column * positions + n * wide
            copy_row(panels, at, flat, (first + n) * pitch + first_output + column, used)
            clear_row(panels, at + used, wide - used)
