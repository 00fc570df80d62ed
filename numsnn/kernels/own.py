"""Prepares scalar functions that a user writes for compilation into kernels.

A user writes ordinary Python, such as ``1.5 * z`` and ``math.pi``. Numba treats every Python float as float64, and a
single one turns the float32 arithmetic around it into float64. This costs a CPU kernel half of its speed and a GPU
kernel most of it. `in_precision` replaces such numbers, and `need_single_precision` refuses a function that still
computes in float64.
"""

import types

import numpy as np
from numba import njit
from numba import types as numba_types
from numba.extending import overload

from ..machine_code import digest
from .compile import register_jitable

FIT_ALREADY = ("numba", "numpy", "numsnn", "math", "builtins")
"""Packages whose functions are used without change."""


def in_precision(function, real):
    """A copy of a function whose float constants have the precision of ``real``. Kernels can call the copy.

    Float constants are replaced in the code, in default arguments, in the closure and among the globals of the module
    (also ``math.pi``), and likewise in the Python functions that the function calls. Whole numbers are not changed. As
    in compiled code, the copy has the values that globals had at the time of this call.

    Args:
        function: Python function of scalars. It may be defined in a notebook or by ``exec``, or be compiled by
            ``numba.njit``.
        real: NumPy scalar type, for example ``np.float32``.

    Returns:
        the copy, a Python function that compiled functions may call. Copies of functions with the same text and the
        same constants have the same `machine_code.digest`.

    Raises:
        TypeError: ``function`` is not a Python function.
    """
    plain = getattr(function, "py_func", function)
    if not isinstance(plain, types.FunctionType):
        raise TypeError(f"a scalar function must be a Python function (def or lambda), got {function!r}")
    return _copy(plain, real, {})


def _copy(function, real, made):
    """Copy a function and the functions it calls. `made` maps functions already copied to their copies, so that
    functions which call each other are copied once."""
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
    """The copy's version of one value that a function reads. `mentioned` holds all names in the function's code."""
    if isinstance(value, types.ModuleType):
        return _module(value, mentioned, real, made)
    plain = getattr(value, "py_func", value)
    if isinstance(plain, types.FunctionType) and (plain.__module__ or "").partition(".")[0] not in FIT_ALREADY:
        return _copy(plain, real, made)
    return _number(value, real)


def _module(module, mentioned, real, made):
    """The module itself if the code uses no float and no user function of it, else a copy with these replaced."""
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
    """`value` with Python floats converted to the type `real`, also in tuples and in the code of inner functions."""
    if isinstance(value, float):
        return real(value)
    if isinstance(value, tuple):
        return tuple(_number(item, real) for item in value)
    return _code(value, real) if isinstance(value, types.CodeType) else value


def _mentioned(code):
    inner = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return set(code.co_names).union(*map(_mentioned, inner))


def by_precision(function):
    """A version of a function of one number that computes in the precision of its argument, in Python and compiled.

    Args:
        function: Python function of one number, as `in_precision` accepts it.

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
    """A function that applies a scalar function to the elements of ``count`` arrays of equal shape and float dtype."""
    apply = np.frompyfunc(function, count, 1)

    def over(*arrays):
        return np.asarray(apply(*arrays)).astype(arrays[0].dtype)

    return over


def need_single_precision(what, function, count):
    """Check that a scalar function can be compiled and computes in float32 if its arguments are float32.

    Args:
        what: name of the function in the error message.
        function: Python function, as `in_precision` accepts it.
        count: number of arguments of the function.

    Raises:
        ValueError: it cannot be compiled, or computes in float64. The message names the first line with float64.
    """
    compiled = njit(error_model="numpy")(in_precision(function, np.float32))
    try:
        compiled.compile((numba_types.float32,) * count)
    except Exception as error:  # Numba raises exceptions of many types for code that it cannot compile
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
