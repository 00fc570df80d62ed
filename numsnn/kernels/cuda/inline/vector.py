"""Reads and writes of GPU memory, one element or four elements per instruction.

A thread that reads 16 bytes at a time needs a quarter of the instructions for the same memory. CUDA C has `float4` for
this. Numba has neither such a type nor a cast of pointers. This file therefore writes loads and stores as LLVM
instructions, by Numba's extension interface. It also omits Numba's test for a negative index, which costs five
instructions per access. In the simulator, all of this is plain indexing.

`step` adds the distance between two time steps to an index. If it were a plain addition, LLVM would keep the addresses
of all arrays and all steps of an unrolled loop in registers: 128 registers per thread where 70 are enough.

Arrays are flat. Four elements can be read at once from float32 arrays at multiples of 16 bytes, and from spikes (uint8)
at multiples of four. A thread keeps four spikes in one word, one byte per spike. Kernels have plain functions in their
closure, as those of `equations` are, because a kernel with a compiled function in its closure is not found again on
disk.
"""

import numpy as np
from numba import types

from ..run.api import SIMULATED, intrinsic
from ..run.compile import device

WIDTH = 4
"""Elements per wide access."""


if SIMULATED:

    def _load_1(x, at):
        return x[at]

    def _store_1(x, at, value):
        x[at] = value

    def _load_4(x, at):
        return x[at], x[at + 1], x[at + 2], x[at + 3]

    def _store_4(x, at, values):
        for c in range(WIDTH):
            x[at + c] = values[c]

    def _load_word(x, at):
        return sum(int(x[at + c]) << 8 * c for c in range(WIDTH))

    def _store_word(x, at, word):
        for c in range(WIDTH):
            x[at + c] = word >> 8 * c & 255

    def step(at, stride):
        """Return at + stride."""
        return at + stride

else:
    from llvmlite import ir

    def _place(context, builder, signature, arguments, element):
        """The address of x[at], for elements of an LLVM type."""
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.bitcast(builder.gep(data, [arguments[1]]), ir.PointerType(element, data.type.addrspace))

    def _vector(context, kind):
        return ir.VectorType(context.get_value_type(kind.dtype), WIDTH)

    @intrinsic
    def _load_1(typingctx, x, at):
        def generate(context, builder, signature, arguments):
            element = context.get_value_type(signature.return_type)
            return builder.load(_place(context, builder, signature, arguments, element))

        return x.dtype(x, types.intp), generate

    @intrinsic
    def _store_1(typingctx, x, at, value):
        def generate(context, builder, signature, arguments):
            element = context.get_value_type(signature.args[2])
            builder.store(arguments[2], _place(context, builder, signature, arguments, element))
            return context.get_dummy_value()

        return types.void(x, types.intp, x.dtype), generate

    @intrinsic
    def _load_4(typingctx, x, at):
        def generate(context, builder, signature, arguments):
            place = _place(context, builder, signature, arguments, _vector(context, signature.args[0]))
            whole = builder.load(place, align=4 * WIDTH)
            parts = [builder.extract_element(whole, ir.IntType(32)(c)) for c in range(WIDTH)]
            return context.make_tuple(builder, signature.return_type, parts)

        return types.UniTuple(x.dtype, WIDTH)(x, types.intp), generate

    @intrinsic
    def _store_4(typingctx, x, at, values):
        def generate(context, builder, signature, arguments):
            vector = _vector(context, signature.args[0])
            whole = ir.Constant(vector, ir.Undefined)
            for c in range(WIDTH):
                part = builder.extract_value(arguments[2], c)
                whole = builder.insert_element(whole, part, ir.IntType(32)(c))
            place = _place(context, builder, signature, arguments, vector)
            builder.store(whole, place, align=4 * WIDTH)
            return context.get_dummy_value()

        return types.void(x, types.intp, types.UniTuple(x.dtype, WIDTH)), generate

    @intrinsic
    def _load_word(typingctx, x, at):
        def generate(context, builder, signature, arguments):
            place = _place(context, builder, signature, arguments, ir.IntType(32))
            return builder.load(place, align=WIDTH)

        return types.uint32(x, types.intp), generate

    @intrinsic
    def _store_word(typingctx, x, at, word):
        def generate(context, builder, signature, arguments):
            place = _place(context, builder, signature, arguments, ir.IntType(32))
            builder.store(arguments[2], place, align=WIDTH)
            return context.get_dummy_value()

        return types.void(x, types.intp, types.uint32), generate

    @intrinsic
    def step(typingctx, at, stride):
        """Return at + stride, by an assembly instruction, which LLVM does not rearrange."""

        def generate(context, builder, signature, arguments):
            index = context.get_value_type(types.intp)
            add = ir.InlineAsm(ir.FunctionType(index, [index, index]), "add.s64 $0, $1, $2;", "=l,l,l")
            return builder.call(add, arguments)

        return types.intp(types.intp, types.intp), generate


# --- numbers: between memory and a thread's registers y[k] ... y[k + width - 1] --------------------------------------


@device
def load_narrow(x, at, y, k):
    """Set y[k] = x[at]."""
    y[k] = _load_1(x, at)


@device
def load_wide(x, at, y, k):
    """Set y[k + c] = x[at + c] for c = 0..3."""
    y[k], y[k + 1], y[k + 2], y[k + 3] = _load_4(x, at)


@device
def store_narrow(y, k, x, at):
    """Set x[at] = y[k]."""
    _store_1(x, at, y[k])


@device
def store_wide(y, k, x, at):
    """Set x[at + c] = y[k + c] for c = 0..3."""
    _store_4(x, at, (y[k], y[k + 1], y[k + 2], y[k + 3]))


# --- spikes: a thread keeps its spikes of one step in one variable --------------------------------------------------


@device
def load_spike(x, at):
    """Return x[at] in the type of x."""
    return _load_1(x, at)


@device
def load_spikes(x, at):
    """Return the four spikes from x[at] on as one word."""
    return _load_word(x, at)


@device
def spike_of_one(spike, c):
    """Return the spike itself. In relaxed mode it is a real number."""
    return spike


@device
def spike_of_word(word, c):
    """Return the spike of channel c in a word of four spikes."""
    return (word >> np.uint32(8 * c)) & np.uint32(1)


@device
def store_spike(y, x, at):
    """Set x[at] = y[0], converted to the type of x."""
    _store_1(x, at, x.dtype.type(y[0]))


@device
def store_spikes(y, x, at):
    """Store four numbers y, each 0 or 1, as four spikes from x[at] on."""
    word = 0
    for c in range(WIDTH):
        if y[c] != 0:
            word |= 1 << (8 * c)
    _store_word(x, at, np.uint32(word))


NUMBERS = {1: (load_narrow, store_narrow), WIDTH: (load_wide, store_wide)}
"""Channels per thread -> the functions that load and store numbers."""

SPIKES = {1: (load_spike, spike_of_one, store_spike), WIDTH: (load_spikes, spike_of_word, store_spikes)}
"""Channels per thread -> the functions that load spikes, return one of them, and store spikes."""


def width_of(numbers, spikes, least: int) -> int:
    """The number of neighbouring channels per thread, 4 or 1.

    It is 4 if the type and alignment of all arrays allow wide access, and if there are enough elements for a quarter of
    the threads to fill a GPU.

    Args:
        numbers: arrays ``[..., C]`` of real numbers that the kernel reads or writes.
        spikes: arrays of spikes that it reads or writes.
        least: least number of elements for wide access.
    """
    channels = numbers[0].shape[-1]
    fits = (
        channels % WIDTH == 0
        and numbers[0].size >= least
        and all(x.dtype == np.float32 and x.first % (4 * WIDTH) == 0 for x in numbers)
        and all(x.dtype == np.uint8 and x.first % WIDTH == 0 for x in spikes)
    )
    return WIDTH if fits else 1
