"""Vectors in the processor's registers, written as LLVM instructions.

Numba vectorises an inner loop, but does not keep a block of partial sums in registers across the loop around it.
Convolutions and matrix products need this to be fast. Their inner loops (`blocks`) are therefore written as LLVM
instructions on vectors, with the builder of `llvmlite`. LLVM translates them for any processor, so that numsnn needs
neither assembly nor a build step.

On import, this module asks Numba's code generator for the size and the number of the registers.
"""

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target

from ...compile import register_jitable

SHORT = ir.IntType(32)


def _registers():
    """The bytes per vector register and the number of registers of the processor that Numba compiles for.

    Every 64-bit ARM processor has NEON; LLVM does not list it among the features everywhere.
    """
    features = cpu_target.target_context.codegen()._tm_features.split(",")
    if "+avx512f" in features:
        return 64, 32
    if "+avx" in features:
        return 32, 16
    return 16, 32 if binding.get_process_triple().startswith(("aarch64", "arm64")) else 16


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

    def load_numbers(self, pointer, mask=None):
        """Load a vector from a pointer to real numbers, or to bytes, which become real. Lanes outside of the mask
        are 0."""
        element = pointer.type.pointee
        if element == self.element:
            return self.load(pointer, 0, mask)
        piece = ir.VectorType(element, self.lanes)
        at = self.builder.bitcast(pointer, piece.as_pointer())
        if mask is None:
            return self.builder.uitofp(self.builder.load(at, align=1), self.vector)
        kind = ir.FunctionType(piece, [at.type, SHORT, mask.type, piece])
        load = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.load.v{self.lanes}i8.p0")
        return self.builder.uitofp(self.builder.call(load, [at, SHORT(1), mask, ir.Constant(piece, None)]), self.vector)

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

    def _masked(self, what, result, *arguments, lanes=None):
        """LLVM's function for a masked load or store of a vector of `lanes` lanes. Default: those of a register."""
        name = f"llvm.masked.{what}.v{lanes or self.lanes}f{8 * self.bytes}.p0"
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), name)

    def load_piece(self, pointer, lanes):
        """Load a vector of `lanes` lanes."""
        at = self.builder.bitcast(pointer, ir.VectorType(self.element, lanes).as_pointer())
        return self.builder.load(at, align=self.bytes)

    def store_piece(self, piece, pointer, mask=None):
        """Store a vector of fewer lanes at the pointer. Lanes outside of the mask are not written."""
        at = self.builder.bitcast(pointer, piece.type.as_pointer())
        if mask is None:
            self.builder.store(piece, at, align=self.bytes)
            return
        kinds = ir.VoidType(), piece.type, at.type, SHORT, mask.type
        store = self._masked("store", *kinds, lanes=piece.type.count)
        self.builder.call(store, [piece, at, SHORT(self.bytes), mask])

    def piece(self, vector, first, lanes):
        """The lanes first..first + lanes-1 of a vector, as a vector of their own."""
        numbers = ir.Constant(ir.VectorType(SHORT, lanes), list(range(first, first + lanes)))
        return self.builder.shuffle_vector(vector, vector, numbers)

    def join(self, pieces):
        """One vector of the lanes of several, which are as many as a power of two."""
        while len(pieces) > 1:
            lanes = 2 * pieces[0].type.count
            numbers = ir.Constant(ir.VectorType(SHORT, lanes), list(range(lanes)))
            pieces = [
                self.builder.shuffle_vector(*pair, numbers) for pair in zip(pieces[::2], pieces[1::2], strict=True)
            ]
        return pieces[0]

    def transpose(self, vectors):
        """Transpose squares of lanes of as many vectors as a square has rows, which is a power of two: lane i + k of
        vector j, where i is a multiple of that number, changes places with lane i + j of vector k."""
        # Squares of 2, 4, ... lanes are transposed: vectors j and j + step exchange half of their lanes.
        vectors, lane, step = list(vectors), range(self.lanes), 1
        while step < len(vectors):
            for j in (j for j in range(len(vectors)) if not j & step):
                one, other = vectors[j], vectors[j + step]
                upper = [k if not k & step else self.lanes + k - step for k in lane]
                lower = [k + step if not k & step else self.lanes + k for k in lane]
                vectors[j], vectors[j + step] = self.choose(one, other, upper), self.choose(one, other, lower)
            step *= 2
        return vectors

    def first_lanes(self, count, lanes=None):
        """A mask that selects the first `count` of `lanes` lanes. Default: those of a register."""
        kind = ir.VectorType(SHORT, lanes or self.lanes)
        lane = ir.Constant(kind, list(range(kind.count)))
        count = self.builder.trunc(count, SHORT)
        most = self.builder.insert_element(ir.Constant(kind, ir.Undefined), count, SHORT(0))
        return self.builder.icmp_signed("<", lane, self.builder.shuffle_vector(most, most, ir.Constant(kind, None)))

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
