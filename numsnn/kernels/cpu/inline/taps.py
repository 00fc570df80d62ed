"""Inner loops of depthwise convolutions (`ways.depthwise`): sums over the taps of neighbouring output pixels.

All arrays are flat. A tap has its own row of weights and its own place in the line of inputs; vectors hold channels.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...compile import register_jitable
from .vector import Emitter, lanes

PIXELS = (8, 4, 2, 1)
"""Numbers of output pixels that `sum_taps` computes at a time."""

MOST_TAPS = 8
"""Largest number of taps that `add_taps` sums at a time."""

MOST_COPIES = 8
"""Largest number of copies of each number that `repeat_numbers` makes. They fit into the smallest block of channels, of
float64 in registers of 16 bytes."""


@register_jitable
def beyond(numbers):
    """How many numbers `repeat_numbers` may write behind the last copy, in an array of this type."""
    return max(MOST_COPIES, lanes(numbers))


@intrinsic
def copy_vectors(typingctx, target, at, step, source, source_at, source_step, pieces, vectors):
    """Set target[at + i step + c] = source[source_at + i source_step + c] for i < pieces and all c of whole vectors.

    target has a real type, and source the same type or uint8.
    """
    size = types.intp
    signature = types.void(target, size, size, source, size, size, size, size)

    def generate(context, builder, signature, arguments):
        target, at, step, source, source_at, source_step, pieces, vectors = arguments
        kinds = signature.args
        emit = Emitter(context, builder, kinds[0].dtype)
        origin = Emitter(context, builder, kinds[3].dtype)
        to, start = emit.pointer(kinds[0], target, at), emit.pointer(kinds[3], source, source_at)
        piece = ir.VectorType(origin.element, emit.lanes)
        with emit.steps(emit.number(0), pieces) as (i, _), emit.steps(emit.number(0), vectors) as (v, _):
            column = builder.mul(v, emit.number(emit.lanes))
            place = builder.gep(start, [builder.add(builder.mul(i, source_step), column)])
            value = builder.load(builder.bitcast(place, piece.as_pointer()), align=origin.bytes)
            if kinds[3].dtype == types.uint8:
                value = builder.uitofp(value, emit.vector)
            emit.store(value, builder.gep(to, [builder.add(builder.mul(i, step), column)]))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def repeat_numbers(typingctx, target, at, step, copies, source, source_at, source_step, pieces, count):
    """Set target[at + i step + k copies + j] = source[source_at + i source_step + k] for i < pieces, k < count and
    j < copies <= MOST_COPIES.

    target has a real type, and source the same type or uint8. Whole vectors are written in ascending order, so that up
    to `beyond` numbers behind those of a piece are overwritten.
    """
    size = types.intp
    signature = types.void(target, size, size, size, source, size, size, size, size)

    def generate(context, builder, signature, arguments):
        target, at, step, copies, source, source_at, source_step, pieces, count = arguments
        kinds = signature.args
        emit = Emitter(context, builder, kinds[0].dtype)
        to, start = emit.pointer(kinds[0], target, at), emit.pointer(kinds[4], source, source_at)
        with emit.steps(emit.number(0), pieces) as (i, _), emit.steps(emit.number(0), count) as (k, _):
            value = builder.load(builder.gep(start, [builder.add(builder.mul(i, source_step), k)]))
            if kinds[4].dtype == types.uint8:
                value = builder.uitofp(value, emit.element)
            place = builder.gep(to, [builder.add(builder.mul(i, step), builder.mul(k, copies))])
            for vector in range(-(-MOST_COPIES // emit.lanes)):
                emit.store(emit.spread(value), place, vector)
        return context.get_dummy_value()

    return signature, generate


def _column_blocks(emit, columns, write):
    """Write the code of a loop over whole vectors of columns, and of the vector with a mask at the end."""
    builder = emit.builder
    whole = builder.sub(columns, builder.srem(columns, emit.number(emit.lanes)))
    with emit.steps(emit.number(0), whole, emit.lanes) as (column, _):
        write(column, None)
    with builder.if_then(builder.icmp_signed("<", whole, columns)):
        write(whole, emit.first_lanes(builder.sub(columns, whole)))


@intrinsic
def sum_taps(typingctx, out, at, step, initial, initial_at, line, base, shift, weights, row, count, pixels, columns):
    """Compute neighbouring outputs of a depthwise convolution.

    out[at + i step + c] = initial[initial_at + c] + sum of weights[row[t] + c] line[base[t] + i shift + c] over the
    taps t < count, for i < pixels and c < columns. Whole vectors of weights and of the line can be read.
    """
    size = types.intp
    signature = types.void(out, size, size, initial, size, line, base, size, weights, row, size, size, size)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        out, at, step, initial, initial_at, line, base, shift, weights, row, count, pixels, columns = arguments
        emit = Emitter(context, builder, kinds[0].dtype)

        def block(column, mask):
            start = emit.load(emit.pointer(kinds[3], initial, builder.add(initial_at, column)), 0, mask)
            target = emit.pointer(kinds[0], out, builder.add(at, column))
            source, factors = emit.pointer(kinds[5], line, column), emit.pointer(kinds[8], weights, column)

            def several(i, number):
                totals = [emit.variable() for _ in range(number)]
                for total in totals:
                    builder.store(start, total)
                with emit.steps(emit.number(0), count) as (t, _):
                    factor = emit.load(builder.gep(factors, [emit.read_index(kinds[9], row, t)]))
                    first = builder.add(emit.read_index(kinds[6], base, t), builder.mul(i, shift))
                    place = builder.gep(source, [first])
                    for total in totals:
                        emit.accumulate(total, emit.load(place), factor)
                        place = builder.gep(place, [shift])
                place = builder.gep(target, [builder.mul(i, step)])
                for total in totals:
                    emit.store(builder.load(total), place, 0, mask)
                    place = builder.gep(place, [step])

            done = emit.number(0)
            for number in PIXELS:
                stop = builder.sub(pixels, builder.srem(builder.sub(pixels, done), emit.number(number)))
                with emit.steps(done, stop, number) as (i, _):
                    several(i, number)
                done = stop

        _column_blocks(emit, columns, block)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_taps(typingctx, parts, row, line, base, shift, slope, slope_at, slope_step, count, pixels, columns):
    """Add the products of a row of slopes and the inputs of each tap to the tap's row of parts.

    parts[row[t] + c] += sum of slope[slope_at + i slope_step + c] line[base[t] + i shift + c] over i < pixels, for the
    taps t < count and c < columns. Whole vectors of parts and of the line can be read and written.
    """
    size = types.intp
    signature = types.void(parts, row, line, base, size, slope, size, size, size, size, size)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        parts, row, line, base, shift, slope, slope_at, slope_step, count, pixels, columns = arguments
        emit = Emitter(context, builder, kinds[0].dtype)

        def block(column, mask):
            out, source = emit.pointer(kinds[0], parts, column), emit.pointer(kinds[2], line, column)
            slopes = emit.pointer(kinds[5], slope, builder.add(slope_at, column))

            def several(t, number):
                taps = [builder.add(t, emit.number(k)) for k in range(number)]
                places = [builder.gep(source, [emit.read_index(kinds[3], base, tap)]) for tap in taps]
                rows = [builder.gep(out, [emit.read_index(kinds[1], row, tap)]) for tap in taps]
                totals = [emit.variable() for _ in taps]
                for total, place in zip(totals, rows, strict=True):
                    builder.store(emit.load(place), total)
                with emit.steps(emit.number(0), pixels) as (i, _):
                    factor = emit.load(builder.gep(slopes, [builder.mul(i, slope_step)]), 0, mask)
                    moved = builder.mul(i, shift)
                    for total, place in zip(totals, places, strict=True):
                        emit.accumulate(total, emit.load(builder.gep(place, [moved])), factor)
                for total, place in zip(totals, rows, strict=True):
                    emit.store(builder.load(total), place)

            done = emit.number(0)
            for number in (MOST_TAPS, 5, 3, 2, 1):
                stop = builder.sub(count, builder.srem(builder.sub(count, done), emit.number(number)))
                with emit.steps(done, stop, number) as (t, _):
                    several(t, number)
                done = stop

        _column_blocks(emit, columns, block)
        return context.get_dummy_value()

    return signature, generate
