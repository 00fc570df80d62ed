"""Reads and writes of device memory by one element, or by four of a kind in one instruction.

A thread that reads 16 bytes at a time asks for the same memory with a quarter of the instructions. CUDA C has `float4`
for it; Numba has neither that nor a cast of pointers, so that this file, and no other, writes the load and the store
as LLVM instructions, by Numba's extension interface. Addresses are not counted from the end of an array either, which
costs Numba's own indexing five instructions per access. In the simulator all of it is plain indexing.

`step` leads from one step's elements to the next one's. Written as an addition, LLVM turns it into an address of every
array and every step of an unrolled loop, all of them in registers: 128 per thread where 70 are enough.

Arrays are flat. Of the width 4 are float32 arrays that begin, and are read, at multiples of 16 bytes, and spikes
(uint8) at multiples of four; a thread holds four spikes in one word, one byte for each. What kernels close over are
plain functions, as in `equations`: with a compiled one in its closure a kernel is not found again on disk.
"""

import numpy as np
from numba import types

from ..run.api import SIMULATED, intrinsic
from ..run.compile import device

WIDTH = 4
"""Elements of a wide access."""


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
        """at + stride"""
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
        """at + stride, by an instruction that LLVM does not look into."""

        def generate(context, builder, signature, arguments):
            index = context.get_value_type(types.intp)
            add = ir.InlineAsm(ir.FunctionType(index, [index, index]), "add.s64 $0, $1, $2;", "=l,l,l")
            return builder.call(add, arguments)

        return types.intp(types.intp, types.intp), generate


# --- numbers: registers y[k] ... y[k + width - 1] of a thread, from and to memory ------------------------------------


@device
def load_narrow(x, at, y, k):
    """y[k] = x[at]"""
    y[k] = _load_1(x, at)


@device
def load_wide(x, at, y, k):
    """y[k + c] = x[at + c] for four c."""
    y[k], y[k + 1], y[k + 2], y[k + 3] = _load_4(x, at)


@device
def store_narrow(y, k, x, at):
    """x[at] = y[k]"""
    _store_1(x, at, y[k])


@device
def store_wide(y, k, x, at):
    """x[at + c] = y[k + c] for four c."""
    _store_4(x, at, (y[k], y[k + 1], y[k + 2], y[k + 3]))


# --- spikes: what is kept of a thread's in one variable -------------------------------------------------------------


@device
def load_spike(x, at):
    """x[at], as it is stored."""
    return _load_1(x, at)


@device
def load_spikes(x, at):
    """Four spikes as one word."""
    return _load_word(x, at)


@device
def spike_of_one(spike, c):
    """The spike, which in relaxed mode is a real number."""
    return spike


@device
def spike_of_word(word, c):
    """The c-th of four."""
    return (word >> np.uint32(8 * c)) & np.uint32(1)


@device
def store_spike(y, x, at):
    """x[at] = y[0], in the type of x."""
    _store_1(x, at, x.dtype.type(y[0]))


@device
def store_spikes(y, x, at):
    """Four numbers y, 0 or 1, as four spikes."""
    word = 0
    for c in range(WIDTH):
        if y[c] != 0:
            word |= 1 << (8 * c)
    _store_word(x, at, np.uint32(word))


NUMBERS = {1: (load_narrow, store_narrow), WIDTH: (load_wide, store_wide)}
"""Width -> how numbers are loaded and stored."""

SPIKES = {1: (load_spike, spike_of_one, store_spike), WIDTH: (load_spikes, spike_of_word, store_spikes)}
"""Width -> how spikes are loaded, read and stored."""


def width_of(numbers, spikes, least: int) -> int:
    """How many neighbouring channels a thread takes: four where every array allows it and has so many elements that
    the fewer threads still fill a device.

    Args:
        numbers: arrays ``[..., C]`` that are read or written four at a time.
        spikes: arrays of spikes likewise.
        least: elements from which on wide access pays.
    """
    channels = numbers[0].shape[-1]
    fits = (
        channels % WIDTH == 0
        and numbers[0].size >= least
        and all(x.dtype == np.float32 and x.first % (4 * WIDTH) == 0 for x in numbers)
        and all(x.dtype == np.uint8 and x.first % WIDTH == 0 for x in spikes)
    )
    return WIDTH if fits else 1
