"""IDX, the format of the MNIST files (LeCun, Cortes and Burges, "The MNIST database of handwritten digits").

    byte 0, 1   zero
    byte 2      type code
    byte 3      number of dimensions D
    4 D bytes   sizes, uint32
    the rest    the numbers, last dimension fastest

All numbers are big endian. The files are often kept gzipped; the first bytes tell, not the name.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from .errors import FormatError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 32  # what every NumPy can hold
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, gzipped or not. Raises OSError if it cannot be read, else as `parse_idx`."""
    return parse_idx(Path(path).read_bytes(), source=os.fspath(path))


def parse_idx(data: bytes, source: str = "<bytes>") -> np.ndarray:
    """The array in the bytes of an IDX file, gzipped or not: a new one, writeable, in native byte order.

    dtype: uint8, int8, int16, int32, float32 or float64, as the file says. source: what errors call the file.

    Raises `FormatError` for anything that is not exactly one whole IDX file: a wrong magic number, an unknown
    type, no dimension, one of size 0 or too many, missing bytes, bytes too many, broken gzip. Memory is taken
    for bytes that are there, never for what the header claims, and gzip is unpacked to at most one byte more
    than the header announces: neither a wild count nor a gzip bomb costs more than its own size.
    """
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
    body = stream.take(math.prod(shape) * dtype.itemsize, f"body of shape {shape} {dtype.name}")
    stream.expect_end()
    # The bytes are our own, so the bytes of a type that needs no swap become the array without a copy.
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


class _Stream:
    """Bytes one after another out of plain or gzipped data; keeps the position for the errors."""

    def __init__(self, data: bytes, source: str) -> None:
        packed = data[:2] == _GZIP_MAGIC
        plain = io.BytesIO(data)
        self._file: io.BufferedIOBase = gzip.GzipFile(fileobj=plain) if packed else plain
        self._source = source
        self._position = 0

    def take(self, n: int, what: str) -> bytearray:
        """The next n bytes, or FormatError: truncated."""
        # Chunk by chunk: one read(n) would ask for the n bytes of memory before a single one has been seen.
        out = bytearray()
        while len(out) < n and (chunk := self._read(min(n - len(out), _CHUNK))):
            out += chunk
        if len(out) < n:
            reason = f"truncated {what}: expected {n} bytes, found {len(out)}"
            raise FormatError(self._source, self._position, reason)
        return out

    def expect_end(self) -> None:
        """FormatError if a byte is left. Reading past the end also makes gzip compare its checksum."""
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
