"""Events in a NumPy archive (.npz) or an HDF5 file, as four arrays x, y, t, p.

    x, y   [N] whole numbers: column and row
    t      [N] whole numbers: microseconds
    p      [N] polarity: 0 and 1, -1 and 1, or truth values; without this array the sensor has no polarity

Files with pickled objects are refused.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..events import Events, checked_size
from .errors import FormatError
from .hdf5 import opened

_NAMES = ("x", "y", "t", "p")
_MOST_TIMES = 1 << 62
_MOST_PACKED = 1032
"""Largest number of bytes into which deflate can unpack one byte."""
_MOST_UNPACKED = 1 << 26
"""Bytes that an array may have in a file of any size. A constant polarity, for example, takes almost no space."""
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
)
"""Errors that zipfile and NumPy raise for damaged archives."""


def read_events(path: str | os.PathLike[str], size: tuple[int, int] | None = None, group: str = "") -> Events:
    """Return the events in an .npz or HDF5 file. The file's first bytes decide which of the two it is.

    Args:
        path: path of the file.
        size: (height, width) of the sensor. Default: the smallest size that contains all events.
        group: path of the arrays inside an HDF5 file. Default "".

    Raises:
        OSError: the file cannot be read.
        FormatError: an array is missing or of another kind, the arrays differ in length, or an event lies outside the
            sensor.
    """
    source = os.fspath(path)
    with open(path, "rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        return parse_npz(Path(path).read_bytes(), size, source)
    if start != b"\x89HDF\r\n\x1a\n":
        raise FormatError(source, 0, f"neither .npz nor HDF5: begins with {start!r}")
    most = _MOST_UNPACKED + _MOST_PACKED * os.path.getsize(path)
    with opened(path) as file:
        place = file[group] if group else file
        found = {name: place.get(name) for name in _NAMES}
        arrays = {name: _dataset(name, array, most, source) for name, array in found.items() if array is not None}
    return _events(arrays, size, source)


def parse_npz(data: bytes, size: tuple[int, int] | None = None, source: str = "<bytes>") -> Events:
    """Return the events in the bytes of an .npz file; arguments and errors as for `read_events`.

    Memory is allocated for the bytes that are unpacked, not for the size that a header states.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            there = {entry.filename: entry for entry in archive.infolist()}
            arrays = {name: _member(archive, there[f"{name}.npy"]) for name in _NAMES if f"{name}.npy" in there}
    except _BROKEN as error:
        raise FormatError(source, 0, f"not an .npz archive, or damaged: {' '.join(str(error).split())}") from error
    return _events(arrays, size, source)


def _dataset(name, array, most, source):
    """Return an array of an HDF5 file, which must hold numbers of fixed size.

    The global heap, which holds lists, is never read, because damage there can send libhdf5 into an endless loop (see
    `hdf5_apart`). Arrays that are larger than the file can hold are refused before memory is allocated.
    """
    import h5py

    if not isinstance(array, h5py.Dataset) or array.ndim != 1:
        raise FormatError(source, 0, f"{name} must be an array [N]; found {array!r}")
    if array.dtype.kind not in "biu":
        raise FormatError(source, 0, f"{name} must hold whole numbers; found {array.dtype}")
    if array.size * array.dtype.itemsize > most:
        raise FormatError(source, 0, f"{name} states {array.size} numbers, more than a file of this size can hold")
    return array[()]


def _member(archive, entry):
    """Return an array of an archive, or raise ValueError if its header states more bytes than are unpacked."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{entry.filename}: version {version} of the array format cannot be read")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.kind not in "biu" or len(shape) != 1:
            raise ValueError(f"{entry.filename} must hold [N] whole numbers; found {dtype} {shape}")
        body = file.read(shape[0] * dtype.itemsize)
    if len(body) != shape[0] * dtype.itemsize:
        raise ValueError(f"{entry.filename} is truncated: expected {shape[0]} numbers, found {len(body)} bytes")
    return np.frombuffer(body, dtype)


def _events(arrays, size, source):
    for name in ("x", "y", "t"):
        if name not in arrays:
            raise FormatError(source, 0, f"no array {name!r}; events need x, y, t and, for sensors with polarity, p")
    n = len(arrays["x"])
    for name, array in arrays.items():
        if array.dtype.kind not in "biu":
            raise FormatError(source, 0, f"{name} must hold whole numbers; found {array.dtype}")
        if len(array) != n:
            raise FormatError(source, 0, f"{name} must be as long as x, {n}; found {len(array)}")
    x, y, t = (arrays[name] for name in ("x", "y", "t"))
    if t.dtype.kind == "u" and t.size and t.max() > _MOST_TIMES:
        raise FormatError(source, 0, f"t must be at most 2^62 microseconds; found {t.max()}")
    p = arrays.get("p")
    polarities = 1 if p is None else 2
    p = np.zeros(n, np.uint8) if p is None else _polarity(p, source)
    try:
        size = checked_size(size or (int(y.max(initial=0)) + 1, int(x.max(initial=0)) + 1), "read_events")
        return Events(x, y, t, p, size, polarities)
    except ValueError as error:
        raise FormatError(source, 0, str(error)) from error


def _polarity(p, source):
    """Return 0 and 1 for polarities that are 0 and 1, or -1 and 1."""
    bad = (p != 1) & (p != 0) & ((p != -1) if p.dtype.kind == "i" else True)
    if bad.any():
        k = int(np.argmax(bad))
        raise FormatError(source, 0, f"p must be 0 and 1, or -1 and 1; p[{k}] is {p[k]}")
    return (p == 1).astype(np.uint8)
