"""Asks the processor to load memory before it is used.

A processor recognises a long run of consecutive addresses and loads it ahead by itself. A kernel that takes a tile
through all time steps reads many short runs, and the processor waits for the first cache lines of each. This waiting
was measured to take one to two thirds of the time.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ...compile import register_jitable

LINE_BYTES = 64
AHEAD_BYTES = 8192
"""How many bytes of rows ahead memory is loaded."""

FLAG = ir.IntType(32)


@intrinsic
def _ask(typingctx, array, t, m, c, count):
    """Ask for array[t, m, c : c + count]. Addresses outside of the array do no harm."""
    size = types.intp
    signature = types.void(array, size, size, size, size)

    def generate(context, builder, signature, arguments):
        array, t, m, c, count = arguments
        view = context.make_array(signature.args[0])(context, builder, array)
        strides = cgutils.unpack_tuple(builder, view.strides, 3)
        byte = ir.IntType(8).as_pointer()
        offset = builder.mul(t, strides[0])
        for index, stride in ((m, strides[1]), (c, strides[2])):
            offset = builder.add(offset, builder.mul(index, stride))
        first = builder.gep(builder.bitcast(view.data, byte), [offset])
        ask = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, FLAG, FLAG, FLAG]), "llvm.prefetch.p0"
        )
        index = context.get_value_type(size)
        stop, step = builder.mul(count, view.itemsize), ir.Constant(index, LINE_BYTES)
        with cgutils.for_range_slice(builder, ir.Constant(index, 0), stop, step, index) as (byte_at, _):
            # the flags mean: for reading, keep in all caches, data
            builder.call(ask, [builder.gep(first, [byte_at]), FLAG(0), FLAG(3), FLAG(1)])
        return context.get_dummy_value()

    return signature, generate


@register_jitable
def ahead(array, t, m, first, last, left, n, direction):
    """Ask for the row of the tile that is used AHEAD_BYTES after array[t, m, left : left + n].

    A kernel goes through the rows first to last - 1 of a step, and then through the next step, upwards in time
    (direction 1) or downwards (direction -1).
    """
    rows = max(1, AHEAD_BYTES // (n * array.itemsize)) + m - first
    t += direction * (rows // (last - first))
    if 0 <= t < len(array):
        _ask(array, t, first + rows % (last - first), left, n)


@register_jitable
def load(array, first, count, unused):
    """Read array[first : first + count], which is flat, so that it is in the caches before its parts are read in
    another order. Reads in order, which the processor goes on with by itself, take less time than asking for each line.

    unused[0] gets their sum, which is not used: without it, the compiler would leave out the reads.
    """
    total = array[first]
    for k in range(first, first + count, LINE_BYTES // array.itemsize):
        total += array[k]
    unused[0] = total
