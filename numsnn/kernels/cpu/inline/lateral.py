"""The product of a few rows with lateral weights, in one time step.

Rows with few numbers that are not zero add the rows of weights that belong to these numbers. Rows with many numbers are
multiplied in register blocks, in which several rows use one read of the weights. Both add the products of a row one
after the other, so that the bits of a result do not depend on the choice, as long as all weights are finite. Measured
on one Zen 5 core with 256 channels, the blocks run at 250 GFLOP/s, which is the core's peak; single rows reached 50
GFLOP/s.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic, register_jitable

from .local import local
from .nonzero import count_numbers, list_numbers
from .runs import copy_run
from .vector import REGISTER_BYTES, REGISTERS, Emitter, lanes

BLOCK_ROWS = 4
"""Rows of a register block."""

BLOCK_VECTORS = 4 if REGISTERS == 32 else 2
"""Vectors per row of a register block: 16 of 32 registers hold the sums, or 8 of 16."""

SUM_VECTORS = 4 if REGISTER_BYTES == 64 else 8
"""Vectors of a single row that are summed at a time, a multiple of BLOCK_VECTORS. For shorter registers there are more
of them, because the list is read once per time."""

LIST_ROOM = 64
"""Number of entries by which a list of numbers is longer than a row: one vector, of any type and on any processor."""

DEPTH = 128
"""Rows of a panel of weights that are multiplied at a time: 32 KiB of float32, which stay in the first-level cache."""


def sum_columns(dtype):
    """Columns that are summed at a time, and therefore of a panel of packed weights."""
    return SUM_VECTORS * REGISTER_BYTES // np.dtype(dtype).itemsize


@intrinsic
def _multiply_rows(typingctx, out, at, pitch, rows, factors, factors_at, table, table_at, width, depth, columns):
    """Add one register block of a product.

    out[at + r pitch + c] += sum over k < depth of factors[factors_at + r pitch + k] table[table_at + k width + c], for
    r < rows <= BLOCK_ROWS and c < columns. The columns are at most BLOCK_VECTORS vectors.

    All arrays are flat and have the same real type.
    """
    size = types.intp
    signature = types.void(out, size, size, size, factors, size, table, size, size, size, size)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        out, at, pitch, rows, factors, factors_at, table, table_at, width, depth, columns = arguments
        emit = Emitter(context, builder, kinds[0].dtype)
        target, left = emit.pointer(kinds[0], out, at), emit.pointer(kinds[4], factors, factors_at)
        lowest = emit.pointer(kinds[6], table, table_at)
        # Rows beyond the last one repeat it: they compute and store the same numbers.
        last = builder.sub(rows, emit.number(1))
        offsets = []
        for r in range(BLOCK_ROWS):
            row = builder.select(builder.icmp_signed("<", emit.number(r), rows), emit.number(r), last)
            offsets.append(builder.mul(row, pitch))

        def block(masks):
            total = [[emit.variable() for _ in masks] for _ in offsets]
            for offset, row in zip(offsets, total, strict=True):
                for j, mask in enumerate(masks):
                    builder.store(emit.load(builder.gep(target, [offset]), j, mask), row[j])
            with emit.steps(emit.number(0), depth) as (k, _):
                weights = builder.gep(lowest, [builder.mul(k, width)])
                right = [emit.load(weights, j, mask) for j, mask in enumerate(masks)]
                for offset, row in zip(offsets, total, strict=True):
                    number = emit.spread(builder.load(builder.gep(left, [builder.add(offset, k)])))
                    for j in range(len(masks)):
                        emit.accumulate(row[j], number, right[j])
            for offset, row in zip(offsets, total, strict=True):
                for j, mask in enumerate(masks):
                    emit.store(builder.load(row[j]), builder.gep(target, [offset]), j, mask)

        _whole_or_cut(emit, columns, BLOCK_VECTORS, block)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _sum_row(typingctx, out, at, initial, initial_at, table, table_at, index, value, count, columns):
    """Compute one block of a row from a list: out[at + c] = initial[initial_at + c] + sum over n < count of value[n]
    table[table_at + index[n] + c], for c < columns <= `sum_columns`. Numbers are added one after the other, as
    `_multiply_rows` adds them. All arrays are flat; those but index have the same real type."""
    size = types.intp
    signature = types.void(out, size, initial, size, table, size, index, value, size, size)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        out, at, initial, initial_at, table, table_at, index, value, count, columns = arguments
        emit = Emitter(context, builder, kinds[0].dtype)
        target, source = emit.pointer(kinds[0], out, at), emit.pointer(kinds[2], initial, initial_at)
        lowest = emit.pointer(kinds[4], table, table_at)

        def block(masks):
            total = [emit.variable() for _ in masks]
            for j, mask in enumerate(masks):
                builder.store(emit.load(source, j, mask), total[j])
            with emit.steps(emit.number(0), count) as (n, _):
                weights = builder.gep(lowest, [emit.read_index(kinds[6], index, n)])
                number = emit.spread(builder.load(emit.pointer(kinds[7], value, n)))
                for j, mask in enumerate(masks):
                    emit.accumulate(total[j], number, emit.load(weights, j, mask))
            for j, mask in enumerate(masks):
                emit.store(builder.load(total[j]), target, j, mask)

        _whole_or_cut(emit, columns, SUM_VECTORS, block)
        return context.get_dummy_value()

    return signature, generate


def _whole_or_cut(emit, columns, vectors, block):
    """Write code for at most this number of vectors: block(masks), with one mask per vector, or None for whole ones."""
    whole = emit.builder.icmp_signed("==", columns, emit.number(vectors * emit.lanes))
    with emit.builder.if_else(whole) as (full, cut):
        with full:
            block([None] * vectors)
        with cut:
            block([emit.first_lanes(emit.builder.sub(columns, emit.number(j * emit.lanes))) for j in range(vectors)])


@register_jitable(inline="always")
def work_arrays(columns, real):
    """The work arrays of `add_lateral`: indices and values of a list."""
    return local(columns + LIST_ROOM, np.uint32), local(columns + LIST_ROOM, real)


@register_jitable(inline="always")
def add_lateral(x, table, start, y, places, width, columns, count, work):
    """Compute y[r] = start[r] + x[r] w for rows r < count of `columns` numbers.

    It is compiled into its callers as text: a call would count references to all arrays, which takes as long as the sum
    of a few rows.

    Args:
        x, start, y: flat arrays that contain the rows: spikes or gradients, what is there without lateral weights, and
            the output. The rows of y overlap with none of the others.
        table: flat ``[panels, columns, width]``, the weights w in panels of columns.
        places: where the first row of x, start and y begins.
        width: columns per panel: all of them, or `sum_columns`.
        columns, count: numbers per row, and number of rows.
        work: what `work_arrays` returns.
    """
    x_at, start_at, y_at = places
    index, value = work
    # Rows with few numbers that are not zero add the rows of weights of these. Otherwise blocks are multiplied.
    active = 0 if count == 1 else count_numbers(x, x_at, count * columns)
    if active * BLOCK_ROWS > count * columns:
        copy_run(y, y_at, start, start_at, count * columns)
        step = BLOCK_VECTORS * lanes(x)
        for column in range(0, columns, step):
            size, panel = min(step, columns - column), column // width * width
            for k in range(0, columns, DEPTH):
                depth, weights = min(DEPTH, columns - k), panel * columns + k * width + column - panel
                for first in range(0, count, BLOCK_ROWS):
                    rows, at = min(BLOCK_ROWS, count - first), first * columns
                    out, factors = y_at + at + column, x_at + at + k
                    _multiply_rows(y, out, columns, rows, x, factors, table, weights, width, depth, size)
    else:
        step = SUM_VECTORS * lanes(x)
        for r in range(count):
            entries = list_numbers(x, x_at + r * columns, columns, width, index, value, 0)
            for column in range(0, columns, step):
                size, panel, at = min(step, columns - column), column // width * width, r * columns + column
                weights = panel * columns + column - panel
                _sum_row(y, y_at + at, start, start_at + at, table, weights, index, value, entries, size)
