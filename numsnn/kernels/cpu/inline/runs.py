"""Copies and zeros of runs: elements that follow one another along the last axis.

An assignment of slices, such as ``y[t, m, a:b] = x[:n]``, does the same. But Numba writes a loop over all axes for it,
checks shapes, and copies x first if it overlaps y. In a kernel with ten such lines this was more than half of the time
to compile. Here a run is one instruction, a call of the C library's `memcpy` or `memset`.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from .access import address_of, place_type


def _need_runs(*arrays):
    for array in arrays:
        if array.layout != "C":
            raise TypingError(f"copy_run, clear_run: arrays must be C-contiguous; got {array}")


def _bytes(context, builder, kind, array):
    return context.make_array(kind)(context, builder, array).itemsize


@intrinsic
def copy_run(typingctx, y, place, x, start, count):
    """Set y[place] and the count - 1 elements behind it to x[start] and the elements behind that. The two runs must not
    overlap, and each must lie within one row."""
    _need_runs(y, x)
    if y.dtype != x.dtype:
        raise TypingError(f"copy_run: both arrays must have one type; got {y.dtype} and {x.dtype}")

    def generate(context, builder, signature, arguments):
        y, place, x, start, count = arguments
        into = address_of(context, builder, signature.args[0], y, place)
        source = address_of(context, builder, signature.args[2], x, start)
        cgutils.raw_memcpy(builder, into, source, count, _bytes(context, builder, signature.args[0], y))
        return context.get_dummy_value()

    return types.void(y, place_type(y.ndim), x, place_type(x.ndim), types.intp), generate


@intrinsic
def clear_run(typingctx, y, place, count):
    """Set y[place] and the count - 1 elements behind it to zero."""
    _need_runs(y)

    def generate(context, builder, signature, arguments):
        y, place, count = arguments
        into = address_of(context, builder, signature.args[0], y, place)
        size = builder.mul(count, _bytes(context, builder, signature.args[0], y))
        cgutils.memset(builder, into, size, ir.Constant(ir.IntType(8), 0))
        return context.get_dummy_value()

    return types.void(y, place_type(y.ndim), types.intp), generate
