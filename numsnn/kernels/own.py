"""Scalar functions that a user writes, made fit to be compiled into kernels.

A user writes ordinary Python: ``1.5 * z`` and ``math.pi``. Numba takes every Python float as float64, and one of them
turns the float32 arithmetic around it into float64, which costs a CPU kernel half of its speed and a GPU kernel most of
it. `in_precision` replaces such numbers, `need_single_precision` refuses what float64 is left.
"""

import types

import numpy as np
from numba import njit
from numba import types as numba_types
from numba.extending import overload, register_jitable

from ..machine_code import digest

FIT_ALREADY = ("numba", "numpy", "numsnn", "math", "builtins")
"""Packages whose functions are taken as they are."""


def in_precision(function, real):
    """A copy of a function whose float constants have the precision of ``real``, ready to be called in a kernel.

    Constants in the code, in default arguments, in the closure and among the globals of its module (also ``math.pi``)
    are replaced, and so are those of the Python functions that it calls. Whole numbers stay as they are. The copy has
    the values of globals at the time of this call, as compiled code would have.

    Args:
        function: Python function of scalars, also one that a notebook or ``exec`` defined, or one under ``numba.njit``.
        real: NumPy scalar type, for example ``np.float32``.

    Returns:
        the copy, a Python function that compiled functions may call. Equal text and equal constants give equal
        `machine_code.digest`.

    Raises:
        TypeError: ``function`` is not a Python function.
    """
    plain = getattr(function, "py_func", function)
    if not isinstance(plain, types.FunctionType):
        raise TypeError(f"a scalar function must be a Python function (def or lambda), got {function!r}")
    return _copy(plain, real, {})


def _copy(function, real, made):
    """made: functions that were copied before -> their copies, so that circles end."""
    if function in made:
        return made[function]
    names = {"__name__": __name__, "__builtins__": __builtins__}  # importable, so that machine code can be found again
    copy = types.FunctionType(
        _code(function.__code__, real),
        names,
        function.__name__,
        _number(function.__defaults__, real),
        tuple(types.CellType(_value(cell.cell_contents, (), real, made)) for cell in function.__closure__ or ()),
    )
    made[function] = copy
    copy.__kwdefaults__ = {
        name: _number(value, real) for name, value in (function.__kwdefaults__ or {}).items()
    } or None
    mentioned = _mentioned(function.__code__)
    for name in sorted(mentioned & function.__globals__.keys()):
        names[name] = _value(function.__globals__[name], mentioned, real, made)
    copy.__qualname__ = f"{function.__name__.strip('<>')}_{digest(copy)[:16]}"  # one symbol per content
    return register_jitable(copy)


def _value(value, mentioned, real, made):
    """One value that a function reads. mentioned: the names in its code, among them attributes of modules."""
    if isinstance(value, types.ModuleType):
        return _module(value, mentioned, real, made)
    plain = getattr(value, "py_func", value)
    if isinstance(plain, types.FunctionType) and (plain.__module__ or "").partition(".")[0] not in FIT_ALREADY:
        return _copy(plain, real, made)
    return _number(value, real)


def _module(module, mentioned, real, made):
    """The module itself where the code reads no number of it and calls no user's function, else a copy."""
    seen = {name: vars(module)[name] for name in sorted(mentioned & vars(module).keys())}
    own = {
        name: _value(value, (), real, made) for name, value in seen.items() if not isinstance(value, types.ModuleType)
    }
    if all(own[name] is seen[name] for name in own):
        return module
    copy = types.ModuleType(module.__name__)
    vars(copy).update(vars(module) | own)
    return copy


def _code(code, real):
    return code.replace(co_consts=tuple(_number(value, real) for value in code.co_consts))


def _number(value, real):
    """Python floats, also in tuples and in the code of inner functions, as numbers of type real; the rest as it is."""
    if isinstance(value, float):
        return real(value)
    if isinstance(value, tuple):
        return tuple(_number(item, real) for item in value)
    return _code(value, real) if isinstance(value, types.CodeType) else value


def _mentioned(code):
    inner = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return set(code.co_names).union(*map(_mentioned, inner))


def by_precision(function):
    """A function of one number that computes in the number's own precision, in Python and in compiled code.

    Args:
        function: see `in_precision`.

    Returns:
        a Python function that compiled functions may call.
    """
    single, double = (in_precision(function, real) for real in (np.float32, np.float64))

    def scalar(z):
        return type(z)(single(z) if isinstance(z, np.float32) else double(z))

    @overload(scalar)
    def compiled(z):
        return (lambda z: single(z)) if z == numba_types.float32 else (lambda z: double(z))

    return scalar


def elementwise(function, count=1):
    """A function of ``count`` arrays of one shape and float dtype that applies a scalar function to their elements."""
    apply = np.frompyfunc(function, count, 1)

    def over(*arrays):
        return np.asarray(apply(*arrays)).astype(arrays[0].dtype)

    return over


def need_single_precision(what, function, count):
    """Refuse a scalar function that computes in float64 where its numbers are float32, or that cannot be compiled.

    Args:
        what: names the function in the error.
        function: see `in_precision`.
        count: how many numbers it takes.

    Raises:
        ValueError: with the line of the function where float64 comes from.
    """
    compiled = njit(error_model="numpy")(in_precision(function, np.float32))
    try:
        compiled.compile((numba_types.float32,) * count)
    except Exception as error:  # Numba has many: of what it does not know, and of what it stumbles over
        lines = [line.strip() for line in str(error).splitlines() if line.strip() and "Failed in" not in line]
        raise ValueError(f"{what} cannot be compiled: {lines[0] if lines else type(error).__name__}") from None
    (overload,) = compiled.overloads.values()
    returned, inferred = overload.signature.return_type, overload.type_annotation
    if returned == numba_types.float32 and numba_types.float64 not in inferred.typemap.values():
        return
    lines = [part.loc.line for part, call in inferred.calltypes.items() if call.return_type == numba_types.float64]
    place = f" (line {min(lines)} of its file)" if lines else ""
    raise ValueError(
        f"{what} must return float32 for float32 numbers, got {returned}{place}: "
        "write whole numbers in sums and quotients as 1.0, not 1"
    )
