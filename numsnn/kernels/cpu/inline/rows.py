"""Moves rows of numbers within memory: copies, zeros and transposed squares, one register at a time (`vector`)."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...compile import register_jitable
from .vector import SHORT, Emitter, lanes

COLUMNS = 4
"""Columns that are taken apart or put together at a time, or as many as a vector has lanes."""


def as_bytes(x):
    """A contiguous array as a flat array of bytes, and whether its numbers are spikes, which are one byte each.

    A kernel that reads both through `copy_numbers` is compiled once.
    """
    return x.reshape(-1).view(np.uint8), x.dtype == np.uint8


@intrinsic
def copy_numbers(typingctx, target, at, memory, source_at, count, spikes):
    """Set target[at + k] = source[source_at + k] for k < count, where memory and spikes are `as_bytes` of the source.

    target is flat and has a real type. The source has the same type or uint8.
    """
    size = types.intp
    signature = types.void(target, size, memory, size, size, types.boolean)

    def generate(context, builder, signature, arguments):
        target, at, memory, source_at, count, spikes = arguments
        emit = Emitter(context, builder, signature.args[0].dtype)
        to = emit.pointer(signature.args[0], target, at)
        start = emit.pointer(signature.args[2], memory, emit.number(0))
        with builder.if_else(spikes) as (small, real):
            with small:
                emit.copy(builder.gep(start, [source_at]), to, count)
            with real:
                emit.copy(builder.gep(builder.bitcast(start, to.type), [source_at]), to, count)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def copy_row(typingctx, target, at, source, source_at, count):
    """Set target[at + k] = source[source_at + k] for k < count.

    Both arrays are flat and have the same real type. A slice assignment would also create array views, which takes
    longer than copying a short row.
    """
    size = types.intp
    signature = types.void(target, size, source, size, size)

    def generate(context, builder, signature, arguments):
        target, at, source, source_at, count = arguments
        emit = Emitter(context, builder, signature.args[0].dtype)
        start = emit.pointer(signature.args[2], source, source_at)
        emit.copy(start, emit.pointer(signature.args[0], target, at), count)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def take_columns(typingctx, target, at, pitch, source, source_at, step, columns, count):
    """Set target[at + c pitch + k] = source[source_at + k step + c] for c < columns and k < count.

    Both arrays are flat and have the same real type. COLUMNS columns of as many rows as a vector has lanes are
    transposed in registers. So the source must reach a vector's lanes in rows, and COLUMNS numbers, beyond the last
    number that counts.
    """
    size = types.intp
    signature = types.void(target, size, size, source, size, size, size, size)

    def generate(context, builder, signature, arguments):
        target, at, pitch, source, source_at, step, columns, count = arguments
        emit = Emitter(context, builder, signature.args[0].dtype)
        to, start = emit.pointer(signature.args[0], target, at), emit.pointer(signature.args[3], source, source_at)
        square = min(COLUMNS, emit.lanes)

        def read(place, first):
            """A vector with pieces of the rows first, first + square, and so on."""
            rows = (builder.mul(step, emit.number(k)) for k in range(first, emit.lanes, square))
            return emit.join([emit.load_piece(builder.gep(place, [row]), square) for row in rows])

        def take(width, vectors_at):
            """Take `width` columns at a time; vectors_at(address of the first row) gives a vector per column."""
            with emit.steps(emit.number(0), columns, width) as (c, _):
                line, here = builder.gep(to, [builder.mul(c, pitch)]), builder.gep(start, [c])

                def write(k, mask=None):
                    for j, vector in enumerate(vectors_at(builder.gep(here, [builder.mul(k, step)]))):
                        with builder.if_then(builder.icmp_signed("<", builder.add(c, emit.number(j)), columns)):
                            column = builder.add(builder.mul(pitch, emit.number(j)), k)
                            emit.store(vector, builder.gep(line, [column]), 0, mask)

                emit.vectors(count, write)

        def pairs(place):
            """Rows of two numbers are two vectors, of which one has every other number."""
            both = emit.load(place, 0), emit.load(place, 1)
            return [emit.choose(*both, list(range(first, 2 * emit.lanes, 2))) for first in range(2)]

        with builder.if_else(builder.icmp_signed("==", step, emit.number(2))) as (two, more):
            with two:
                take(2, pairs)
            with more:
                take(square, lambda place: emit.transpose([read(place, first) for first in range(square)]))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def put_columns(typingctx, target, at, step, source, source_at, pitch, columns, count):
    """Set target[at + k step + c] = source[source_at + c pitch + k] for c < columns and k < count: the inverse of
    `take_columns`. The source must reach a vector, and COLUMNS times pitch, beyond the last number that counts."""
    size = types.intp
    signature = types.void(target, size, size, source, size, size, size, size)

    def generate(context, builder, signature, arguments):
        target, at, step, source, source_at, pitch, columns, count = arguments
        emit = Emitter(context, builder, signature.args[0].dtype)
        to, start = emit.pointer(signature.args[0], target, at), emit.pointer(signature.args[3], source, source_at)
        square = min(COLUMNS, emit.lanes)
        with emit.steps(emit.number(0), columns, square) as (c, _):
            line, here = builder.gep(start, [builder.mul(c, pitch)]), builder.gep(to, [c])
            left = builder.sub(columns, c)
            whole, some = builder.icmp_signed(">=", left, emit.number(square)), emit.first_lanes(left, square)

            def write(k, mask=None):
                places = [builder.add(builder.mul(pitch, emit.number(j)), k) for j in range(square)]
                vectors = emit.transpose([emit.load(builder.gep(line, [place])) for place in places])
                first = builder.gep(here, [builder.mul(k, step)])

                def store(columns):
                    for i in range(emit.lanes):
                        row = builder.gep(first, [builder.mul(step, emit.number(i))])
                        piece = emit.piece(vectors[i % square], i // square * square, square)
                        if mask is None:
                            emit.store_piece(piece, row, columns)
                        else:
                            with builder.if_then(builder.extract_element(mask, SHORT(i))):
                                emit.store_piece(piece, row, columns)

                with builder.if_else(whole) as (all_columns, some_columns):
                    with all_columns:
                        store(None)
                    with some_columns:
                        store(some)

            emit.vectors(count, write)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def clear_row(typingctx, target, at, count):
    """Set target[at + k] = 0 for k < count, in a flat array of a real type."""
    signature = types.void(target, types.intp, types.intp)

    def generate(context, builder, signature, arguments):
        target, at, count = arguments
        emit = Emitter(context, builder, signature.args[0].dtype)
        to = emit.pointer(signature.args[0], target, at)
        whole = builder.sub(count, builder.srem(count, emit.number(emit.lanes)))
        with emit.steps(emit.number(0), whole, emit.lanes) as (k, _):
            emit.store(emit.nothing, builder.gep(to, [k]))
        with emit.steps(whole, count) as (k, _):
            builder.store(ir.Constant(emit.element, 0.0), builder.gep(to, [k]))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def transpose_square(typingctx, target, at, target_row, source, source_at, source_row):
    """Set target[at + k target_row + j] = source[source_at + j source_row + k] for j, k < lanes(target).

    Both arrays are flat and have the same real type.
    """
    size = types.intp
    signature = types.void(target, size, size, source, size, size)

    def generate(context, builder, signature, arguments):
        target, at, target_row, source, source_at, source_row = arguments
        kinds = signature.args
        emit = Emitter(context, builder, kinds[0].dtype)
        to, start = emit.pointer(kinds[0], target, at), emit.pointer(kinds[3], source, source_at)
        lane = range(emit.lanes)
        rows = [emit.load(builder.gep(start, [builder.mul(source_row, emit.number(j))])) for j in lane]
        rows = emit.transpose(rows)
        for k in lane:
            emit.store(rows[k], builder.gep(to, [builder.mul(target_row, emit.number(k))]))
        return context.get_dummy_value()

    return signature, generate


@register_jitable
def transpose_block(target, at, target_row, source, source_at, source_row, rows, columns):
    """Set target[at + k target_row + j] = source[source_at + j source_row + k] for j < rows and k < columns.

    Both arrays are flat and have the same real type. Whole squares of `lanes` numbers each way are transposed in
    registers.
    """
    square = lanes(target)
    for j in range(0, rows, square):
        last, done = min(rows, j + square), 0
        if j + square <= rows:
            done = columns - columns % square
            for k in range(0, done, square):
                to, start = at + k * target_row + j, source_at + j * source_row + k
                transpose_square(target, to, target_row, source, start, source_row)
        for k in range(done, columns):
            for i in range(j, last):
                target[at + k * target_row + i] = source[source_at + i * source_row + k]
