"""Checks of arguments. Each function returns the value as a plain Python value, or raises a ValueError of one line.

The first argument, `what`, begins the message: it names the owner and the argument, for example "Conv2d: stride".
"""

import math
import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from .shown import shown

LARGEST_FLOAT = float(np.finfo(np.float32).max)
LARGEST_WHOLE = 2**63 - 1
"""The largest numbers that the arrays of the package hold: float32 and int64."""

LONGEST_TEXT = 1000
"""Characters of the longest text that is a name, a title or a word."""


LONGEST_PATH = 4096
"""Characters of the longest path, as on Linux."""


def number(what: str, value) -> float:
    """Check for a finite number that float32 can hold; a bool is refused."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{what} must be a finite number; got {shown(value)}")
    plain = as_float(value)
    if math.isnan(plain) or value in (math.inf, -math.inf):
        raise ValueError(f"{what} must be a finite number; got {shown(value)}")
    if abs(plain) > LARGEST_FLOAT:
        raise ValueError(f"{what} must be at most 3.4e38, the largest number in float32; got {shown(value)}")
    return plain


def as_float(value) -> float:
    """Return a number as float: infinite for a whole number or a fraction beyond float64."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def positive(what: str, value) -> float:
    """Check for a number greater than 0, also as float32."""
    plain = number(what, value)
    if plain <= 0:
        raise ValueError(f"{what} must be positive; got {shown(value)}")
    return _not_lost(what, plain, value)


def _not_lost(what, plain, value):
    """Refuse a number that is not 0, but becomes 0 in float32."""
    if plain and not np.float32(plain):
        raise ValueError(f"{what} must be positive, and this number becomes 0 in float32; got {shown(value)}")
    return plain


def within(what: str, value, low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> float:
    """Check for a number in [low, high]. With `open_low` the number may not equal low, with `open_high` not high."""
    plain = number(what, value)
    if not low <= plain <= high or (open_low and plain == low) or (open_high and plain == high):
        interval = f"{'(' if open_low else '['}{low}, {high}{')' if open_high else ']'}"
        raise ValueError(f"{what} must lie in {interval}; got {shown(value)}")
    return _not_lost(what, plain, value) if open_low and low == 0 else plain


def at_least(what: str, value, low: float) -> float:
    """Check for a finite number that is not smaller than `low`."""
    plain = number(what, value)
    if plain < low:
        raise ValueError(f"{what} must be at least {low}; got {shown(value)}")
    return plain


def whole(what: str, value, low: int = 1, high: int = LARGEST_WHOLE) -> int:
    """Check for a whole number that is not smaller than `low` (default 1), and not larger than `high`."""
    plain = None if isinstance(value, bool) or not isinstance(value, Integral) else int(value)
    if plain is None or plain < low:
        raise ValueError(f"{what} must be a whole number of at least {low}; got {shown(value)}")
    if plain > high:
        limit = "2^63 - 1" if high == LARGEST_WHOLE else f"{high:,}"
        raise ValueError(f"{what} must be a whole number of at most {limit}; got {shown(value)}")
    return plain


def pair(what: str, value, low: int) -> tuple[int, int]:
    """Check for two whole numbers (vertical, horizontal), neither smaller than `low`; one number stands for both."""
    value = _plain(value)
    if isinstance(value, Integral):
        value = (value, value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{what} must be a whole number or a pair of them; got {shown(value)}")
    return whole(what, value[0], low), whole(what, value[1], low)


def two(what: str, value) -> tuple:
    """Check for a tuple, list or array of two values of any kind."""
    value = _plain(value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{what} must be a pair; got {shown(value)}")
    return tuple(value)


def listed(what: str, value, of: str = "numbers") -> list:
    """Check for a list, tuple, range or array with one axis, of values of any kind; `of` says which for the message."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value.tolist()
    if not isinstance(value, tuple | list | range):
        raise ValueError(f"{what} must be a list of {of}; got {shown(value)}")
    return list(value)


def _plain(value):
    """Return an array as a list, and any other value as it is."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def real_array(value) -> np.ndarray | None:
    """Return a value as an array of real numbers or truth values; None if it holds anything else."""
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:  # of which NumPy makes an object
        value = as_float(value)
    try:
        array = np.asarray(value)
    except Exception:  # nested lists of unequal lengths or too deep, or objects that fail when they are converted
        return None
    return array if array.dtype.kind in "biuf" else None


def truth(value) -> bool:
    """Return whether a value is True or False, as Python's or NumPy's type."""
    return isinstance(value, (bool, np.bool_))  # a union of types would be made anew at every call


def flag(what: str, value) -> bool:
    """Check for True or False."""
    if not truth(value):
        raise ValueError(f"{what} must be True or False; got {shown(value)}")
    return bool(value)


def text(what: str, value, *, lines: bool = False, empty: bool = True) -> str:
    """Check for a text of printable characters.

    Args:
        what: begins the message.
        value: the value.
        lines: whether the text may have several lines and any length. Default False.
        empty: whether the text may be empty. Default True.
    """
    if not isinstance(value, str) or not (value or empty):
        raise ValueError(f"{what} must be a text{'' if empty else ' that is not empty'}; got {shown(value)}")
    if lines:
        if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise ValueError(f"{what} must be a text that UTF-8 can hold; got {shown(value)}")
    elif not value.isprintable() or len(value) > LONGEST_TEXT:
        raise ValueError(f"{what} must be one line of printable characters, at most {LONGEST_TEXT}; got {shown(value)}")
    return str(value)


def path_of(what: str, value) -> Path:
    """Check for the path of a file or folder: a text or an `os.PathLike`, but no number, which would be an open file.

    Raises:
        TypeError: the value is no path.
        ValueError: the path is empty or holds characters that no path can hold.
    """
    name = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a path, as a text or pathlib.Path; got {shown(value)}")
    bad = any(c < " " or "\x7f" <= c < "\xa0" or "\ud800" <= c <= "\udfff" for c in name)
    if not name or bad or len(name) > LONGEST_PATH:
        raise ValueError(f"{what} must be the path of a file or folder; got {shown(value)}")
    return Path(name)


def instance(what: str, value, kind: type | tuple[type, ...], expected: str) -> Any:
    """Check for an object of a class.

    Args:
        what: begins the message.
        value: the object.
        kind: the class, or several classes.
        expected: the class in words, such as "a loss, such as snn.losses.TET()".

    Raises:
        TypeError: the object is of another class, or it is the class itself.
    """
    if not isinstance(value, kind):
        hint = f". Make one: {value.__name__}(...)" if isinstance(value, type) and issubclass(value, kind) else ""
        raise TypeError(f"{what} must be {expected}; got {shown(value)}{hint}")
    return value


def float_dtype(what: str, dtype) -> np.dtype:
    """Check for float32 or float64, as a text, a class of NumPy or a dtype."""
    try:
        found = np.dtype(dtype) if isinstance(dtype, str | type | np.dtype) else None
    except (TypeError, ValueError):  # a text that NumPy does not know, or cannot even read
        found = None
    if found is None or found not in (np.float32, np.float64):
        raise ValueError(f"{what} must be float32 or float64; got {shown(dtype) if found is None else found}")
    return found
