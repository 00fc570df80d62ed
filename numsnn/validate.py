"""Checks of arguments: each returns the value it was given or raises one line that names it."""

import math
from numbers import Integral, Real


def number(what: str, value) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{what} must be a finite number; got {value!r}")
    return float(value)


def positive(what: str, value) -> float:
    """A finite number greater than 0."""
    if number(what, value) <= 0:
        raise ValueError(f"{what} must be positive; got {value!r}")
    return float(value)


def within(what: str, value, low: float, high: float, *, open_high: bool = False) -> float:
    """A number in [low, high], or [low, high) with open_high."""
    if not low <= number(what, value) <= high or (open_high and value == high):
        raise ValueError(f"{what} must lie in [{low}, {high}{')' if open_high else ']'}; got {value!r}")
    return float(value)


def whole(what: str, value, low: int = 1) -> int:
    """A whole number of at least low."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        raise ValueError(f"{what} must be a whole number of at least {low}; got {value!r}")
    return int(value)


def pair(what: str, value, low: int) -> tuple[int, int]:
    """Two whole numbers (vertical, horizontal) of at least low; one number stands for both."""
    if isinstance(value, Integral):
        value = (value, value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{what} must be a whole number or a pair of them; got {value!r}")
    return whole(what, value[0], low), whole(what, value[1], low)


def two(what: str, value) -> tuple:
    """A pair of anything."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{what} must be a pair; got {value!r}")
    return tuple(value)


def flag(what: str, value) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{what} must be True or False; got {value!r}")
    return value
