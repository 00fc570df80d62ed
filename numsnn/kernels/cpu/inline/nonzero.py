"""Which numbers of an array are not zero: bits, counts and lists, one register at a time (`vector`)."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ...compile import register_jitable
from .vector import REGISTER_BYTES, SHORT, Emitter, lanes


@intrinsic
def nonzero_bits(typingctx, x, at):
    """A uint64 whose bit k is 1 where x[at + k] is not zero, for k < lanes(x). x is a flat array."""
    signature = types.uint64(x, types.intp)

    def generate(context, builder, signature, arguments):
        kind = signature.args[0]
        emit = Emitter(context, builder, kind.dtype)
        numbers = emit.load(emit.pointer(kind, *arguments))
        zeros = ir.Constant(emit.vector, None)
        if isinstance(kind.dtype, types.Float):
            differ = builder.fcmp_unordered("!=", numbers, zeros)
        else:
            differ = builder.icmp_unsigned("!=", numbers, zeros)
        bits = builder.bitcast(differ, ir.IntType(emit.lanes))
        return bits if emit.lanes == 64 else builder.zext(bits, ir.IntType(64))

    return signature, generate


@intrinsic
def lowest_bit(typingctx, bits):
    """The position of the lowest bit that is set, as an index. bits is a uint64 that is not zero."""
    signature = types.intp(types.uint64)

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return signature, generate


@intrinsic
def count_bits(typingctx, bits):
    """The number of bits of a uint64 that are set, as an index."""
    signature = types.intp(types.uint64)

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return signature, generate


@register_jitable
def list_places(x, first, last, place):
    """Write the distances from `first` of the numbers among x[first..last-1] that are not zero to place, and return
    how many there are. One register is tested at a time, because most numbers are zero. x is a flat array."""
    n, at, width = 0, first, lanes(x)
    while at + width <= last:
        bits = nonzero_bits(x, at)
        while bits != 0:
            place[n] = at - first + lowest_bit(bits)
            n += 1
            bits &= bits - np.uint64(1)
        at += width
    for k in range(at, last):
        if x[k] != 0:
            place[n] = k - first
            n += 1
    return n


@intrinsic
def list_active(typingctx, channel, value, n, x, at, first, channels, reciprocal):
    """List the active inputs among x[at] and the numbers behind it, as many as a register of values holds.

    Their values go to value[n], value[n + 1], ..., and their channels to channel. x[at] has the channel `first`, and
    the channels repeat after `channels`, whose reciprocal is a float64. All arrays are flat; channel is int32, and x is
    uint8 or has the type of value. No branch depends on x, because the processor could not foresee it.

    Returns:
        The number of active inputs.
    """
    size = types.intp
    signature = size(channel, value, size, x, size, size, size, types.float64)

    def generate(context, builder, signature, arguments):
        channel, value, n, x, at, first, channels, reciprocal = arguments
        kinds = signature.args
        emit = Emitter(context, builder, kinds[1].dtype)
        origin = Emitter(context, builder, kinds[3].dtype)
        lanes, whole = emit.lanes, ir.VectorType(SHORT, emit.lanes)
        piece = ir.VectorType(origin.element, lanes)
        place = builder.bitcast(emit.pointer(kinds[3], x, at), piece.as_pointer())
        numbers = builder.load(place, align=origin.bytes)
        zeros = ir.Constant(piece, None)
        if isinstance(kinds[3].dtype, types.Float):
            active = builder.fcmp_unordered("!=", numbers, zeros)
        else:
            active = builder.icmp_unsigned("!=", numbers, zeros)
            numbers = builder.uitofp(numbers, emit.vector)

        def everywhere(scalar):
            one = builder.insert_element(ir.Constant(whole, ir.Undefined), builder.trunc(scalar, SHORT), SHORT(0))
            return builder.shuffle_vector(one, one, ir.Constant(whole, None))

        # The remainder of first + lane by the channels. These are small numbers, so that products in float32 suffice.
        single = ir.VectorType(ir.FloatType(), lanes)
        lane = builder.add(everywhere(first), ir.Constant(whole, list(range(lanes))))
        share = builder.insert_element(
            ir.Constant(single, ir.Undefined), builder.fptrunc(reciprocal, ir.FloatType()), SHORT(0)
        )
        share = builder.shuffle_vector(share, share, ir.Constant(whole, None))
        middle = builder.fadd(builder.sitofp(lane, single), ir.Constant(single, [0.5] * lanes))
        wraps = builder.fptosi(builder.fmul(middle, share), whole)
        number = builder.sub(lane, builder.mul(wraps, everywhere(channels)))

        bits = builder.zext(builder.bitcast(active, ir.IntType(lanes)), emit.index)
        count = builder.ctpop(bits)
        mask = emit.first_lanes(count)
        for kind, array, vector in ((kinds[0], channel, number), (kinds[1], value, numbers)):
            element = "i32" if vector.type == whole else f"f{8 * emit.bytes}"
            pack = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(vector.type, [vector.type, mask.type, vector.type]),
                f"llvm.experimental.vector.compress.v{lanes}{element}",
            )
            packed = builder.call(pack, [vector, active, ir.Constant(vector.type, ir.Undefined)])
            to = builder.bitcast(emit.pointer(kind, array, n), vector.type.as_pointer())
            store = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(ir.VoidType(), [vector.type, to.type, SHORT, mask.type]),
                f"llvm.masked.store.v{lanes}{element}.p0",
            )
            builder.call(store, [packed, to, SHORT(kind.dtype.bitwidth // 8), mask])
        return count

    return signature, generate


@intrinsic
def count_numbers(typingctx, x, at, count):
    """How many of the numbers x[at + k], k < count, are not zero. x is a flat array of a real type."""
    size = types.intp
    signature = types.intp(x, size, size)

    def generate(context, builder, signature, arguments):
        x, at, count = arguments
        emit = Emitter(context, builder, signature.args[0].dtype)
        source = emit.pointer(signature.args[0], x, at)
        found = cgutils.alloca_once_value(builder, emit.number(0))

        def add(k, mask=None):
            differ = builder.fcmp_unordered("!=", emit.load(builder.gep(source, [k]), 0, mask), emit.nothing)
            builder.store(builder.add(builder.load(found), emit.count(differ)), found)

        emit.vectors(count, add)
        return builder.load(found)

    return signature, generate


@intrinsic
def list_numbers(typingctx, x, at, count, step, index, value, n):
    """List the numbers among x[at + k] that are not zero, for k < count, from entry n on: index gets k step, and value
    the number.

    All arrays are flat. x and value have the same real type, index has elements of 32 bits. Up to one vector of entries
    behind the last one is overwritten. There is no branch that depends on the numbers, because the processor would
    often guess it wrong.

    Returns:
        n plus the number of new entries.
    """
    size = types.intp
    signature = types.intp(x, size, size, size, index, value, size)

    def generate(context, builder, signature, arguments):
        x, at, count, step, index, value, n = arguments
        kinds = signature.args
        emit = Emitter(context, builder, kinds[0].dtype)
        source = emit.pointer(kinds[0], x, at)
        filled, short = cgutils.alloca_once_value(builder, n), builder.trunc(step, SHORT)

        def put(array, kind, found):
            target = emit.pointer(kind, array, builder.load(filled))
            builder.store(found, builder.bitcast(target, found.type.as_pointer()), align=4)

        def add(k, mask=None):
            numbers = emit.load(builder.gep(source, [k]), 0, mask)
            differ = builder.fcmp_unordered("!=", numbers, emit.nothing)
            places = ir.VectorType(SHORT, emit.lanes)
            first, lane = builder.trunc(k, SHORT), ir.Constant(places, list(range(emit.lanes)))
            place = builder.mul(builder.add(emit.spread_to(places, first), lane), emit.spread_to(places, short))
            put(index, kinds[4], emit.compress(place, differ))
            put(value, kinds[5], emit.compress(numbers, differ))
            builder.store(builder.add(builder.load(filled), emit.count(differ)), filled)

        if REGISTER_BYTES == 64:
            emit.vectors(count, add)
        else:  # the place of every number is put on the list, and the next one takes its entry if the number is zero
            with emit.steps(emit.number(0), count) as (k, _):
                put(index, kinds[4], builder.trunc(k, SHORT))
                number = builder.load(builder.gep(source, [k]))
                differs = builder.fcmp_unordered("!=", number, ir.Constant(emit.element, 0.0))
                builder.store(builder.add(builder.load(filled), builder.zext(differs, emit.index)), filled)
            with emit.steps(n, builder.load(filled)) as (entry, _):
                place, listed = emit.read_index(kinds[4], index, entry), emit.pointer(kinds[4], index, entry)
                builder.store(builder.load(builder.gep(source, [place])), emit.pointer(kinds[5], value, entry))
                builder.store(builder.trunc(builder.mul(place, step), SHORT), listed)
        return builder.load(filled)

    return signature, generate


@intrinsic
def copy_entries(typingctx, to_index, to_value, n, index, value, first, last, factor, shift):
    """Append the entries first..last-1 of a list to another one, from its entry n on: index factor + shift, and value.

    All arrays are flat. index and to_index have elements of 32 bits, value and to_value the same real type. At least
    one vector of entries is copied, so up to one vector behind the last entry is read and overwritten: most parts of a
    list are shorter than a vector, and then no branch depends on their length.

    Returns:
        n plus the number of new entries.
    """
    size = types.intp
    signature = size(to_index, to_value, size, index, value, size, size, size, size)

    def generate(context, builder, signature, arguments):
        to_index, to_value, n, index, value, first, last, factor, shift = arguments
        kinds = signature.args
        emit = Emitter(context, builder, kinds[1].dtype)
        places = ir.VectorType(SHORT, emit.lanes)
        count = builder.sub(last, first)
        by, plus = (emit.spread_to(places, builder.trunc(number, SHORT)) for number in (factor, shift))

        def copy(k):
            source, target = builder.add(first, k), builder.add(n, k)
            read, write = emit.pointer(kinds[3], index, source), emit.pointer(kinds[0], to_index, target)
            found = builder.load(builder.bitcast(read, places.as_pointer()), align=4)
            found = builder.add(builder.mul(found, by), plus)
            builder.store(found, builder.bitcast(write, places.as_pointer()), align=4)
            emit.store(emit.load(emit.pointer(kinds[4], value, source), 0), emit.pointer(kinds[1], to_value, target), 0)

        copy(emit.number(0))
        with emit.steps(emit.number(emit.lanes), count, emit.lanes) as (k, _):
            copy(k)
        return builder.add(n, count)

    return signature, generate
