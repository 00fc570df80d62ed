"""The inner loops of convolutions and matrix products: sums of rows, dot products, blocks of a matrix product and small
transforms. They keep their partial sums in vector registers (`vector`).

Measured on one Zen 5 core, `multiply_rows` runs at 250 GFLOP/s, which is the core's peak. `sum_rows` reads weights as
fast as the second-level cache delivers them, 1.8 times as fast as the best plain loop that was found.
"""

import functools

import numpy as np
from numba import types
from numba.extending import intrinsic

from .vector import REGISTER_BYTES, REGISTERS, Emitter

TILE_ROWS = 8 if REGISTERS == 32 else 6
"""Rows of the register block of a matrix product."""

TILE_VECTORS = 2
"""Vectors per row of the register block. 8 x 2 of 32 registers, or 6 x 2 of 16, leave registers for the factors."""

MOST_VECTORS = REGISTERS // 2
"""Largest number of vectors of partial sums that `sum_rows` keeps in registers."""


def panel_columns(dtype):
    """Columns of the register block of a matrix product, and therefore of a panel of packed weights."""
    return TILE_VECTORS * REGISTER_BYTES // np.dtype(dtype).itemsize


@intrinsic
def sum_rows(typingctx, out, at, initial, initial_at, table, table_at, columns, index, value, first, last):
    """Sum scaled rows of a table into one row of out.

    out[at + c] = initial[initial_at + c] + sum of value[k] table[table_at + index[k] + c], over the entries
    k = first..last-1, for c = 0..columns-1.

    All arrays are flat. out, initial, table and value have the same real type, and initial may be out itself. The row
    is summed in blocks of 16 vectors, then of 8, 4, 2 and 1, and at last in one vector with a mask.
    """
    size = types.intp
    signature = types.void(out, size, initial, size, table, size, size, index, value, size, size)

    def generate(context, builder, signature, arguments):
        emit = Emitter(context, builder, signature.args[0].dtype)
        columns, done = arguments[6], emit.number(0)
        for vectors in (16, 8, 4, 2, 1):
            if vectors > MOST_VECTORS:
                continue
            step = emit.number(vectors * emit.lanes)
            stop = builder.sub(columns, builder.srem(builder.sub(columns, done), step))
            with emit.steps(done, stop, vectors * emit.lanes) as (block, _):
                _sum_block(emit, signature.args, arguments, block, vectors)
            done = stop
        with builder.if_then(builder.icmp_signed("<", done, columns)):
            _sum_block(emit, signature.args, arguments, done, 1, emit.first_lanes(builder.sub(columns, done)))
        return context.get_dummy_value()

    return signature, generate


def _sum_block(emit, kinds, arguments, done, vectors, mask=None):
    """Write the code for one block of columns of `sum_rows`.

    A narrow block takes several entries at a time, each with partial sums of its own. With a single sum, every addition
    would wait for the one before it.
    """
    builder = emit.builder
    out, at, initial, initial_at, table, table_at, _, index, value, start, stop = arguments
    target = emit.pointer(kinds[0], out, builder.add(at, done))
    source = emit.pointer(kinds[2], initial, builder.add(initial_at, done))
    rows = emit.pointer(kinds[4], table, builder.add(table_at, done))
    ways = max(1, min(4, 8 // vectors))
    # totals[way][j] is a register: the partial sum of vector j over every ways-th entry; initial goes to the first way.
    totals = [[emit.variable() for _ in range(vectors)] for _ in range(ways)]
    for j in range(vectors):
        builder.store(emit.load(source, j, mask), totals[0][j])
        for way in range(1, ways):
            builder.store(emit.nothing, totals[way][j])

    def add(k, way):
        row = builder.gep(rows, [emit.read_index(kinds[7], index, k)])
        factor = emit.spread(builder.load(emit.pointer(kinds[8], value, k)))
        for j in range(vectors):
            emit.accumulate(totals[way][j], emit.load(row, j, mask), factor)

    if ways > 1:
        count = builder.sub(stop, start)
        whole = builder.add(start, builder.mul(builder.sdiv(count, emit.number(ways)), emit.number(ways)))
        with emit.steps(start, whole, ways) as (k, _):
            for way in range(ways):
                add(builder.add(k, emit.number(way)), way)
        start = whole
    with emit.steps(start, stop) as (k, _):
        add(k, 0)
    # The partial sums of the ways are added in order, and the row is stored once.
    for j in range(vectors):
        for way in range(1, ways):
            emit.accumulate(totals[0][j], builder.load(totals[way][j]))
        emit.store(builder.load(totals[0][j]), target, j, mask)


@intrinsic
def dot_rows(typingctx, out, at, index, first, last, a, a_base, b, b_base, b_row, columns, segments):
    """Compute dot products of rows of b with a row of a.

    out[at + index[k]] = sum of a[a_base[g] + c] b[b_base[g] + index[k] b_row + c] over c < columns and the segments
    g = 0..segments-1, for the entries k = first..last-1.

    All arrays are flat. out and a have the same real type, and b has this type or uint8. Eight rows of b share one read
    of a, then four, two and one. The products of a row are added lane by lane, and the lanes at the end, so that the
    order of a row's sum does not depend on the number of rows.
    """
    size = types.intp
    signature = types.void(out, size, index, size, size, a, a_base, b, b_base, size, size, size)

    def generate(context, builder, signature, arguments):
        emit = Emitter(context, builder, signature.args[0].dtype)
        _, _, _, done, last, *_ = arguments
        for ways in (8, 4, 2, 1):
            if ways > MOST_VECTORS:
                continue
            stop = builder.sub(last, builder.srem(builder.sub(last, done), emit.number(ways)))
            with emit.steps(done, stop, ways) as (k, _):
                _dot_block(emit, signature.args, arguments, k, ways)
            done = stop
        return context.get_dummy_value()

    return signature, generate


def _dot_block(emit, kinds, arguments, k, ways):
    """Write the code for `ways` entries of `dot_rows`, beginning with entry k."""
    builder = emit.builder
    out, at, index, _, _, a, a_base, b, b_base, b_row, columns, segments = arguments
    numbers = [emit.read_index(kinds[2], index, builder.add(k, emit.number(way))) for way in range(ways)]
    offsets = [builder.mul(number, b_row) for number in numbers]
    # One register per row of b holds that row's sums, one per lane.
    totals = [emit.variable() for _ in range(ways)]
    for total in totals:
        builder.store(emit.nothing, total)
    whole = builder.sub(columns, builder.srem(columns, emit.number(emit.lanes)))

    def add(left, rows, column, mask=None):
        shared = emit.load(builder.gep(left, [column]), 0, mask)
        for row, total in zip(rows, totals, strict=True):
            emit.accumulate(total, shared, emit.load_numbers(builder.gep(row, [column]), mask))

    with emit.steps(emit.number(0), segments) as (segment, _):
        left = emit.pointer(kinds[5], a, emit.read_index(kinds[6], a_base, segment))
        right = emit.pointer(kinds[7], b, emit.read_index(kinds[8], b_base, segment))
        rows = [builder.gep(right, [offset]) for offset in offsets]
        with emit.steps(emit.number(0), whole, emit.lanes) as (column, _):
            add(left, rows, column)
        with builder.if_then(builder.icmp_signed("<", whole, columns)):
            add(left, rows, whole, emit.first_lanes(builder.sub(columns, whole)))
    for number, total in zip(numbers, totals, strict=True):
        value = emit.add_lanes(builder.load(total))
        builder.store(value, emit.pointer(kinds[0], out, builder.add(at, number)))


@intrinsic
def multiply_rows(
    typingctx,
    a,
    row,
    first_row,
    column,
    first_column,
    depth,
    b,
    b_at,
    columns,
    initial,
    initial_at,
    c,
    c_at,
    place,
    first_place,
    fresh,
):
    """Compute one register block of a matrix product whose left factor is read through indices.

    c[c_at + place[m] + j] = initial[initial_at + j] + sum over k < depth of a[row[m] + column[k]] b[k, j] if fresh is
    true; otherwise the sum is added to c. This is for TILE_ROWS rows m and for j < columns, which is at most
    `panel_columns`. first_row, first_place and first_column are where row and place begin for m = 0, and column for
    k = 0.

    All arrays are flat. a, b, c and initial have the same real type; row, column and place are integers. The rows of b
    are contiguous and have one vector each if this suffices for the columns, and otherwise TILE_VECTORS:
    b[k, j] is at b_at + k (numbers per row) + j.
    """
    size = types.intp
    signature = types.void(
        *(a, row, size, column, size, size, b, size, size, initial, size, c, size, place, size, types.boolean)
    )

    def generate(context, builder, signature, arguments):
        emit = Emitter(context, builder, signature.args[11].dtype)
        narrow = builder.icmp_signed("<=", arguments[8], emit.number(emit.lanes))
        with builder.if_else(narrow) as (one, more):
            with one:
                _multiply_block(emit, signature.args, arguments, 1)
            with more:
                _multiply_block(emit, signature.args, arguments, TILE_VECTORS)
        return context.get_dummy_value()

    return signature, generate


def _multiply_block(emit, kinds, arguments, vectors):
    """Write the code for a block of `multiply_rows` with this number of vectors per row."""
    builder = emit.builder
    a, row, first_row, column, first_column, depth, b, b_at, columns, initial, initial_at, c, c_at, *rest = arguments
    place, first_place, fresh = rest
    # Only the last vector of a row may have lanes without a column. Masks cost time, and are used where there are any.
    whole = builder.icmp_signed("==", columns, emit.number(vectors * emit.lanes))
    mask = emit.first_lanes(builder.sub(columns, emit.number((vectors - 1) * emit.lanes)))

    def by_columns(move):
        with builder.if_else(whole) as (all_lanes, some_lanes):
            with all_lanes:
                move([None] * vectors)
            with some_lanes:
                move([None] * (vectors - 1) + [mask])

    rows = [emit.number(r) for r in range(TILE_ROWS)]
    left = [emit.pointer(kinds[0], a, emit.read_index(kinds[1], row, builder.add(first_row, r))) for r in rows]
    panel, start = emit.pointer(kinds[6], b, b_at), emit.pointer(kinds[9], initial, initial_at)
    out = emit.pointer(kinds[11], c, c_at)
    target = [builder.gep(out, [emit.read_index(kinds[13], place, builder.add(first_place, r))]) for r in rows]
    # One register per row r and vector j of the block; they are loaded before and stored after the loop over k.
    block = [(r, j, emit.variable()) for r in range(TILE_ROWS) for j in range(vectors)]

    def begin(masks):
        values = [emit.load(start, j, masks[j]) for j in range(vectors)]
        for _, j, total in block:
            builder.store(values[j], total)

    def go_on(masks):
        for r, j, total in block:
            builder.store(emit.load(target[r], j, masks[j]), total)

    def end(masks):
        for r, j, total in block:
            emit.store(builder.load(total), target[r], j, masks[j])

    with builder.if_else(fresh) as (overwrite, add):
        with overwrite:
            by_columns(begin)
        with add:
            by_columns(go_on)
    # Each k reads the vectors of b and one number per row of a, and uses each of them in several products.
    width = emit.number(vectors * emit.lanes)
    with emit.steps(emit.number(0), depth) as (k, _):
        right_at = builder.gep(panel, [builder.mul(k, width)])
        right = [emit.load(right_at, j) for j in range(vectors)]
        at = emit.read_index(kinds[3], column, builder.add(first_column, k))
        factors = [emit.spread(builder.load(builder.gep(pointer, [at]))) for pointer in left]
        for r, j, total in block:
            emit.accumulate(total, factors[r], right[j])
    by_columns(end)


def square_transform(matrix):
    """An intrinsic that computes Y = M X M^T for a constant matrix M, where each entry of X and Y is a row of numbers.

    Args:
        matrix: M, a sequence of rows.

    Returns:
        transform(y, y_at, y_down, y_right, x, x_at, x_down, x_right, columns) for flat arrays of the same real type.
        Entry (i, j) of X is the `columns` numbers from x_at + i x_down + j x_right on, and likewise for Y.
    """
    tall, wide = len(matrix), len(matrix[0])

    @intrinsic
    def transform(typingctx, y, y_at, y_down, y_right, x, x_at, x_down, x_right, columns):
        size = types.intp
        signature = types.void(y, size, size, size, x, size, size, size, size)

        def generate(context, builder, signature, arguments):
            y, y_at, y_down, y_right, x, x_at, x_down, x_right, columns = arguments
            emit = Emitter(context, builder, signature.args[0].dtype)

            def block(column, mask):
                source = emit.pointer(signature.args[4], x, builder.add(x_at, column))
                target = emit.pointer(signature.args[0], y, builder.add(y_at, column))
                step = functools.partial(emit.step, source, x_down, x_right)
                # One vector of columns of all entries is in registers; half holds M X.
                entries = [[emit.load(step(i, j), 0, mask) for j in range(wide)] for i in range(wide)]
                half = [emit.combine(matrix, [entries[k][j] for k in range(wide)]) for j in range(wide)]
                for i in range(tall):
                    for j, value in enumerate(emit.combine(matrix, [half[k][i] for k in range(wide)])):
                        emit.store(value, emit.step(target, y_down, y_right, i, j), 0, mask)

            whole = builder.sub(columns, builder.srem(columns, emit.number(emit.lanes)))
            with emit.steps(emit.number(0), whole, emit.lanes) as (column, _):
                block(column, None)
            with builder.if_then(builder.icmp_signed("<", whole, columns)):
                block(whole, emit.first_lanes(builder.sub(columns, whole)))
            return context.get_dummy_value()

        return signature, generate

    return transform
