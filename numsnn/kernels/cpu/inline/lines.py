"""Inner loops of convolutions by input pixel (`ways.lines`): the sums of one pixel, and rows of short pieces.

They keep a block of vectors in registers while they go through the active inputs of a pixel.
"""

import itertools

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vector import REGISTER_BYTES, REGISTERS, Emitter

MOST_VECTORS = REGISTERS * 3 // 4
"""Largest number of vectors of a block. The other registers hold factors and addresses."""

BLOCKS = tuple(n for n in (1, 2, 3, 4, 5, 7, 9, 12, 18, 24) if n <= MOST_VECTORS)
"""Numbers of vectors that blocks have."""


def blocks_of(numbers, dtype):
    """How a row of numbers is cut into blocks: (number of blocks, vectors per block)."""
    lanes = REGISTER_BYTES // dtype.itemsize
    vectors = -(-numbers // lanes)
    count = -(-vectors // MOST_VECTORS)
    return count, next(n for n in BLOCKS if n * count >= vectors)


def _choose_block(builder, vectors, write):
    """Write the code of every block size, and a jump to that of `vectors`."""
    after = builder.append_basic_block("after")
    switch = builder.switch(vectors, after)
    for size in BLOCKS:
        here = builder.append_basic_block(f"vectors{size}")
        switch.add_case(ir.Constant(vectors.type, size), here)
        with builder.goto_block(here):
            write(size)
            builder.branch(after)
    builder.position_at_end(after)


@intrinsic
def sum_pixel(typingctx, out, at, columns, table, table_at, pitch, channel, value, first, last, vectors):
    """Add the sum of a pixel's rows of a table to one row of out.

    out[at + c] += sum of value[k] table[table_at + channel[k] pitch + c] over k = first..last-1, for c < columns.

    All arrays are flat, and out, table and value have the same real type. `vectors` is one of BLOCKS; this many vectors
    of the table, and of out, can be read, also beyond the columns.
    """
    size = types.intp
    signature = types.void(out, size, size, table, size, size, channel, value, size, size, size)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        out, at, columns, table, table_at, pitch, channel, value, first, last, vectors = arguments
        emit = Emitter(context, builder, kinds[0].dtype)
        target, rows = emit.pointer(kinds[0], out, at), emit.pointer(kinds[3], table, table_at)

        def write(size):
            ways = max(1, 4 // size)
            totals = [[emit.variable() for _ in range(size)] for _ in range(ways)]
            for total in itertools.chain(*totals):
                builder.store(emit.nothing, total)

            def add(k, way):
                row = builder.gep(rows, [builder.mul(emit.read_index(kinds[6], channel, k), pitch)])
                factor = emit.spread(builder.load(emit.pointer(kinds[7], value, k)))
                for j, total in enumerate(totals[way]):
                    emit.accumulate(total, emit.load(row, j), factor)

            start = first
            if ways > 1:
                count = builder.sub(last, first)
                start = builder.sub(last, builder.srem(count, emit.number(ways)))
                with emit.steps(first, start, ways) as (k, _):
                    for way in range(ways):
                        add(builder.add(k, emit.number(way)), way)
            with emit.steps(start, last) as (k, _):
                add(k, 0)
            for j in range(size):
                for way in range(1, ways):
                    emit.accumulate(totals[0][j], builder.load(totals[way][j]))
                mask = emit.first_lanes(builder.sub(columns, emit.number(j * emit.lanes)))
                mine = builder.select(mask, builder.load(totals[0][j]), emit.nothing)
                emit.store(builder.fadd(emit.load(target, j), mine), target, j)

        _choose_block(builder, vectors, write)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_pixel(typingctx, table, table_at, pitch, row, at, channel, value, first, last, vectors):
    """Add a pixel's multiples of one row to rows of a table.

    table[table_at + channel[k] pitch + c] += value[k] row[at + c] for k = first..last-1 and all c of `vectors` vectors,
    which is one of BLOCKS. No channel comes twice.

    All arrays are flat, and table, row and value have the same real type.
    """
    size = types.intp
    signature = types.void(table, size, size, row, size, channel, value, size, size, size)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        table, table_at, pitch, row, at, channel, value, first, last, vectors = arguments
        emit = Emitter(context, builder, kinds[0].dtype)
        rows, source = emit.pointer(kinds[0], table, table_at), emit.pointer(kinds[3], row, at)

        def write(size):
            block = [emit.load(source, j) for j in range(size)]
            with emit.steps(first, last) as (k, _):
                target = builder.gep(rows, [builder.mul(emit.read_index(kinds[5], channel, k), pitch)])
                factor = emit.spread(builder.load(emit.pointer(kinds[6], value, k)))
                for j, numbers in enumerate(block):
                    product = builder.fmul(numbers, factor, flags=["contract"])
                    emit.store(builder.fadd(product, emit.load(target, j), flags=["contract"]), target, j)

        _choose_block(builder, vectors, write)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def sum_pieces(typingctx, out, at, step, initial, initial_at, table, base, pitch, pieces, columns, count):
    """Sum pieces of a table into pieces of out.

    out[at + i step + c] = initial[initial_at + c] + sum of table[base[g] + i pitch[g] + c] over g < count, for
    i < pieces and c < columns. All arrays are flat; out, initial and table have the same real type.
    """
    size = types.intp
    signature = types.void(out, size, size, initial, size, table, base, pitch, size, size, size)
    at_once = 4

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        out, at, step, initial, initial_at, table, base, pitch, pieces, columns, count = arguments
        emit = Emitter(context, builder, kinds[0].dtype)
        whole = builder.sub(columns, builder.srem(columns, emit.number(emit.lanes)))
        stop = builder.sub(pieces, builder.srem(pieces, emit.number(at_once)))

        def block(column, mask):
            start = emit.load(emit.pointer(kinds[3], initial, builder.add(initial_at, column)), 0, mask)
            target = emit.pointer(kinds[0], out, builder.add(at, column))
            source = emit.pointer(kinds[5], table, column)

            def several(i, number):
                totals = [emit.variable() for _ in range(number)]
                for total in totals:
                    builder.store(start, total)
                with emit.steps(emit.number(0), count) as (g, _):
                    apart = emit.read_index(kinds[7], pitch, g)
                    first = builder.add(emit.read_index(kinds[6], base, g), builder.mul(i, apart))
                    for total in totals:
                        emit.accumulate(total, emit.load(builder.gep(source, [first]), 0, mask))
                        first = builder.add(first, apart)
                place = builder.mul(i, step)
                for total in totals:
                    emit.store(builder.load(total), builder.gep(target, [place]), 0, mask)
                    place = builder.add(place, step)

            with emit.steps(emit.number(0), stop, at_once) as (i, _):
                several(i, at_once)
            with emit.steps(stop, pieces) as (i, _):
                several(i, 1)

        with emit.steps(emit.number(0), whole, emit.lanes) as (column, _):
            block(column, None)
        with builder.if_then(builder.icmp_signed("<", whole, columns)):
            block(whole, emit.first_lanes(builder.sub(columns, whole)))
        return context.get_dummy_value()

    return signature, generate
