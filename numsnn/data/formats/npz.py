"""Events in NumPy's files: columns in an archive (.npz), or one array (.npy) that is structured or ``[N, C]``.

Files with pickled objects are refused, and memory is allocated for the bytes that there are, not for the size that a
header states.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib

import numpy as np

from ..columns import Columns, as_events, by_name, taken
from ..events import Events
from .errors import content, damage
from .header import need_bytes

NPY = b"\x93NUMPY"
"""The first bytes of an .npy file."""
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    KeyError,
    SyntaxError,
    OverflowError,
    MemoryError,
    TypeError,
    struct.error,
    tokenize.TokenError,
    UserWarning,
)
"""Errors that zipfile and NumPy raise for damaged archives; a program may have made warnings errors."""


def parse_npz(
    data: bytes,
    size: tuple[int, int] | None = None,
    source: str = "<bytes>",
    unit: str | None = None,
    columns: Columns = None,
) -> Events:
    """Return the events in the bytes of an .npz file: one array per column, or a single array as in an .npy file.

    Args:
        data: content of the file.
        size, unit, columns: as for `read_events`.
        source: name of the data in errors.

    Raises:
        FormatError: as for `read_events`.
    """
    need_bytes("parse_npz", data, source)
    with damage(source, "an .npz archive", _BROKEN):
        archive = zipfile.ZipFile(io.BytesIO(data))
        there = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
    names = {"": next(iter(there))} if len(there) == 1 else {}
    if not names:
        with content(source):
            names = by_name(there, columns)
    found = {}
    with damage(source, "an .npz archive", _BROKEN):
        for letter, name in names.items():
            with archive.open(there[name]) as file:
                found[letter] = _array(file, f"{name}.npy")
    with content(source):
        arrays = taken(found[""], columns) if "" in found else found
        return Events(**as_events(arrays, size, unit))


def parse_npy(
    data: bytes,
    size: tuple[int, int] | None = None,
    source: str = "<bytes>",
    unit: str | None = None,
    columns: Columns = None,
) -> Events:
    """Return the events in the bytes of an .npy file; arguments and errors as for `parse_npz`."""
    need_bytes("parse_npy", data, source)
    with damage(source, "an .npy file", _BROKEN):
        array = _array(io.BytesIO(data), "the array")
    with content(source):
        return Events(**as_events(taken(array, columns), size, unit))


def _array(file, name: str) -> np.ndarray:
    """Return the array in an .npy file, or raise ValueError if its header states more bytes than there are."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name}: version {version} of the array format cannot be read")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject or dtype.kind not in "biufV" or min(shape, default=0) < 0:
        raise ValueError(f"{name} must hold real numbers; found {dtype} {shape}")
    n = math.prod(shape)
    body = file.read(n * dtype.itemsize)
    if len(body) != n * dtype.itemsize:
        raise ValueError(f"{name} is truncated: expected {n} numbers, found {len(body)} bytes")
    flat = np.frombuffer(body, dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
