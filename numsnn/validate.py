"""Checks of arguments. Each function returns the value as a plain Python value, or raises a ValueError of one line.

The first argument, `what`, begins the message: it names the owner and the argument, for example "Conv2d: stride".
"""

import math
from numbers import Integral, Real

import numpy as np


def number(what: str, value) -> float:
    """Check for a finite number; a bool is refused."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{what} must be a finite number; got {value!r}")
    return float(value)


def positive(what: str, value) -> float:
    """Check for a finite number greater than 0."""
    if number(what, value) <= 0:
        raise ValueError(f"{what} must be positive; got {value!r}")
    return float(value)


def within(what: str, value, low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> float:
    """Check for a number in [low, high]. With `open_low` the number may not equal low, with `open_high` not high."""
    if not low <= number(what, value) <= high or (open_low and value == low) or (open_high and value == high):
        interval = f"{'(' if open_low else '['}{low}, {high}{')' if open_high else ']'}"
        raise ValueError(f"{what} must lie in {interval}; got {value!r}")
    return float(value)


def at_least(what: str, value, low: float) -> float:
    """Check for a finite number that is not smaller than `low`."""
    if number(what, value) < low:
        raise ValueError(f"{what} must be at least {low}; got {value!r}")
    return float(value)


def whole(what: str, value, low: int = 1) -> int:
    """Check for a whole number that is not smaller than `low` (default 1)."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        raise ValueError(f"{what} must be a whole number of at least {low}; got {value!r}")
    return int(value)


def pair(what: str, value, low: int) -> tuple[int, int]:
    """Check for two whole numbers (vertical, horizontal), neither smaller than `low`; one number stands for both."""
    value = _listed(value)
    if isinstance(value, Integral):
        value = (value, value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{what} must be a whole number or a pair of them; got {value!r}")
    return whole(what, value[0], low), whole(what, value[1], low)


def two(what: str, value) -> tuple:
    """Check for a tuple, list or array of two values of any kind."""
    value = _listed(value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{what} must be a pair; got {value!r}")
    return tuple(value)


def _listed(value):
    """Return an array as a list, and any other value as it is."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def truth(value) -> bool:
    """Return whether a value is True or False, as Python's or NumPy's type."""
    return isinstance(value, bool | np.bool_)


def flag(what: str, value) -> bool:
    """Check for True or False."""
    if not truth(value):
        raise ValueError(f"{what} must be True or False; got {value!r}")
    return bool(value)
