"""Reads and writes that tell the compiler which arrays do not overlap.

Without this, LLVM vectorises a loop over slices of ten arrays behind a test, made for every row, of whether the arrays
that it writes overlap those that it reads. For short rows, these tests and slices take longer than the loop. Here every
array of a kernel has a role, and the kernel promises that elements of different roles do not share memory. An array
has one role, even if it is both input and output, unless its roles are different rows.

An array whose first axis counts the numbers of a tuple (a rule's states, values, or gradients of values) is read and
written with `read_all`, `write_all` and `add_all`. Each number has a role of its own: "state 0", "state 1" and so on.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from ...rules import MOST_STATES, MOST_VALUES

ROLES = (
    "value",
    "current",
    "spike",
    "potential",
    "state",
    "gradient",
    "input gradient",
    "dtheta",
    "dalpha",
    "sum",
    "projection",
    "mean",
    "square",
    "drift",
    "output",
    "synapse",
    "adaptation",
    "rest",
    "tap",
    *(f"state {n}" for n in range(MOST_STATES)),
    *(f"history {n}" for n in range(MOST_STATES)),
    *(f"dvalue {n}" for n in range(MOST_VALUES)),
)
"""The roles that the arrays of a kernel may have. Arrays with the role "value" are only read, and may overlap."""


def address_of(context, builder, kind, array, index):
    """The address of array[index]. index is one number or a tuple; a negative index is not counted from the end."""
    view = context.make_array(kind)(context, builder, array)
    index = cgutils.unpack_tuple(builder, index) if kind.ndim > 1 else [index]
    first = builder.bitcast(view.data, cgutils.voidptr_t)
    strides, row = cgutils.unpack_tuple(builder, view.strides), index[-1:] if kind.layout == "C" else []
    for place, stride in list(zip(index, strides, strict=True))[: kind.ndim - len(row)]:
        first = builder.gep(first, [builder.mul(place, stride)])
    address = builder.bitcast(first, view.data.type)
    return builder.gep(address, row) if row else address


def _mark(builder, instruction, role):
    """Tell LLVM that a load or store touches arrays of this role only."""
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
    """Return the element array[index]. role is a literal string of `ROLES`."""
    name = _known(role)
    place = types.UniTuple(types.intp, array.ndim) if array.ndim > 1 else types.intp

    def generate(context, builder, signature, arguments):
        value = builder.load(address_of(context, builder, signature.args[0], arguments[0], arguments[2]))
        _mark(builder, value, name)
        return value

    return array.dtype(array, role, place), generate


@intrinsic(prefer_literal=True)
def write(typingctx, array, role, index, value):
    """Set array[index] = value. role is a literal string of `ROLES`."""
    name = _known(role)
    place = types.UniTuple(types.intp, array.ndim) if array.ndim > 1 else types.intp

    def generate(context, builder, signature, arguments):
        address = address_of(context, builder, signature.args[0], arguments[0], arguments[2])
        _mark(builder, builder.store(arguments[3], address), name)
        return context.get_dummy_value()

    return types.void(array, role, place, array.dtype), generate


def place_type(axes):
    """The Numba type of an index with this number of axes."""
    return types.UniTuple(types.intp, axes) if axes > 1 else types.intp


def _part(context, builder, kind, array, number, index):
    """The address of array[number, *index]."""
    axes = cgutils.unpack_tuple(builder, index) if kind.ndim > 2 else [index]
    axes = [ir.Constant(context.get_value_type(types.intp), number), *axes]
    return address_of(context, builder, kind, array, cgutils.pack_array(builder, axes))


def _role(kind, number):
    return kind if kind in ROLES else f"{kind} {number}"


@intrinsic(prefer_literal=True)
def read_all(typingctx, array, kind, index, count):
    """Return the tuple (array[0, *index], ..., array[count - 1, *index]).

    kind is "value" for arrays that are only read, or the word before the number in the roles, such as "state". count is
    a constant when the kernel is compiled.
    """
    many, word = count.literal_value, kind.literal_value

    def generate(context, builder, signature, arguments):
        values = []
        for number in range(many):
            value = builder.load(_part(context, builder, signature.args[0], arguments[0], number, arguments[2]))
            _mark(builder, value, _role(word, number))
            values.append(value)
        return context.make_tuple(builder, signature.return_type, values)

    return types.UniTuple(array.dtype, many)(array, kind, place_type(array.ndim - 1), count), generate


def _write_numbers(array, kind, index, numbers, wanted, combine):
    """The signature and the code generator of a function that writes those numbers of a tuple that are wanted.

    combine(builder, address, value, role) returns the value to store.
    """
    word = kind.literal_value

    def generate(context, builder, signature, arguments):
        real = signature.args[0].dtype
        for number, part in enumerate(signature.args[3]):
            if not wanted(number):
                continue
            address = _part(context, builder, signature.args[0], arguments[0], number, arguments[2])
            value = builder.extract_value(arguments[3], number)
            value = combine(builder, address, context.cast(builder, value, part, real), _role(word, number))
            _mark(builder, builder.store(value, address), _role(word, number))
        return context.get_dummy_value()

    return (array, kind, place_type(array.ndim - 1), numbers), generate


@intrinsic(prefer_literal=True)
def write_all(typingctx, array, kind, index, numbers):
    """Set array[n, *index] = numbers[n] for every n. kind is that of `read_all`."""
    arguments, generate = _write_numbers(
        array, kind, index, numbers, lambda number: True, lambda builder, address, value, role: value
    )
    return types.void(*arguments), generate


@intrinsic(prefer_literal=True)
def add_all(typingctx, array, kind, index, numbers, wanted):
    """Add numbers[n] to array[n, *index] for every n that is wanted.

    wanted is a string with the character 1 for each number that is wanted, and 0 for each other one. It is a constant
    when the kernel is compiled.
    """

    def add(builder, address, value, role):
        before = builder.load(address)
        _mark(builder, before, role)
        return builder.fadd(before, value, flags=["contract", "nsz"])

    choice = wanted.literal_value
    arguments, generate = _write_numbers(array, kind, index, numbers, lambda number: choice[number] == "1", add)
    return types.void(*arguments, wanted), generate
