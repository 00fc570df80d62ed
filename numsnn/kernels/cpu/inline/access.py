"""Reads and writes of arrays that the compiler is told not to overlap.

A loop over slices of ten arrays is vectorised behind a test, on every row, of whether what it writes overlaps what it
reads; on short rows the tests and slices take longer than the loop. Here every array of a kernel has a role, and
elements of different roles are promised to lie apart: one array has one role, also where it is both input and output,
unless its roles are different rows.
"""

from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

ROLES = (
    "value",
    "current",
    "spike",
    "potential",
    "state",
    "gradient",
    "input gradient",
    "delta",
    "dtheta",
    "dalpha",
    "sum",
    "projection",
    "mean",
    "square",
    "drift",
    "output",
)
"""What the arrays of a kernel may be. Any number of arrays may be a "value", which is only read."""


def _element(context, builder, kind, array, index):
    """The address of array[index], an index of one dimension or a tuple; not counted from the end."""
    view = context.make_array(kind)(context, builder, array)
    index = cgutils.unpack_tuple(builder, index) if kind.ndim > 1 else [index]
    first = builder.bitcast(view.data, cgutils.voidptr_t)
    strides, row = cgutils.unpack_tuple(builder, view.strides), index[-1:] if kind.layout == "C" else []
    for place, stride in list(zip(index, strides, strict=True))[: kind.ndim - len(row)]:
        first = builder.gep(first, [builder.mul(place, stride)])
    address = builder.bitcast(first, view.data.type)
    return builder.gep(address, row) if row else address


def _mark(builder, instruction, role):
    """Say that a load or store touches arrays of this role only."""
    module = builder.module
    domain = module.add_metadata(["numsnn"])
    scopes = {name: module.add_metadata([name, domain]) for name in ROLES}
    instruction.set_metadata("alias.scope", module.add_metadata([scopes[role]]))
    others = module.add_metadata([scopes[name] for name in ROLES if name != role])
    instruction.set_metadata("noalias", others)


def _known(role):
    if not isinstance(role, types.StringLiteral) or role.literal_value not in ROLES:
        raise TypingError(f"read, write: role must be one of {', '.join(ROLES)}; got {role}")
    return role.literal_value


@intrinsic(prefer_literal=True)
def read(typingctx, array, role, index):
    """array[index], an element."""
    name = _known(role)
    place = types.UniTuple(types.intp, array.ndim) if array.ndim > 1 else types.intp

    def generate(context, builder, signature, arguments):
        value = builder.load(_element(context, builder, signature.args[0], arguments[0], arguments[2]))
        _mark(builder, value, name)
        return value

    return array.dtype(array, role, place), generate


@intrinsic(prefer_literal=True)
def write(typingctx, array, role, index, value):
    """array[index] = value."""
    name = _known(role)
    place = types.UniTuple(types.intp, array.ndim) if array.ndim > 1 else types.intp

    def generate(context, builder, signature, arguments):
        address = _element(context, builder, signature.args[0], arguments[0], arguments[2])
        _mark(builder, builder.store(arguments[3], address), name)
        return context.get_dummy_value()

    return types.void(array, role, place, array.dtype), generate
