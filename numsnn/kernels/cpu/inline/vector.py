"""Vectors in the processor's registers, written as LLVM instructions.

Numba vectorises an inner loop, but does not keep a block of partial sums in registers across the loop around it.
Convolutions and matrix products need this to be fast. Their inner loops (`blocks`) are therefore written as LLVM
instructions on vectors, with the builder of `llvmlite`. LLVM translates them for any processor, so that numsnn needs
neither assembly nor a build step.

On import, this module asks Numba's code generator for the size and the number of the registers.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from ...compile import register_jitable

SHORT = ir.IntType(32)


def _registers():
    """The bytes per vector register and the number of registers of the processor that Numba compiles for."""
    features = cpu_target.target_context.codegen()._tm_features.split(",")
    if "+avx512f" in features:
        return 64, 32
    if "+avx" in features:
        return 32, 16
    return 16, 32 if "+neon" in features else 16


REGISTER_BYTES, REGISTERS = _registers()

COMPRESSES = REGISTER_BYTES == 64
"""Whether the processor moves chosen lanes of a register together (AVX-512)."""


@register_jitable
def lanes(array):
    """How many numbers of the array's type one register holds."""
    return REGISTER_BYTES // array.itemsize


class Emitter:
    """Writes LLVM instructions on vectors of one real type.

    Attributes:
        lanes: numbers per vector.
        bytes: bytes per number.
        nothing: a vector of zeros.
    """

    def __init__(self, context, builder, real):
        self.context, self.builder = context, builder
        self.element = context.get_value_type(real)
        self.index = context.get_value_type(types.intp)
        self.bytes = context.get_abi_sizeof(self.element)
        self.lanes = REGISTER_BYTES // self.bytes
        self.vector = ir.VectorType(self.element, self.lanes)
        self.nothing = ir.Constant(self.vector, None)

    def number(self, value):
        """A constant index."""
        return ir.Constant(self.index, value)

    def pointer(self, kind, array, first):
        """The address of array[first]."""
        data = self.context.make_array(kind)(self.context, self.builder, array).data
        return self.builder.gep(data, [first])

    def load(self, pointer, vectors=0, mask=None):
        """Load the vector at the pointer plus `vectors` whole vectors. Lanes outside of the mask are 0."""
        at = self._at(pointer, vectors)
        if mask is None:
            return self.builder.load(at, align=self.bytes)
        load = self._masked("load", self.vector, at.type, SHORT, mask.type, self.vector)
        return self.builder.call(load, [at, SHORT(self.bytes), mask, self.nothing])

    def store(self, value, pointer, vectors=0, mask=None):
        """Store a vector at the pointer plus `vectors` whole vectors. Lanes outside of the mask are not written."""
        at = self._at(pointer, vectors)
        if mask is None:
            self.builder.store(value, at, align=self.bytes)
        else:
            store = self._masked("store", ir.VoidType(), self.vector, at.type, SHORT, mask.type)
            self.builder.call(store, [value, at, SHORT(self.bytes), mask])

    def _at(self, pointer, vectors):
        at = self.builder.gep(pointer, [self.number(vectors * self.lanes)])
        return self.builder.bitcast(at, self.vector.as_pointer())

    def _masked(self, what, result, *arguments):
        """LLVM's function for a masked load or store of this type of vector."""
        name = f"llvm.masked.{what}.v{self.lanes}f{8 * self.bytes}.p0"
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), name)

    def first_lanes(self, count):
        """A mask that selects the first `count` lanes."""
        lane = ir.Constant(ir.VectorType(SHORT, self.lanes), list(range(self.lanes)))
        count = self.builder.trunc(count, SHORT)
        most = self.builder.insert_element(ir.Constant(lane.type, ir.Undefined), count, SHORT(0))
        zeros = ir.Constant(ir.VectorType(SHORT, self.lanes), None)
        return self.builder.icmp_signed("<", lane, self.builder.shuffle_vector(most, most, zeros))

    def spread(self, scalar):
        """A vector that holds the scalar in every lane."""
        return self.spread_to(self.vector, scalar)

    def spread_to(self, vector, scalar):
        """The same for another type of vectors with `lanes` lanes."""
        first = self.builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, SHORT(0))
        return self.builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(SHORT, self.lanes), None))

    def count(self, mask):
        """How many lanes a mask selects, as an index."""
        return self.builder.ctpop(self.builder.zext(self.builder.bitcast(mask, ir.IntType(self.lanes)), self.index))

    def vectors(self, count, write):
        """Write code that goes through `count` numbers: write(k) for the vector from number k on, and
        write(k, mask) for the last numbers."""
        whole = self.builder.sub(count, self.builder.srem(count, self.number(self.lanes)))
        with self.steps(self.number(0), whole, self.lanes) as (k, _):
            write(k)
        with self.builder.if_then(self.builder.icmp_signed("<", whole, count)):
            write(whole, self.first_lanes(self.builder.sub(count, whole)))

    def compress(self, vector, mask):
        """The lanes of a vector that the mask selects, moved to the front. The lanes behind them are undefined. Only
        processors with AVX-512 have an instruction for this."""
        element = vector.type.element
        kind = f"i{element.width}" if isinstance(element, ir.IntType) else f"f{8 * self.bytes}"
        name = f"llvm.experimental.vector.compress.v{self.lanes}{kind}"
        arguments = [vector.type, mask.type, vector.type]
        compress = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(vector.type, arguments), name)
        return self.builder.call(compress, [vector, mask, ir.Constant(vector.type, ir.Undefined)])

    def accumulate(self, total, a, b=None):
        """Add a, or the product a b with a single rounding, to total, a variable that LLVM keeps in a register."""
        if b is not None:
            a = self.builder.fmul(a, b, flags=["contract"])
        self.builder.store(self.builder.fadd(a, self.builder.load(total), flags=["contract"]), total)

    def step(self, pointer, down, right, i, j):
        """The pointer moved i steps down and j to the right."""
        moved = self.builder.mul(down, self.number(i)), self.builder.mul(right, self.number(j))
        return self.builder.gep(pointer, [self.builder.add(*moved)])

    def combine(self, matrix, vectors):
        """The product of a constant matrix and a column of vectors. Entries 0, 1 and -1 need no multiplication."""
        sums = []
        for row in matrix:
            total = None
            for factor, vector in zip(row, vectors, strict=True):
                if factor == 0:
                    continue
                if abs(factor) != 1:
                    constant = ir.Constant(self.vector, [float(factor)] * self.lanes)
                    vector = self.builder.fmul(vector, constant, flags=["contract"])
                elif factor < 0 and total is None:
                    vector = self.builder.fsub(self.nothing, vector)
                if total is None:
                    total = vector
                elif factor == -1:
                    total = self.builder.fsub(total, vector, flags=["contract"])
                else:
                    total = self.builder.fadd(total, vector, flags=["contract"])
            sums.append(total)
        return sums

    def variable(self):
        """A vector variable, which LLVM keeps in a register."""
        return cgutils.alloca_once(self.builder, self.vector)

    def steps(self, first, last, step=1):
        """A context manager that writes a loop over first, first + step, ... below last. It yields the index first."""
        return cgutils.for_range_slice(self.builder, first, last, self.number(step), self.index)

    def add_lanes(self, vector):
        """The sum of a vector's lanes. The halves are added until one number is left."""
        width = self.lanes
        while width > 1:
            width //= 2
            upper = [lane + width if lane < width else lane for lane in range(self.lanes)]
            moved = self.builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(SHORT, self.lanes), upper))
            vector = self.builder.fadd(vector, moved)
        return self.builder.extract_element(vector, SHORT(0))

    def choose(self, one, other, lanes):
        """A vector of the lanes with these numbers of two vectors; those of the second follow those of the first."""
        return self.builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(SHORT, self.lanes), lanes))

    def copy(self, start, to, count):
        """Copy numbers from the pointer start, to real numbers or bytes, to the pointer to; bytes become real."""
        element = start.type.pointee
        spikes = element != self.element
        piece = ir.VectorType(element, self.lanes)
        whole = self.builder.sub(count, self.builder.srem(count, self.number(self.lanes)))
        with self.steps(self.number(0), whole, self.lanes) as (k, _):
            place = self.builder.bitcast(self.builder.gep(start, [k]), piece.as_pointer())
            value = self.builder.load(place, align=1 if spikes else self.bytes)
            self.store(self.builder.uitofp(value, self.vector) if spikes else value, self.builder.gep(to, [k]))
        with self.steps(whole, count) as (k, _):
            value = self.builder.load(self.builder.gep(start, [k]))
            value = self.builder.uitofp(value, self.element) if spikes else value
            self.builder.store(value, self.builder.gep(to, [k]))

    def read_index(self, kind, array, k):
        """The element array[k] of an integer array, converted to an index."""
        value = self.builder.load(self.pointer(kind, array, k))
        widen = self.builder.sext if kind.dtype.signed else self.builder.zext
        return value if value.type == self.index else widen(value, self.index)


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
def count_bits(typingctx, bits):
    """The number of bits of a uint64 that are set, as an index."""
    signature = types.intp(types.uint64)

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return signature, generate


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
