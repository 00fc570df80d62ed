"""Moves rows of numbers within memory: copies, zeros and transposed squares, one register at a time (`vector`)."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...compile import register_jitable
from .vector import Emitter, lanes


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
def copy_apart(typingctx, target, at, step, source, source_at, source_step, count):
    """Set target[at + k step] = source[source_at + k source_step] for k < count.

    Both arrays are flat and have the same real type. Numba would test whether each index counts from the end.
    """
    size = types.intp
    signature = types.void(target, size, size, source, size, size, size)
    at_once = 8

    def generate(context, builder, signature, arguments):
        target, at, step, source, source_at, source_step, count = arguments
        emit = Emitter(context, builder, signature.args[0].dtype)
        to = emit.pointer(signature.args[0], target, at)
        start = emit.pointer(signature.args[3], source, source_at)
        whole = builder.sub(count, builder.srem(count, emit.number(at_once)))
        for first, last, number in ((emit.number(0), whole, at_once), (whole, count, 1)):
            with emit.steps(first, last, number) as (k, _):
                here = [builder.add(k, emit.number(i)) for i in range(number)]
                numbers = [builder.load(builder.gep(start, [builder.mul(i, source_step)])) for i in here]
                for i, one in zip(here, numbers, strict=True):
                    builder.store(one, builder.gep(to, [builder.mul(i, step)]))
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
        # Squares of 2, 4, ... numbers are transposed: rows j and j + step exchange half of their lanes.
        step = 1
        while step < emit.lanes:
            for j in (j for j in lane if not j & step):
                one, other = rows[j], rows[j + step]
                rows[j] = emit.choose(one, other, [k if not k & step else emit.lanes + k - step for k in lane])
                rows[j + step] = emit.choose(one, other, [k + step if not k & step else emit.lanes + k for k in lane])
            step *= 2
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
