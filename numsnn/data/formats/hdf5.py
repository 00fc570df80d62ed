"""Events in HDF5 files of other programs: columns in a group, or one structured array.

The HDF5 library can hang or crash where a file is damaged. It therefore runs in a process of its own (`numsnn.apart`),
which sends the columns.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from math import prod
from typing import Any

import numpy as np

from ...apart import Damage, read_apart
from ..columns import NAMES, Columns, as_events, by_name, taken
from ..events import Events
from .errors import FormatError, check_unpacked, content

_GARBLED = KeyError, TypeError, ValueError, IndexError, StopIteration
"""What comes of messages of a library whose memory the file has damaged."""


def read_hdf5(
    path: str | os.PathLike[str], size: tuple[int, int] | None, group: str, unit: str | None, columns: Columns
) -> Events:
    """Return the events in an HDF5 file; arguments and errors as for `numsnn.data.formats.read_events`."""
    source = os.fspath(path)
    given = [name for name in columns.values() if isinstance(name, str)] if isinstance(columns, Mapping) else []
    wanted = sorted({one.lower() for one in [*(name for known in NAMES.values() for name in known), *given]})
    try:
        with closing(read_apart(path, "columns", group=group, wanted=wanted)) as messages:  # type: ignore[type-var]
            found = _columns(messages, source, group, columns)
    except Damage as error:
        raise FormatError(source, 0, str(error)) from error
    except FormatError:
        raise
    except _GARBLED as error:
        reason = "damaged: the process that read the file sent something else than columns"
        raise FormatError(source, 0, reason) from error
    with content(source):
        return Events(**as_events(taken(found[""], columns) if "" in found else found, size, unit))


def _columns(messages, source, group, columns) -> dict[str, np.ndarray]:
    """Return the columns by letter, or one array of them all under ""."""
    about, _ = next(messages)
    hint = _hint(about["groups"])
    if "told" not in about:
        raise FormatError(source, None, f"no group {group!r}{hint}")
    arrays = {one["name"]: one for one in about["told"]}
    if "" in arrays:
        names = {"": ""}
    else:
        try:
            names = by_name(arrays, columns)
        except ValueError as error:
            raise FormatError(source, None, f"{error}{hint}") from error
    for name in names.values():
        _check_numbers(name or group, arrays[name], source)
    total = sum(arrays[name]["bytes"] for name in names.values())
    check_unpacked(total, os.path.getsize(source), source, "the arrays", "save them without compression")
    sent: dict[str, Any] = {}
    for header, [values] in messages:
        name, shape = header["name"], header["shape"]
        if values.size != prod(shape):
            raise FormatError(source, 0, f"damaged: {name} must have {prod(shape)} numbers; found {values.size}")
        if "field" in header:
            sent.setdefault(name, {})[header["field"]] = values.reshape(shape)
        else:
            sent[name] = values.reshape(shape)
    return {letter: _structured(sent[name]) for letter, name in names.items()}


def _structured(values):
    """Return the fields of a structured array as such an array, and any other array as it is."""
    if not isinstance(values, dict):
        return values
    first = next(iter(values.values()))
    whole = np.empty(first.shape, [(name, field.dtype) for name, field in values.items()])
    for name, field in values.items():
        whole[name] = field
    return whole


def _hint(groups):
    """Name the groups in which events may lie, and the structured arrays."""
    listed = ", ".join(f"group={name!r}" for name in groups[:8])
    return f". The file has groups; pass one of them: {listed}" if groups else ". The file has no groups"


def _check_numbers(name, array, source):
    """Refuse an array that does not hold numbers of fixed size, in one or two axes."""
    shape = array["shape"]
    numbers = array["numbers"] or shape is None
    if not numbers:
        raise FormatError(source, None, f"{name} must hold real numbers; found {array['dtype']}")
    if shape is None or len(shape) not in (1, 2):
        shown = "nothing" if shape is None else f"shape {tuple(shape)}"
        raise FormatError(source, None, f"{name} must be an array [N] or [N, C]; found {shown}")
