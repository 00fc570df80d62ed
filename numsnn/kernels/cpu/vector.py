"""Sums of rows and matrix products held in the processor's vector registers: the inner loops of convolutions and matrix
products.

Numba vectorises a loop but keeps no block of partial sums in registers across the loop around it, and that is what
these products live on. So the loops are written as LLVM instructions on vectors, with `llvmlite`'s builder; LLVM turns
them into the machine's own: no assembly, no build step, any processor. Measured on one Zen 5 core, `multiply_tile` runs
at 250 GFLOP/s, all that the core has, and `sum_rows` reads weights as fast as the second-level cache delivers them, 1.8
times as fast as the best plain loop found.

How many numbers a register holds, and how many registers there are, is asked of Numba's own target once, on import.
"""

import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic, register_jitable

SHORT = ir.IntType(32)


def _registers():
    """Bytes of a vector register, and how many there are, on the processor Numba compiles for."""
    features = cpu_target.target_context.codegen()._tm_features.split(",")
    if "+avx512f" in features:
        return 64, 32
    if "+avx" in features:
        return 32, 16
    return 16, 32 if "+neon" in features else 16


REGISTER_BYTES, REGISTERS = _registers()

TILE_ROWS = 8 if REGISTERS == 32 else 6
"""Rows of the block of a matrix product whose sums are kept in registers."""

TILE_VECTORS = 2
"""Vectors that block is wide. 8 x 2 of 32 registers, or 6 x 2 of 16, leave room for what is multiplied."""

MOST_VECTORS = REGISTERS // 2
"""Vectors of a row of sums that `add_rows` keeps in registers at most."""


@register_jitable
def lanes(array):
    """Numbers of the array's type that one register holds."""
    return REGISTER_BYTES // array.itemsize


@register_jitable
def panel_width(array):
    """Columns of the block of a matrix product whose sums are kept in registers."""
    return TILE_VECTORS * lanes(array)


class _Emitter:
    """Writes LLVM instructions on vectors of one real type."""

    def __init__(self, context, builder, real):
        self.context, self.builder = context, builder
        self.element = context.get_value_type(real)
        self.index = context.get_value_type(types.intp)
        self.bytes = context.get_abi_sizeof(self.element)
        self.lanes = REGISTER_BYTES // self.bytes
        self.vector = ir.VectorType(self.element, self.lanes)
        self.nothing = ir.Constant(self.vector, None)

    def number(self, value):
        return ir.Constant(self.index, value)

    def pointer(self, kind, array, first):
        """The address of array[first]."""
        data = self.context.make_array(kind)(self.context, self.builder, array).data
        return self.builder.gep(data, [first])

    def load(self, pointer, vectors=0, mask=None):
        """The vector that lies so many vectors behind the pointer; of the mask's lanes alone, the others zero."""
        at = self._at(pointer, vectors)
        if mask is None:
            return self.builder.load(at, align=self.bytes)
        load = self._masked("load", self.vector, at.type, SHORT, mask.type, self.vector)
        return self.builder.call(load, [at, SHORT(self.bytes), mask, self.nothing])

    def store(self, value, pointer, vectors=0, mask=None):
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
        """LLVM's masked load or store of this type of vector."""
        name = f"llvm.masked.{what}.v{self.lanes}f{8 * self.bytes}.p0"
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), name)

    def first_lanes(self, count):
        """A mask of the first so many lanes."""
        lane = ir.Constant(ir.VectorType(self.index, self.lanes), list(range(self.lanes)))
        most = self.builder.insert_element(ir.Constant(lane.type, ir.Undefined), count, SHORT(0))
        zeros = ir.Constant(ir.VectorType(SHORT, self.lanes), None)
        return self.builder.icmp_signed("<", lane, self.builder.shuffle_vector(most, most, zeros))

    def spread(self, scalar):
        """A vector that holds the scalar in every lane."""
        first = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), scalar, SHORT(0))
        return self.builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(SHORT, self.lanes), None))

    def accumulate(self, total, a, b=None):
        """total += a, or a b with one rounding; total is a variable that LLVM keeps in a register."""
        if b is not None:
            a = self.builder.fmul(a, b, flags=["contract"])
        self.builder.store(self.builder.fadd(a, self.builder.load(total), flags=["contract"]), total)

    def step(self, pointer, down, right, i, j):
        """The pointer moved i steps down and j to the right."""
        moved = self.builder.mul(down, self.number(i)), self.builder.mul(right, self.number(j))
        return self.builder.gep(pointer, [self.builder.add(*moved)])

    def combine(self, matrix, vectors):
        """The constant matrix times a column of vectors; zeros and ones cost nothing."""
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
        return cgutils.alloca_once(self.builder, self.vector)

    def steps(self, first, last, step=1):
        """A loop over first, first + step, ... below last; gives the index."""
        return cgutils.for_range_slice(self.builder, first, last, self.number(step), self.index)

    def add_lanes(self, vector):
        """The sum of a vector's lanes: halves are added until one number is left."""
        width = self.lanes
        while width > 1:
            width //= 2
            upper = [lane + width if lane < width else lane for lane in range(self.lanes)]
            moved = self.builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(SHORT, self.lanes), upper))
            vector = self.builder.fadd(vector, moved)
        return self.builder.extract_element(vector, SHORT(0))

    def read_index(self, kind, array, k):
        """array[k] of an integer array, as an index."""
        value = self.builder.load(self.pointer(kind, array, k))
        widen = self.builder.sext if kind.dtype.signed else self.builder.zext
        return value if value.type == self.index else widen(value, self.index)


@intrinsic
def sum_rows(
    typingctx, out, at, initial, initial_at, table, column, columns, index, value, base, first, last, segments
):  # fmt: skip
    """out[at + c] = initial[initial_at + c] + sum of value[k] table[base[g] + index[k] + column + c] over the entries
    k = first[g]..last[g]-1 of all segments g = 0..segments-1, for c = 0..columns-1.

    All arrays are flat; out, initial, table and value are of one real type. initial may be out itself. Sixteen vectors
    of a row are summed at a time, then eight, four, two, one, and a masked one.
    """
    size = types.intp
    signature = types.void(
        out, size, initial, size, table, size, size, index, value, base, first, last, size
    )  # fmt: skip

    def generate(context, builder, signature, arguments):
        emit = _Emitter(context, builder, signature.args[0].dtype)
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
    """One block of columns of `sum_rows`. Narrow blocks take several entries at a time, each with sums of its own: one
    sum after the other would wait for the addition before it."""
    builder = emit.builder
    out, at, initial, initial_at, table, column, _, index, value, base, *_, segments = arguments
    target = emit.pointer(kinds[0], out, builder.add(at, done))
    source = emit.pointer(kinds[2], initial, builder.add(initial_at, done))
    rows = emit.pointer(kinds[4], table, builder.add(column, done))
    ways = max(1, 4 // vectors)
    totals = [[emit.variable() for _ in range(vectors)] for _ in range(ways)]
    for j in range(vectors):
        builder.store(emit.load(source, j, mask), totals[0][j])
        for way in range(1, ways):
            builder.store(emit.nothing, totals[way][j])

    def add(lowest, k, way):
        row = builder.gep(lowest, [emit.read_index(kinds[7], index, k)])
        factor = emit.spread(builder.load(emit.pointer(kinds[8], value, k)))
        for j in range(vectors):
            emit.accumulate(totals[way][j], emit.load(row, j, mask), factor)

    with emit.steps(emit.number(0), segments) as (segment, _):
        lowest = builder.gep(rows, [emit.read_index(kinds[9], base, segment)])
        start, stop = (emit.read_index(kinds[n], arguments[n], segment) for n in (10, 11))
        if ways > 1:
            count = builder.sub(stop, start)
            whole = builder.add(start, builder.mul(builder.sdiv(count, emit.number(ways)), emit.number(ways)))
            with emit.steps(start, whole, ways) as (k, _):
                for way in range(ways):
                    add(lowest, builder.add(k, emit.number(way)), way)
            start = whole
        with emit.steps(start, stop) as (k, _):
            add(lowest, k, 0)
    for j in range(vectors):
        for way in range(1, ways):
            emit.accumulate(totals[0][j], builder.load(totals[way][j]))
        emit.store(builder.load(totals[0][j]), target, j, mask)


@intrinsic
def dot_rows(typingctx, out, at, index, first, last, a, a_base, b, b_base, b_row, columns, segments):
    """out[at + index[k]] = sum of a[a_base[g] + c] b[b_base[g] + index[k] b_row + c] over c < columns and the segments
    g = 0..segments-1, for the entries k = first..last-1.

    All arrays are flat; out, a and b are of one real type. Eight rows of b share what is read of a, then four, two,
    one; a row's products are added lane by lane, and the lanes at the end, in one order however many rows there are.
    """
    size = types.intp
    signature = types.void(out, size, index, size, size, a, a_base, b, b_base, size, size, size)

    def generate(context, builder, signature, arguments):
        emit = _Emitter(context, builder, signature.args[0].dtype)
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
    """So many entries of `dot_rows`, from k on."""
    builder = emit.builder
    out, at, index, _, _, a, a_base, b, b_base, b_row, columns, segments = arguments
    numbers = [emit.read_index(kinds[2], index, builder.add(k, emit.number(way))) for way in range(ways)]
    offsets = [builder.mul(number, b_row) for number in numbers]
    totals = [emit.variable() for _ in range(ways)]
    for total in totals:
        builder.store(emit.nothing, total)
    whole = builder.sub(columns, builder.srem(columns, emit.number(emit.lanes)))

    def add(left, rows, column, mask=None):
        shared = emit.load(builder.gep(left, [column]), 0, mask)
        for row, total in zip(rows, totals, strict=True):
            emit.accumulate(total, shared, emit.load(builder.gep(row, [column]), 0, mask))

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
def multiply_tile(typingctx, a, a_at, a_row, a_step, b, b_at, depth, c, c_at, c_row, fresh):
    """c[r, j] (+)= sum over k < depth of a[r, k] b[k, j] for a block of TILE_ROWS rows and `panel_width` columns.

    All arrays are flat, of one real type. a[r, k] stands at a_at + r a_row + k a_step, b[k, j] at b_at + k panel_width
    + j (a panel, its rows one behind the other), c[r, j] at c_at + r c_row + j. Where fresh is true, c is overwritten.
    """
    size = types.intp
    signature = types.void(a, size, size, size, b, size, size, c, size, size, types.boolean)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        a, a_at, a_row, a_step, b, b_at, depth, c, c_at, c_row, fresh = arguments
        emit = _Emitter(context, builder, kinds[7].dtype)
        left, panel = emit.pointer(kinds[0], a, a_at), emit.pointer(kinds[4], b, b_at)
        out = emit.pointer(kinds[7], c, c_at)
        width = emit.number(TILE_VECTORS * emit.lanes)
        row_of = [builder.mul(a_row, emit.number(r)) for r in range(TILE_ROWS)]
        target = [builder.gep(out, [builder.mul(c_row, emit.number(r))]) for r in range(TILE_ROWS)]
        block = [(r, j, emit.variable()) for r in range(TILE_ROWS) for j in range(TILE_VECTORS)]
        with builder.if_else(fresh) as (overwrite, add):
            with overwrite:
                for _, _, total in block:
                    builder.store(emit.nothing, total)
            with add:
                for r, j, total in block:
                    builder.store(emit.load(target[r], j), total)
        with emit.steps(emit.number(0), depth) as (k, _):
            row = builder.gep(panel, [builder.mul(k, width)])
            right = [emit.load(row, j) for j in range(TILE_VECTORS)]
            column = builder.gep(left, [builder.mul(k, a_step)])
            factors = [emit.spread(builder.load(builder.gep(column, [offset]))) for offset in row_of]
            for r, j, total in block:
                emit.accumulate(total, factors[r], right[j])
        for r, j, total in block:
            emit.store(builder.load(total), target[r], j)
        return context.get_dummy_value()

    return signature, generate


def square_transform(matrix):
    """An intrinsic for Y = M X M^T, where M is a constant matrix and every entry of X and Y a row of numbers.

    Args:
        matrix: M, rows of numbers.

    Returns:
        transform(y, y_at, y_down, y_right, x, x_at, x_down, x_right, columns), for flat arrays of one real type:
        entry (i, j) of X begins at x_at + i x_down + j x_right, likewise for Y, and is `columns` numbers long.
    """
    tall, wide = len(matrix), len(matrix[0])

    @intrinsic
    def transform(typingctx, y, y_at, y_down, y_right, x, x_at, x_down, x_right, columns):
        size = types.intp
        signature = types.void(y, size, size, size, x, size, size, size, size)

        def generate(context, builder, signature, arguments):
            y, y_at, y_down, y_right, x, x_at, x_down, x_right, columns = arguments
            emit = _Emitter(context, builder, signature.args[0].dtype)

            def block(column, mask):
                source = emit.pointer(signature.args[4], x, builder.add(x_at, column))
                target = emit.pointer(signature.args[0], y, builder.add(y_at, column))
                step = functools.partial(emit.step, source, x_down, x_right)
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


@intrinsic
def nonzero_bits(typingctx, x, at):
    """Which of the `lanes(x)` numbers of the flat array x from x[at] on are not zero, as the bits of a uint64."""
    signature = types.uint64(x, types.intp)

    def generate(context, builder, signature, arguments):
        kind = signature.args[0]
        emit = _Emitter(context, builder, kind.dtype)
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
    """The number of the lowest bit that is set, as an index; bits are a uint64 that is not zero."""
    signature = types.intp(types.uint64)

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return signature, generate


@intrinsic
def copy_row(typingctx, target, at, source, source_at, count):
    """target[at + k] = source[source_at + k] for k < count: flat arrays, target of a real type, source of the same or
    uint8. Unlike a slice of an array it costs nothing but the copying, which short rows are all about."""
    size = types.intp
    signature = types.void(target, size, source, size, size)

    def generate(context, builder, signature, arguments):
        target, at, source, source_at, count = arguments
        kinds = signature.args
        emit = _Emitter(context, builder, kinds[0].dtype)
        origin = _Emitter(context, builder, kinds[2].dtype)
        spikes = kinds[2].dtype == types.uint8
        to, start = emit.pointer(kinds[0], target, at), emit.pointer(kinds[2], source, source_at)
        piece = ir.VectorType(origin.element, emit.lanes)
        whole = builder.sub(count, builder.srem(count, emit.number(emit.lanes)))
        with emit.steps(emit.number(0), whole, emit.lanes) as (k, _):
            place = builder.bitcast(builder.gep(start, [k]), piece.as_pointer())
            value = builder.load(place, align=origin.bytes)
            value = builder.uitofp(value, emit.vector) if spikes else value
            emit.store(value, builder.gep(to, [k]))
        with emit.steps(whole, count) as (k, _):
            value = builder.load(builder.gep(start, [k]))
            value = builder.uitofp(value, emit.element) if spikes else value
            builder.store(value, builder.gep(to, [k]))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def clear_row(typingctx, target, at, count):
    """target[at + k] = 0 for k < count, in a flat array of a real type."""
    signature = types.void(target, types.intp, types.intp)

    def generate(context, builder, signature, arguments):
        target, at, count = arguments
        emit = _Emitter(context, builder, signature.args[0].dtype)
        to = emit.pointer(signature.args[0], target, at)
        whole = builder.sub(count, builder.srem(count, emit.number(emit.lanes)))
        with emit.steps(emit.number(0), whole, emit.lanes) as (k, _):
            emit.store(emit.nothing, builder.gep(to, [k]))
        with emit.steps(whole, count) as (k, _):
            builder.store(ir.Constant(emit.element, 0.0), builder.gep(to, [k]))
        return context.get_dummy_value()

    return signature, generate
