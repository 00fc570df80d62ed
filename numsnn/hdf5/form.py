"""The form of a sealed file: where its arrays lie, and the digests by which every damage is found.

    0    512 bytes: the seal, in the place that HDF5 leaves to its user
         b"numsnn sealed 1" and a line feed, position and length of the index (uint64), SHA-256 of the index; then zeros
    512  HDF5: groups and arrays of fixed types, hard links only, and text attributes of fixed length
    ...  the index, up to the end of the file

The index is the length of its text (uint64), the text, and a table with one row per piece of an array: position and
length in the file (uint64), and the first 16 bytes of the SHA-256 of these bytes. The text is a JSON object:

    attributes   the attributes of the file, which HDF5's attributes repeat for other programs
    arrays       name, dtype, shape, rows, filters and number of pieces of every array
    rest         SHA-256 of all bytes between the seal and the index that belong to no piece: HDF5's own structures

Rows are the rows per piece, of which the last one may have too many. With 0 rows the array is one piece, or none if it
is empty. Filters are those of HDF5 that were applied to a piece, in this order: "shuffle", "deflate" and, in files of
earlier versions, "fletcher32". All numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from ..apart import Damage
from ..plain_json import parsed
from ..shown import shown

SEAL = struct.Struct("<16sQQ32s")
MAGIC = b"numsnn sealed 1\n"
SEAL_BYTES = 512
LENGTH = struct.Struct("<Q")
PIECE = np.dtype([("offset", "<u8"), ("size", "<u8"), ("digest", "V16")])
DTYPES = tuple(np.dtype(f"<{kind}") for kind in ("b1", "i1", "u1", *(f"{k}{n}" for n in (2, 4, 8) for k in "iuf")))
FILTERS: tuple[list[str], ...] = ([], ["deflate"], ["shuffle", "deflate"], ["shuffle", "deflate", "fletcher32"])

MOST_PACKED = 1032
"""Largest number of bytes into which deflate can unpack one byte."""
MOST_TEXT = 128 << 20
"""Bytes that the text of an index may have. As objects of Python they may take some twenty times as much memory."""
MOST_EXTENT = 1 << 62
MOST_AXES = 32
LONGEST_NAME = 1000


class Entry(NamedTuple):
    """An array of a file: its place in the index. `pieces` is an array of `PIECE`."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    rows: int
    filters: tuple[str, ...]
    pieces: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of the array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def piece_bytes(self) -> int:
        """Bytes of a piece before the filters."""
        return self.rows * math.prod(self.shape[1:]) * self.dtype.itemsize if self.rows else self.nbytes


class Index(NamedTuple):
    """The content of an index; `rest` is empty for a file without a seal."""

    attributes: dict[str, Any]
    entries: list[Entry]
    rest: str


def digest(content) -> bytes:
    """Return the digest of the bytes of a piece."""
    return hashlib.sha256(content).digest()[:16]


def packed_index(index: Index) -> bytes:
    """Return the bytes of an index.

    Raises:
        ValueError: its text becomes too long.
    """
    arrays = [
        {
            "name": one.name,
            "dtype": one.dtype.str,
            "shape": list(one.shape),
            "rows": one.rows,
            "filters": list(one.filters),
            "pieces": len(one.pieces),
        }
        for one in index.entries
    ]
    content = {"attributes": index.attributes, "arrays": arrays, "rest": index.rest}
    text = json.dumps(content, allow_nan=False).encode()
    if len(text) > MOST_TEXT:
        raise ValueError(f"the attributes take {len(text)} bytes as text; a file holds at most {MOST_TEXT}")
    return LENGTH.pack(len(text)) + text + b"".join(one.pieces.tobytes() for one in index.entries)


def unpacked_index(data: bytes, end: int) -> Index:
    """Return the content of an index after checking it against the size of its file.

    Args:
        data: the bytes of the index.
        end: position behind the last byte that a piece may have.

    Raises:
        Damage: the index has another form, or is impossible in a file of this size.
    """
    length = LENGTH.unpack_from(data)[0] if len(data) >= LENGTH.size else len(data)
    if length > min(MOST_TEXT, len(data) - LENGTH.size):
        raise Damage("its index has a wrong length, or is too long")
    start = LENGTH.size + length
    try:
        content = parsed(data[LENGTH.size : start].decode("ascii", "replace"), strict=True)
    except ValueError as error:
        raise Damage(f"its index is {error}") from None
    if not isinstance(content, dict) or content.keys() != {"attributes", "arrays", "rest"}:
        raise Damage("its index must hold attributes, arrays and rest")
    attributes, arrays, rest = content["attributes"], content["arrays"], content["rest"]
    if not isinstance(attributes, dict) or not isinstance(arrays, list) or not isinstance(rest, str):
        raise Damage("its index must hold attributes, arrays and rest")
    if (len(data) - start) % PIECE.itemsize:
        raise Damage("the table of its index has a wrong length")
    table = np.frombuffer(data, PIECE, offset=start)
    entries, first = [], 0
    for one in arrays:
        if not isinstance(one, dict) or one.keys() != {"name", "dtype", "shape", "rows", "filters", "pieces"}:
            raise Damage("an array of its index must have a name, dtype, shape, rows, filters and pieces")
        pieces = one.pop("pieces")
        if not _whole(pieces) or pieces > len(table) - first:
            raise Damage(f"its index states {pieces!r} pieces of an array, more than its table has")
        entries.append(entry(**one, pieces=table[first : first + pieces]))
        first += pieces
    if first != len(table):
        raise Damage("the table of its index has pieces that belong to no array")
    need_apart(entries, end)
    return Index(attributes, entries, rest)


def entry(name, dtype, shape, rows, filters, pieces: np.ndarray) -> Entry:
    """Return an entry of an index after checking that it is possible.

    Raises:
        Damage: it is not.
    """
    if not isinstance(name, str) or not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Damage(
            f"an array has the name {shown(name, 80)}; a name is printable and has at most {LONGEST_NAME} letters"
        )
    known = {kind.str: kind for kind in DTYPES}
    if not isinstance(dtype, str) or dtype not in known:
        raise Damage(f"{name} has the dtype {shown(dtype, 80)}; expected real numbers, little-endian")
    good = isinstance(shape, list) and len(shape) <= MOST_AXES and all(_whole(extent) for extent in shape)
    if not good or math.prod(shape) * 8 > MOST_EXTENT:
        raise Damage(f"{name} has the shape {shown(shape, 80)}")
    if filters not in FILTERS:
        raise Damage(f"{name} has the filters {shown(filters, 80)}")
    if not _whole(rows) or (rows and not shape) or (filters and not rows):
        raise Damage(f"{name} has {shown(rows, 80)} rows per piece, with shape {tuple(shape)}")
    found = Entry(name, known[dtype], tuple(shape), rows, tuple(filters), pieces)
    wanted = int(found.nbytes > 0)
    if rows:
        wanted = -(-shape[0] // rows) if found.nbytes else 0
    if len(pieces) != wanted:
        raise Damage(f"{name} must have {wanted} pieces; found {len(pieces)}")
    if not len(pieces):
        return found
    least = int(pieces["size"].min())
    if filters and found.piece_bytes > MOST_PACKED * (least + 8):
        raise Damage(f"{name} states {found.piece_bytes} bytes per piece, more than {least} bytes can be unpacked to")
    if not filters and (pieces["size"] != found.piece_bytes).any():
        raise Damage(f"{name} must have {found.piece_bytes} bytes per piece; found {least}")
    return found


def need_apart(entries: list[Entry], end: int) -> np.ndarray:
    """Return the first and last position of all pieces ``[2, P]``, sorted, or raise `Damage` if a piece lies outside
    the file or overlaps another one, or two arrays have the same name."""
    names = Counter(one.name for one in entries)
    if len(names) < len(entries):
        raise Damage(f"two arrays have the name {names.most_common(1)[0][0]!r}")
    pieces = np.concatenate([np.empty(0, PIECE), *(one.pieces for one in entries)])
    first, size = pieces["offset"], pieces["size"]
    if (first > end).any() or (size > end - np.minimum(first, end)).any():
        raise Damage("a piece of an array lies outside the file")
    order = np.argsort(first, kind="stable")
    first, last = first[order].astype(np.int64), (first + size)[order].astype(np.int64)
    if (first[1:] < last[:-1]).any():
        raise Damage("two pieces of arrays overlap")
    return np.stack([first, last])


# --- JSON ---


def _whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_EXTENT
