"""Formats that other packages read, which are installed only for them: AEDAT 4 and Prophesee's RAW.

==========  ====================================================  ==========================
format      the file begins with                                  package
==========  ====================================================  ==========================
AEDAT 4     ``#!AER-DAT4``                                        ``aedat``, in numsnn[aedat]
RAW         lines with %, one of them ``% evt 2.0`` or            ``faery``, in numsnn[raw]
            ``% format EVT3...``: EVT 2.0, 2.1 and 3.0
==========  ====================================================  ==========================

On damaged files these packages may end their process or take all memory. They therefore run in a process of their own
(`numsnn.apart`), which sends the columns.
"""

from __future__ import annotations

import os
import re
from contextlib import closing
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...apart import Damage, read_apart
from ...files import open_file
from ...validate import path_of
from ..columns import as_events
from ..events import Events, checked_size
from .errors import FormatError, check_unpacked, content

AEDAT4 = b"#!AER-DAT4"
_EVT = re.compile(rb"^% *(evt +\d|format +EVT\d)", re.MULTILINE)
_GEOMETRY = re.compile(rb"^% *(geometry +\d|.*width=\d|Width +\d)", re.MULTILINE)
_KINDS: dict[str, np.dtype] = {"t": np.dtype("u8"), "x": np.dtype("u2"), "y": np.dtype("u2"), "p": np.dtype("?")}
"""Types of the columns that both packages give, in the order in which they are sent."""
_EVENT_BYTES = sum(kind.itemsize for kind in _KINDS.values())
_DENSEST = 6
"""Most events per byte of a RAW file: EVT 3.0 has words of two bytes with twelve events."""


def is_raw(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a RAW file."""
    return start.startswith(b"%") and _EVT.search(start) is not None


def read_aedat4(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> Events:
    """Return the events of the first stream of events in an AEDAT 4 file.

    Args:
        path: path of the file.
        size: (height, width) of the sensor. Default: the size that the file states.

    Raises:
        ImportError: the package aedat is not installed.
        OSError: the file cannot be read.
        FormatError: the file is damaged, has no stream of events, or unpacks to more than such files do; an event lies
            outside the sensor; or the package hangs, crashes or runs out of memory while it reads the file.
    """
    path = path_of("path", path)
    if size is not None:
        size = checked_size(size, "size of the sensor")
    _need("aedat", "AEDAT 4", "aedat")
    source = os.fspath(path)

    def check(events: int, file_bytes: int) -> None:
        check_unpacked(events * _EVENT_BYTES, file_bytes, source, "the events", "save them without compression")

    columns, stated = _read(path, "aedat4", check)
    return _events(columns, stated if size is None else size, source)


def read_raw(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> Events:
    """Return the events in a RAW file of Prophesee (EVT 2.0, 2.1 or 3.0); arguments and errors as for `read_aedat4`.

    The package is faery. Without a size in the file, the default is the smallest size that contains all events.
    """
    path = path_of("path", path)
    if size is not None:
        size = checked_size(size, "size of the sensor")
    _need("faery", "Prophesee's RAW", "raw")
    source = os.fspath(path)
    with open_file(path) as file:
        start = file.read(4096)

    def check(events: int, file_bytes: int) -> None:
        if events > _DENSEST * file_bytes:
            raise FormatError(source, 0, f"damaged: {events} events cannot lie in {file_bytes} bytes")

    columns, stated = _read(path, "raw", check)
    if not _GEOMETRY.search(start):
        stated = None
    return _events(columns, stated if size is None else size, source)


def _need(package: str, what: str, extra: str) -> None:
    """Refuse to go on without a package, which is looked for and not imported."""
    if find_spec(package) is None:
        raise ImportError(f'{what} needs the package {package}; install it with: pip install "numsnn[{extra}]"')


def _read(path, what, check) -> tuple[dict[str, np.ndarray], Any]:
    """Return the columns by letter, and the size that the file states.

    Args:
        path: path of the file.
        what: the task of `numsnn.apart`.
        check: is given the number of events so far and the bytes of the file, and refuses too many events.
    """
    source, file_bytes = os.fspath(path), os.path.getsize(path)
    parts: dict[str, list[np.ndarray]] = {letter: [np.empty(0, kind)] for letter, kind in _KINDS.items()}
    events, stated = 0, None
    try:
        with closing(read_apart(path, what)) as messages:  # type: ignore[type-var]
            for header, arrays in messages:
                if not arrays:
                    stated = header.get("size")
                    continue
                if [array.dtype for array in arrays] != [*_KINDS.values()] or len({*map(len, arrays)}) != 1:
                    found = ", ".join(f"{len(array)} {array.dtype}" for array in arrays)
                    raise Damage(f"damaged: the columns t, x, y and on hold {found}")
                events += len(arrays[0])
                check(events, file_bytes)
                for letter, array in zip(parts, arrays, strict=True):
                    parts[letter].append(array)
    except Damage as error:
        raise FormatError(source, 0, str(error)) from error
    return {letter: np.concatenate(arrays) for letter, arrays in parts.items()}, stated


def _events(columns, size, source):
    with content(source):
        return Events(**as_events(columns, size))
