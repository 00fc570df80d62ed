"""Reading the arrays of a file by its index, without the HDF5 library."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import weakref
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np

from ..cores import available_cores
from .fletcher import fletcher32
from .form import MAGIC, SEAL, SEAL_BYTES, Damage, Entry, Index, digest, need_apart, unpacked_index

CACHE = 1 << 20
"""Bytes of unpacked pieces that an array keeps at most, for readers that come back to the same pieces."""
MANY = 64
"""Pieces that are unpacked on all cores when they are read at once."""
_BLOCK = 1 << 24


MOST_AT_ONCE = 1 << 30
"""Bytes that are asked of the system at once; macOS refuses 2 GiB."""


class Source:
    """The bytes of an open file, which several threads and forked processes may read at the same time. It has a
    descriptor of its own, which is closed when nothing refers to it any more."""

    def __init__(self, file: BinaryIO | io.RawIOBase) -> None:
        self.size = os.fstat(file.fileno()).st_size
        self._number: int | None = os.dup(file.fileno())
        self._lock = threading.Lock()
        self._end = weakref.finalize(self, os.close, self._number)

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes, or raise `Damage` if the file was closed or no longer has them."""
        parts = []
        while size > 0:
            if self._number is None:
                raise Damage("the file was closed")
            try:
                part = self._some(self._number, offset, size)
            except OSError as error:
                raise Damage(f"the file cannot be read: {error.strerror}") from error
            if not part:
                raise Damage("the file has become shorter")
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, number, offset, size):
        if hasattr(os, "pread"):
            return os.pread(number, min(size, MOST_AT_ONCE), offset)
        with self._lock:  # Windows
            os.lseek(number, offset, os.SEEK_SET)
            return os.read(number, size)

    def close(self) -> None:
        """Close the file. Nobody may be reading from it in another thread."""
        self._number = None
        self._end()


class ArrayFile:
    """An open file of named arrays: ``file["train/x"]`` is a `StoredArray`.

    Attributes:
        attributes: the attributes by name, as plain data.
        identity: digest of the index. Two files of one identity that have a seal hold the same.
        sealed: whether the file has a seal, so that every damage is found.
    """

    def __init__(self, source: Source, index: Index, identity: str, sealed: bool = True) -> None:
        self._source, self.attributes, self.identity = source, index.attributes, identity
        self.sealed = sealed
        self._arrays = {entry.name: StoredArray(source, entry, sealed) for entry in index.entries}

    def __getitem__(self, name: str) -> StoredArray:
        return self._arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def names(self) -> list[str]:
        """Return the names of all arrays."""
        return list(self._arrays)

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *exception) -> None:
        self.close()


class StoredArray:
    """An array of a file. ``array[first:last]`` reads rows, and ``array[()]`` or ``array[:]`` everything.

    Attributes:
        name, dtype, shape, ndim, nbytes: as those of an array in memory, and its name in the file.
    """

    def __init__(self, source: Source, entry: Entry, sealed: bool) -> None:
        self._source, self._entry, self._sealed = source, entry, sealed
        self.name, self.dtype, self.shape, self.nbytes = entry.name, entry.dtype, entry.shape, entry.nbytes
        self.ndim = len(self.shape)
        # A slot holds (number of a piece, its content) and is replaced as a whole, so that no thread needs a lock.
        slots = CACHE // entry.piece_bytes if entry.rows and entry.nbytes else 0
        self._cache: list[Any] = [None] * min(slots, len(entry.pieces))

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: slice | tuple[()]) -> np.ndarray:
        """Return a copy of some consecutive rows, or of everything.

        Raises:
            Damage: the bytes are not those that were written, or the file was closed.
        """
        if not self.ndim or not self._entry.rows:
            whole = self._whole()
            return whole if isinstance(rows, tuple) else whole[rows]
        first, last, _ = (slice(None) if isinstance(rows, tuple) else rows).indices(len(self))
        if not self.nbytes:
            return np.empty(self.shape, self.dtype)[first:last]
        return self._rows(first, max(first, last))

    def _whole(self):
        content = self._piece(0) if self.nbytes else b""
        return np.frombuffer(bytearray(content), self.dtype).reshape(self.shape)

    def _rows(self, first, last):
        height = self._entry.rows
        out = np.empty((last - first, *self.shape[1:]), self.dtype)

        def fill(k):
            low, high = max(first, k * height), min(last, (k + 1) * height)
            content = self._unpacked(k, keep=high - low < height)
            out[low - first : high - first] = content[low - k * height : high - k * height]

        pieces = range(first // height, -(-last // height) if last > first else first // height)
        if len(pieces) < MANY:
            for k in pieces:
                fill(k)
        else:  # zlib works without the interpreter's lock
            with ThreadPoolExecutor(available_cores(), thread_name_prefix="numsnn-read") as pool:
                for _ in pool.map(fill, pieces):
                    pass
        return out

    def _unpacked(self, k, keep):
        """Return piece k as an array ``[rows, ...]``; a piece that is read in part is kept for the next reader."""
        slot = k % len(self._cache) if self._cache else 0
        known = self._cache[slot] if self._cache else None
        if known is not None and known[0] == k:
            return known[1]
        content = np.frombuffer(self._piece(k), self.dtype).reshape(self._entry.rows, *self.shape[1:])
        if keep and self._cache:
            self._cache[slot] = k, content
        return content

    def _piece(self, k):
        """Return the bytes of a piece as they were before the filters."""
        entry, row = self._entry, self._entry.pieces[k]
        content: Any = self._source.read(int(row["offset"]), int(row["size"]))
        filters = entry.filters
        if "fletcher32" in filters:
            content, good = content[:-4], fletcher32(content[:-4]) == int.from_bytes(content[-4:], "little")
        else:
            good = not self._sealed or digest(content) == row["digest"].tobytes()
        if not good:
            raise Damage(f"{self.name} is damaged: bytes {row['offset']} to {row['offset'] + row['size']} have changed")
        if "deflate" in filters:
            content = self._inflated(content, entry.piece_bytes)
        return unshuffled(content, self.dtype.itemsize) if "shuffle" in filters else content

    def _inflated(self, content, size):
        engine = zlib.decompressobj(-zlib.MAX_WBITS)  # without zlib's own header and checksum
        try:
            raw = engine.decompress(memoryview(content)[2:], size + 1)
        except zlib.error as error:
            raise Damage(f"{self.name} is damaged: {error}") from error
        if len(raw) != size or not engine.eof or len(engine.unused_data) != 4:
            raise Damage(f"{self.name} is damaged: a piece must have {size} bytes before it was packed")
        return raw


def shuffled(content: np.ndarray) -> bytes:
    """Return the bytes of an array: the first bytes of all numbers, then their second bytes, and so on."""
    return content.reshape(-1).view(np.uint8).reshape(-1, content.dtype.itemsize).T.tobytes()


def unshuffled(content: bytes, itemsize: int):
    """Return bytes of numbers of this size in their order, which `shuffled` has changed."""
    if itemsize == 1:
        return content
    planes = np.frombuffer(content, np.uint8).reshape(itemsize, -1)
    kind = np.dtype(f"u{itemsize}")
    numbers = planes[0].astype(kind)
    for k in range(1, itemsize):  # faster than copying single bytes
        numbers |= planes[k].astype(kind) << kind.type(8 * k)
    return numbers.astype(kind.newbyteorder("<"), copy=False)


# --- opening ---


def open_sealed(source: Source) -> ArrayFile:
    """Return the arrays of a file, after its index and all bytes that belong to no array were verified.

    Raises:
        Damage: a byte of these is not the one that was written, or the index is impossible.
    """
    if source.size < SEAL_BYTES:
        raise Damage("it ends within its seal")
    seal = source.read(0, SEAL_BYTES)
    magic, offset, length, wanted = SEAL.unpack_from(seal)
    if magic != MAGIC or any(seal[SEAL.size :]):
        raise Damage("its seal is damaged")
    if not SEAL_BYTES <= offset <= source.size or length != source.size - offset:
        raise Damage("it was cut off, another program has written to it, or its seal is damaged")
    data = source.read(offset, length)
    if hashlib.sha256(data).digest() != wanted:
        raise Damage("its index is not the one that was written with the seal")
    index = unpacked_index(data, offset)
    borders = need_apart(index.entries, offset)
    if borders.size and borders[0, 0] < SEAL_BYTES:
        raise Damage("a piece of an array lies in the seal")
    if digest_of_rest(source, borders, offset) != index.rest:
        raise Damage("HDF5's own structures are not those that were written with the seal")
    return ArrayFile(source, index, wanted.hex())


def digest_of_rest(source: Source, borders: np.ndarray, end: int) -> str:
    """Return the SHA-256 of all bytes between the seal and `end` that belong to no piece; borders are those of
    `need_apart`."""
    rest = hashlib.sha256()
    starts, ends = np.append(SEAL_BYTES, borders[1]), np.append(borders[0], end)
    between = np.flatnonzero(ends > starts)
    for first, last in zip(starts[between].tolist(), ends[between].tolist(), strict=True):
        for place in range(first, last, _BLOCK):
            rest.update(source.read(place, min(_BLOCK, last - place)))
    return rest.hexdigest()
