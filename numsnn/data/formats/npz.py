"""Events in NumPy's files: columns in an archive (.npz), or one array (.npy) that is structured or ``[N, C]``.

Files with pickled objects are refused, and memory is allocated for the bytes that there are, not for the size that a
header states. An archive that unpacks to far more than its size is refused before it is unpacked, and every array is
read to its end, where its checksum is compared.
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
from .errors import check_unpacked, content, damage
from .header import need_bytes

NPY = b"\x93NUMPY"
"""The first bytes of an .npy file."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END = struct.Struct("<4s4H2IH")
"""The end of an archive: mark, numbers of disks, entries on this disk and in all, size and place of the directory."""
_END_MARK = b"PK\x05\x06"
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
    archive, there = _opened(data, source)
    names = {"": next(iter(there))} if len(there) == 1 else {}
    if not names:
        with content(source):
            names = by_name(there, columns)
    found = _arrays(archive, {letter: there[name] for letter, name in names.items()}, data, source)
    with content(source):
        arrays = taken(found[""], columns) if "" in found else found
        return Events(**as_events(arrays, size, unit))


def parse_arrays(data: bytes, source: str = "<bytes>") -> dict[str, np.ndarray]:
    """Return all arrays in the bytes of an .npz file by name; errors as for `parse_npz`."""
    need_bytes("parse_arrays", data, source)
    archive, there = _opened(data, source)
    return _arrays(archive, there, data, source)


def _opened(data: bytes, source: str) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """Return an archive and its entries by the names of their arrays."""
    with damage(source, "an .npz archive", _BROKEN):
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
        there = {entry.filename.removesuffix(".npy"): entry for entry in entries}
        stated = _stated_entries(data)
        if stated != len(entries):  # zipfile leaves out entries, also the last column, if the directory's size is wrong
            raise ValueError(f"the directory names {len(entries)} files, and the end of the archive {stated}")
        if len(there) != len(entries):
            raise ValueError("two files of the archive have the same name")
        for entry in entries:
            if entry.compress_type not in _METHODS:
                raise ValueError(f"{entry.filename!r} is packed by method {entry.compress_type}; NumPy writes 0 or 8")
    return archive, there


def _stated_entries(data: bytes) -> int:
    """Return the number of entries that the end of an archive states."""
    place = len(data) - _END.size
    if data[place : place + 4] != _END_MARK or data[-2:] != b"\0\0":  # there is a comment behind it
        place = data.rfind(_END_MARK, max(0, len(data) - _END.size - 0xFFFF))
    count = _END.unpack_from(data, place)[4]
    if count < 0xFFFF:
        return count
    return struct.unpack_from("<Q", data, data.rindex(b"PK\x06\x06", 0, place) + 32)[0]


def _arrays(archive, entries, data, source) -> dict[str, np.ndarray]:
    """Return the arrays in these entries, by the keys of the entries."""
    total = sum(entry.file_size for entry in entries.values())
    check_unpacked(total, len(data), source, "the arrays", "save them with np.savez, which does not compress")
    found = {}
    with damage(source, "an .npz archive", _BROKEN):
        for key, entry in entries.items():
            with archive.open(entry) as file:
                found[key] = _array(file, entry.filename)
    return found


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
    if file.read(1):  # also makes zipfile compare its checksum
        raise ValueError(f"bytes are left over behind {name}, which has {n} numbers")
    flat = np.frombuffer(body, dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
