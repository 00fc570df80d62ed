"""Arrays for a kernel's own use.

`np.empty` does the same. But Numba compiles a function for it, one for every type and number of axes and one for the
allocation, which takes 30 to 70 ms each; and the machine code tests whether the product of the extents overflows.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array


@intrinsic
def local(typingctx, shape, dtype):
    """Return a new, uninitialised, C-contiguous array of this shape, a number or a tuple, and of this type of numbers.

    Its memory is freed where the kernel no longer uses it.
    """
    axes = len(shape) if isinstance(shape, types.BaseTuple) else 1
    result = types.Array(dtype.dtype, axes, "C")
    size = types.UniTuple(types.intp, axes) if isinstance(shape, types.BaseTuple) else types.intp

    def generate(context, builder, signature, arguments):
        extents = (
            cgutils.unpack_tuple(builder, arguments[0], axes) if isinstance(size, types.BaseTuple) else arguments[:1]
        )
        index, kind = context.get_value_type(types.intp), signature.return_type
        itemsize = index(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        strides = [itemsize]
        for extent in reversed(extents):
            strides.insert(0, builder.mul(strides[0], extent))
        align = context.get_constant(types.uint32, context.get_preferred_array_alignment(kind.dtype))
        owner = context.nrt.meminfo_alloc_aligned(builder, size=strides[0], align=align)
        view = context.make_array(kind)(context, builder)
        memory = context.nrt.meminfo_data(builder, owner)
        populate_array(
            view,
            data=builder.bitcast(memory, view.data.type),
            shape=cgutils.pack_array(builder, extents, index),
            strides=cgutils.pack_array(builder, strides[1:], index),
            itemsize=itemsize,
            meminfo=owner,
        )
        return view._getvalue()

    return result(size, dtype), generate
