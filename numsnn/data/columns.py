"""Columns of events under other people's names, in their order, and with their units of time.

`numsnn.data.Events.from_array` and the readers of files with columns share this module. Its errors are ValueErrors,
to which they add their own name or that of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..names import choice
from ..shown import shown
from ..validate import text

Columns: TypeAlias = str | Sequence[str] | Mapping[str, str | None] | None
"""Says which column is which: "xytp" for columns without names, {"t": "time"} for names that are not known."""

NAMES = {
    "x": ("x", "xs", "col", "column"),
    "y": ("y", "ys", "row"),
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "p": ("p", "ps", "pol", "pols", "polarity", "polarities", "on"),
}
"""Names under which public files hold a column. Capital letters make no difference."""

UNITS = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": -1000}
"""Microseconds per unit of time; a negative number divides."""

_MOST_TIMES = 1 << 62
_EXACT = 1 << 53
"""Real numbers of at least this size may not be the whole numbers that were written."""


def by_name(there: Iterable[str], columns: Columns) -> dict[str, str]:
    """Return for x, y, t and, if the sensor has polarity, p the name of their column.

    Args:
        there: names of all columns.
        columns: names by letter, for columns that have none of `NAMES`; ``{"p": None}`` says that there is no polarity.

    Raises:
        ValueError: a column is missing, two columns could be meant, there is no polarity among columns of unknown
            meaning, or columns is not a mapping.
    """
    there = list(there)
    given = _mapping(columns)
    listed = ", ".join(map(repr, there[:12])) + (", ..." if len(there) > 12 else "")
    found = {}
    for letter, known in NAMES.items():
        name = given.get(letter)
        hits = [one for one in there if one.lower() in known]
        if letter in given:
            hits = [] if name is None else [name]
            if name is not None and not (isinstance(name, str) and name in there):
                raise ValueError(f"columns: no column {shown(name)} for {letter}; there are {listed}")
        if len(hits) > 1 and letter not in hits:
            pair = " and ".join(map(repr, hits))
            raise ValueError(f"both {pair} may be {letter}; pass columns={{{letter!r}: NAME}}")
        if hits:
            found[letter] = letter if letter in hits else hits[0]
    for letter in "xyt":
        if letter not in found:
            need = "events need x, y, t and, for sensors with polarity, p"
            hint = f"Another name: columns={{{letter!r}: NAME}}"
            raise ValueError(f"no column {letter!r}; {need}; there are {listed or 'none'}. {hint}")
    rest = [one for one in there if one not in found.values()]
    if "p" not in found and "p" not in given and rest:
        unknown = ", ".join(map(repr, rest[:12]))
        hint = "pass columns={'p': NAME}, or {'p': None} for a sensor without polarity"
        raise ValueError(f"no polarity is known among {unknown}; {hint}")
    return found


def _mapping(columns: Columns) -> Mapping[str, str | None]:
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise ValueError(f"columns have names here; columns must be like {{'t': 'time'}}; got {shown(columns)}")
    for letter in columns:
        choice("columns: column", letter, tuple(NAMES))
    if any(columns.get(letter, letter) is None for letter in "xyt"):
        raise ValueError(f"columns: only p may be None; got {shown(dict(columns))}")
    return columns


def by_order(n: int, columns: Columns) -> dict[str, int]:
    """Return the position of x, y, t and, if it is named, p among n columns without names.

    Raises:
        ValueError: columns is missing, names another number of columns, or does not name each of x, y and t once.
    """
    if columns is None or isinstance(columns, Mapping):
        raise ValueError('the columns have no names; pass their order, such as columns="xytp" or "txyp"')
    if not isinstance(columns, str | tuple | list) or not all(isinstance(letter, str) for letter in columns):
        raise ValueError(f'columns must be letters in their order, such as "xytp"; got {shown(columns)}')
    order = list(columns)
    letters = [letter for letter in order if letter != "_"]
    if not set(letters) <= set(NAMES) or len(set(letters)) != len(letters) or not {"x", "y", "t"} <= set(letters):
        raise ValueError(f"columns must name x, y, t and perhaps p, each once, and _ for others; got {shown(columns)}")
    if len(order) != n:
        raise ValueError(
            f"columns={shown(columns)} names {len(order)} columns; found {n}. A _ stands for another column"
        )
    return {letter: order.index(letter) for letter in letters}


def taken(array: Any, columns: Columns) -> dict[str, np.ndarray]:
    """Return x, y, t and perhaps p of a structured array, a mapping of names to arrays, a DataFrame of pandas, or an
    array ``[N, C]``.

    Raises:
        ValueError: the columns cannot be told from each other.
    """
    if isinstance(array, Mapping):
        for name in array:
            text("the name of a column", name)
        return {letter: _array(array[name], name) for letter, name in by_name(array, columns).items()}
    table = not isinstance(array, type) and callable(getattr(array, "to_records", None))  # of pandas
    found = _array(array.to_records(index=False) if table else array, "array")
    if found.dtype.names:
        if found.ndim != 1:
            raise ValueError(f"a structured array of events must be [N]; found shape {found.shape}")
        return {letter: found[name] for letter, name in by_name(found.dtype.names, columns).items()}
    if found.ndim != 2:
        raise ValueError(f"events must be a structured array [N] or an array [N, C]; found shape {found.shape}")
    if found.shape[0] in (3, 4) and found.shape[1] > 8:
        raise ValueError(f"an array of events must be [N, C]; found shape {found.shape}. Transpose it: array.T")
    return {letter: found[:, k] for letter, k in by_order(found.shape[1], columns).items()}


def _array(value: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except Exception:  # nested lists of unequal lengths, or deeper than NumPy takes
        raise ValueError(f"{what} must be an array of events; got {shown(value)}") from None


def as_events(
    arrays: Mapping[str, np.ndarray], size: tuple[int, int] | None = None, unit: str | None = None
) -> dict[str, Any]:
    """Return the arguments of `numsnn.data.Events` for columns of any real dtype.

    Args:
        arrays: x, y, t and, for sensors with polarity, p: ``[N]`` each.
        size: (height, width) of the sensor. Default: the smallest size that contains all events.
        unit: what times count, one of `UNITS`. Default: microseconds for whole numbers; real numbers need a unit.

    Raises:
        ValueError: a column has another form or length, holds fractions, a time is not finite or too large, real
            numbers have no unit, or the polarity is none.
    """
    n = np.shape(arrays["x"])
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.ndim != 1:
            raise ValueError(f"{name} must hold [N] real numbers; found {array.dtype} {array.shape}")
        if array.shape != n:
            raise ValueError(f"{name} must be as long as x, {n[0]}; found {len(array)}")
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} must hold real numbers; found dtype {array.dtype}")
    x, y = _whole("x", arrays["x"]), _whole("y", arrays["y"])
    t = _microseconds(arrays["t"], unit)
    p = _polarity(_whole("p", arrays["p"])) if "p" in arrays else np.zeros(n, np.uint8)
    size = size if size is not None else (int(y.max(initial=0)) + 1, int(x.max(initial=0)) + 1)
    return {"x": x, "y": y, "t": t, "p": p, "size": size, "polarities": 2 if "p" in arrays else 1}


def _whole(name, array):
    """Return an array of whole numbers; real numbers that are whole are converted exactly."""
    if array.dtype.kind != "f":
        return array
    bad = ~((np.floor(array) == array) & (np.abs(array) < _EXACT))
    if bad.any():
        k = int(np.argmax(bad))
        raise ValueError(f"{name} must hold whole numbers; {name}[{k}] is {array[k]!s}")
    return array.astype(np.int64)


def _microseconds(t, unit):
    if unit is None and t.dtype.kind == "f":
        units = ", ".join(f"unit={known!r}" for known in UNITS)
        raise ValueError(f"t holds real numbers; say what they count: {units}")
    factor = UNITS[choice("unit", "us" if unit is None else unit, UNITS)]
    if t.dtype.kind == "f":
        scaled = np.rint(t.astype(np.float64) * factor if factor > 0 else t.astype(np.float64) / -factor)
        bad = ~(np.abs(scaled) <= _MOST_TIMES)
        if bad.any():
            k = int(np.argmax(bad))
            raise ValueError(f"t must be finite and at most 2^62 microseconds; t[{k}] is {t[k]!s}")
        return scaled.astype(np.int64)
    low, high = (int(t.min()), int(t.max())) if t.size else (0, 0)
    if factor < 0:
        return (t // -factor).astype(np.int64)
    if max(-low, high) * factor > _MOST_TIMES:
        raise ValueError(f"t must be at most 2^62 microseconds; found {high if high > -low else low} {unit or 'us'}")
    return t.astype(np.int64) * factor


def _polarity(p):
    """Return 0 and 1 for polarities that are 0 and 1, or -1 and 1."""
    bad = (p != 1) & (p != 0) & ((p != -1) if p.dtype.kind == "i" else True)
    if bad.any():
        k = int(np.argmax(bad))
        raise ValueError(f"p must be 0 and 1, or -1 and 1; p[{k}] is {p[k]}")
    return (p == 1).astype(np.uint8)
