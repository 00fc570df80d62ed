"""IDX, the format of the MNIST files.

    byte 0, 1   zero
    byte 2      type code
    byte 3      number of dimensions D
    4 D bytes   sizes, uint32
    the rest    the numbers, last dimension fastest

All numbers are big endian. The files are often compressed with gzip, which is recognised by the first bytes, not by the
name. Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib

import numpy as np

from ...files import read_file
from ...validate import path_of
from .errors import FormatError, check_unpacked
from .header import need_bytes

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 32  # the limit of older versions of NumPy
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Return the array in an IDX file, compressed with gzip or not.

    Raises:
        OSError: the file cannot be read.
        FormatError: as for `parse_idx`.
    """
    return parse_idx(read_file(path_of("path", path)), source=os.fspath(path))


def parse_idx(data: bytes, source: str = "<bytes>") -> np.ndarray:
    """Return the array in the bytes of an IDX file, compressed with gzip or not.

    The array is new and writeable, in native byte order. Its dtype is uint8, int8, int16, int32, float32 or float64, as
    the file says. Memory is allocated only for bytes that are there, never for the size that the header states, and
    gzip is unpacked to at most one byte more than the header states, which may be at most 64 MiB and 32 times the
    packed bytes. A wrong size and a gzip bomb are therefore harmless.

    Args:
        data: content of the file.
        source: name of the data in errors.

    Raises:
        FormatError: the data are not exactly one complete IDX file: the magic number or the type is unknown, there are
            no dimensions or too many, a dimension has size 0, bytes are missing or left over, or the gzip data are
            damaged or a bomb.
    """
    need_bytes("parse_idx", data, source)
    stream = _Stream(data, source)

    magic = stream.take(4, "header")
    if magic[:2] != b"\0\0":
        raise FormatError(source, 0, f"wrong magic number: must begin with 00 00, found {magic[:2].hex(' ')}")
    code, rank = magic[2], magic[3]
    if code not in _DTYPES:
        known = ", ".join(f"0x{c:02x}" for c in _DTYPES)
        raise FormatError(source, 2, f"unknown type code 0x{code:02x}; known are {known}")
    if not 1 <= rank <= _MAX_DIMENSIONS:
        raise FormatError(source, 3, f"number of dimensions must be 1 to {_MAX_DIMENSIONS}, found {rank}")

    shape = struct.unpack(f">{rank}I", stream.take(4 * rank, "header"))
    if 0 in shape:
        axis = shape.index(0)
        raise FormatError(source, 4 + 4 * axis, f"dimension {axis} has size 0: the file holds no data")

    dtype = np.dtype(_DTYPES[code])
    size = math.prod(shape) * dtype.itemsize
    if stream.packed:
        check_unpacked(size, len(data), source, "the array", "unpack the file with gunzip first", 4 + 4 * rank)
    body = stream.take(size, f"body of shape {shape} {dtype.name}")
    stream.expect_end()
    # No other code uses these bytes, so they become the array without a copy if the byte order is native.
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


class _Stream:
    """Reads plain or gzip data piece by piece, and remembers the position for errors."""

    def __init__(self, data: bytes, source: str) -> None:
        self.packed = data[:2] == _GZIP_MAGIC
        plain = io.BytesIO(data)
        self._file: io.BufferedIOBase = gzip.GzipFile(fileobj=plain) if self.packed else plain
        self._source = source
        self._position = 0

    def take(self, n: int, what: str) -> bytearray:
        """Return the next n bytes, or raise FormatError if there are fewer."""
        # Piece by piece, because read(n) would allocate n bytes before it knows that they are there.
        out = bytearray()
        while len(out) < n and (chunk := self._read(min(n - len(out), _CHUNK))):
            out += chunk
        if len(out) < n:
            reason = f"truncated {what}: expected {n} bytes, found {len(out)}"
            raise FormatError(self._source, self._position, reason)
        return out

    def expect_end(self) -> None:
        """Raise FormatError if bytes are left. Reading past the end also makes gzip compare its checksum."""
        end = self._position
        if self._read(1):
            raise FormatError(self._source, end, f"trailing bytes: the data should end after {end} bytes")

    def _read(self, n: int) -> bytes:
        try:
            chunk = self._file.read(n)
        except (EOFError, OSError, zlib.error) as error:  # cut short; header or checksum; the packed data
            raise FormatError(self._source, self._position, f"corrupt gzip: {error}") from error
        self._position += len(chunk)
        return chunk
