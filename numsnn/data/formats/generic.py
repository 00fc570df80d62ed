"""Events of one's own: four arrays x, y, t, p in a NumPy archive (.npz) or an HDF5 file.

    x, y   [N] whole numbers: column and row
    t      [N] whole numbers: microseconds
    p      [N] 0 and 1, or -1 and 1, or truth values: polarity; may be missing, then there is none

Files of pickled objects are refused.
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
"""Bytes into which deflate can unpack one."""
_MOST_UNPACKED = 1 << 26
"""Bytes that an array may have in any file, such as a polarity that is all the same, however well packed."""
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
"""What zipfile and NumPy raise for damaged archives."""


def read_events(path: str | os.PathLike[str], size: tuple[int, int] | None = None, group: str = "") -> Events:
    """The events in an .npz or HDF5 file; which of them it is, its first bytes tell.

    size: (height, width); default: as large as the events need. group: path of the arrays inside an HDF5 file. Raises
    OSError if the file cannot be read, `FormatError` if an array is missing or of another kind, the arrays differ in
    length, or an event lies outside the sensor.
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
    """The events in the bytes of an .npz file; arguments and errors as `read_events`.

    Memory is taken for bytes that unpack, never for what a header claims.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            there = {entry.filename: entry for entry in archive.infolist()}
            arrays = {name: _member(archive, there[f"{name}.npy"]) for name in _NAMES if f"{name}.npy" in there}
    except _BROKEN as error:
        raise FormatError(source, 0, f"not an .npz archive, or damaged: {' '.join(str(error).split())}") from error
    return _events(arrays, size, source)


def _dataset(name, array, most, source):
    """An array of an HDF5 file. Only numbers of fixed size are read: the global heap, where lists lie and where damage
    can trap libhdf5 (see `hdf5_apart`), is never touched; nor is memory taken for more than the file can hold."""
    import h5py

    if not isinstance(array, h5py.Dataset) or array.ndim != 1:
        raise FormatError(source, 0, f"{name} must be an array [N]; found {array!r}")
    if array.dtype.kind not in "biu":
        raise FormatError(source, 0, f"{name} must hold whole numbers; found {array.dtype}")
    if array.size * array.dtype.itemsize > most:
        raise FormatError(source, 0, f"{name} claims {array.size} numbers, more than a file of this size can hold")
    return array[()]


def _member(archive, entry):
    """An array of an archive, refused where its header claims more than the archive says it unpacks to."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{entry.filename}: version {version} of the array format")
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
            raise FormatError(source, 0, f"no array {name!r}; events are x, y, t and, where there is polarity, p")
    n = len(arrays["x"])
    for name, array in arrays.items():
        if array.dtype.kind not in "biu":
            raise FormatError(source, 0, f"{name} must hold whole numbers; found {array.dtype}")
        if len(array) != n:
            raise FormatError(source, 0, f"{name} must be as long as x, {n}; found {len(array)}")
    x, y, t = (arrays[name] for name in ("x", "y", "t"))
    if t.dtype.kind == "u" and t.size and t.max() > _MOST_TIMES:
        raise FormatError(source, 0, f"t must be microseconds up to 2^62; found {t.max()}")
    p = arrays.get("p")
    polarities = 1 if p is None else 2
    p = np.zeros(n, np.uint8) if p is None else _polarity(p, source)
    try:
        size = checked_size(size or (int(y.max(initial=0)) + 1, int(x.max(initial=0)) + 1), "read_events")
        return Events(x, y, t, p, size, polarities)
    except ValueError as error:
        raise FormatError(source, 0, str(error)) from error


def _polarity(p, source):
    """0 and 1 from 0 and 1, or from -1 and 1."""
    bad = (p != 1) & (p != 0) & ((p != -1) if p.dtype.kind == "i" else True)
    if bad.any():
        k = int(np.argmax(bad))
        raise FormatError(source, 0, f"p must be 0 and 1, or -1 and 1; p[{k}] is {p[k]}")
    return (p == 1).astype(np.uint8)
