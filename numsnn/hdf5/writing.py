"""Writing sealed files: HDF5 by h5py, and then the index and the seal."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..files import not_written, replacing
from .form import DTYPES, LONGEST_NAME, MAGIC, PIECE, SEAL, SEAL_BYTES, Entry, Index, digest, need_apart, packed_index
from .reading import Source, digest_of_rest, shuffled

VERSION = ("v110", "v110")
"""The form of HDF5's structures: that of 1.10, which has checksums, whatever the version of the library."""
LEVEL = 4
"""How hard zlib compresses, from 1 (quick) to 9 (small)."""


@contextmanager
def sealing(
    path: str | os.PathLike[str], attributes: dict[str, Any], folder: str | os.PathLike[str] | None = None
) -> Iterator[SealedWriter]:
    """Open a `SealedWriter` of a new file, which replaces `path` when the block ends, and is removed if the block
    fails. The same content gives the same file, byte for byte.

    Args:
        path: the file.
        attributes: text, numbers, and lists of numbers or texts, by name.
        folder: folder in which the file is written. Default: the folder of `path`.

    Raises:
        OSError: the file cannot be written, or the disk is full; the message names it.
    """
    import h5py

    path = Path(path)
    by_user = False  # errors of the block are not about this file
    try:
        with replacing(path, folder) as temporary, open(temporary, "w+b", buffering=0) as raw:
            disk = _Disk(raw, path)
            file = h5py.File(disk, "w", libver=VERSION, userblock_size=SEAL_BYTES)
            try:
                writer = SealedWriter(file, disk)
                for name, value in attributes.items():
                    _set_attribute(file, name, value)
                by_user = True
                yield writer
                by_user = False
                entries = writer.entries()
            finally:
                try:
                    file.close()
                finally:
                    disk.check()  # also if HDF5 has failed, because it could not read what was not written
            _seal(raw, attributes, entries)
    except OSError as error:
        if by_user or isinstance(error, _Full):
            raise
        raise not_written(path, error) from error


def _seal(raw, attributes, entries):
    """Write the index behind HDF5's structures, and the seal in front of them."""
    source = Source(raw)
    try:
        for one in entries:
            _place(source, one)
        borders = need_apart(entries, source.size)
        index = packed_index(Index(attributes, entries, digest_of_rest(source, borders, source.size)))
    finally:
        source.close()  # an open file cannot be renamed on Windows
    seal = SEAL.pack(MAGIC, source.size, len(index), hashlib.sha256(index).digest())
    for place, content in ((source.size, index), (0, seal)):
        raw.seek(place)
        rest = memoryview(content)
        while rest.nbytes:
            rest = rest[raw.write(rest) :]


def _place(source, one):
    """Let the positions of pieces count from the start of the file. Some versions of the HDF5 library (1.14.2, for
    example) count from the end of the seal."""
    if not len(one.pieces):
        return
    first = one.pieces[0]
    for shift in (0, SEAL_BYTES):
        if digest(source.read(int(first["offset"]) + shift, int(first["size"]))) == first["digest"].tobytes():
            one.pieces["offset"] += shift
            return
    raise RuntimeError(f"the HDF5 library does not say where it has written {one.name!r}; update h5py")


def _set_attribute(file, name, value):
    """Write an attribute for other programs. Texts have a fixed length, because others may hang where damaged."""
    import h5py

    if isinstance(value, list) and not all(isinstance(one, int) for one in value):
        value = json.dumps(value)
    if isinstance(value, str):
        text = value.encode("utf-8", "replace")
        file.attrs.create(name, text, dtype=h5py.string_dtype("utf-8", max(1, len(text))))
    else:
        file.attrs.create(name, value)


class SealedWriter:
    """Writes the arrays of a sealed file."""

    def __init__(self, file, disk: _Disk) -> None:
        self._file, self._disk = file, disk
        self._whole: dict[str, Entry] = {}
        self._growing: dict[str, _Growing] = {}

    def put(self, name: str, array: np.ndarray) -> None:
        """Write an array as it is, in one piece."""
        array = np.asarray(array)
        array = np.asarray(array, _storable(name, array.dtype), order="C")
        stored = self._file.create_dataset(name, data=array.view(np.uint8) if array.dtype.kind == "b" else array)
        self._disk.check()
        pieces = np.zeros(int(array.size > 0), PIECE)
        if array.size:
            pieces[0] = stored.id.get_offset(), array.nbytes, digest(array.data)
        self._whole[name] = Entry(name, array.dtype, array.shape, 0, (), pieces)

    def append(self, name: str, values: np.ndarray, rows: int) -> None:
        """Add rows to an array that is divided into packed pieces. The first call determines its type and the shape of
        its rows.

        Args:
            name: name of the array.
            values: ``[n, ...]``.
            rows: rows per piece.
        """
        if name not in self._growing:
            self._growing[name] = _Growing(self._file, name, values, rows)
        self._growing[name].append(values)
        self._disk.check()

    def entries(self) -> list[Entry]:
        """Write the rows that fill no piece, and return the entries of all arrays."""
        return [*self._whole.values(), *(one.finished() for one in self._growing.values())]


def _storable(name, dtype):
    """Return the little-endian dtype of an array, or refuse a name or dtype that no file may have."""
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise ValueError(
            f"an array of a file must have a printable name of at most {LONGEST_NAME} letters; got {name!r}"
        )
    found = dtype.newbyteorder("<")
    if found not in DTYPES:
        raise TypeError(f"the array {name!r} must hold real numbers of at most 8 bytes; got {dtype}")
    return found


class _Growing:
    """An array to which rows are added."""

    def __init__(self, file, name, values, rows):
        self._dtype = _storable(name, values.dtype)
        self._row, self._rows, self._name = values.shape[1:], rows, name
        stored = np.dtype(np.uint8) if self._dtype.kind == "b" else self._dtype
        self._filters = ("shuffle", "deflate") if self._dtype.itemsize > 1 else ("deflate",)
        self._array = file.create_dataset(
            name,
            (0, *self._row),
            stored,
            maxshape=(None, *self._row),
            chunks=(rows, *self._row),
            shuffle=len(self._filters) > 1,
            compression="gzip",
            compression_opts=LEVEL,
        )
        self._waiting: list[np.ndarray] = []
        self._kept = self.length = 0
        self._digests: list[bytes] = []

    def append(self, values):
        if not len(values):
            return
        self._waiting.append(np.array(values, self._dtype, order="C"))
        self.length += len(values)
        self._kept += len(values)
        if self._kept >= self._rows:
            rest = np.concatenate(self._waiting)
            full = len(rest) - len(rest) % self._rows
            self._write(rest[:full])
            self._waiting, self._kept = [rest[full:].copy()], len(rest) - full

    def _write(self, values):
        """Write full pieces."""
        first = self._rows * len(self._digests)
        self._array.resize(min(first + len(values), self.length), axis=0)  # HDF5 would read a piece that it cuts
        for k in range(0, len(values), self._rows):
            piece = np.ascontiguousarray(values[k : k + self._rows])
            packed = zlib.compress(shuffled(piece) if len(self._filters) > 1 else piece.tobytes(), LEVEL)
            self._array.id.write_direct_chunk((first + k, *(0 for _ in self._row)), packed)
            self._digests.append(digest(packed))

    def finished(self):
        """Write the last rows, and return the entry."""
        if self._kept:
            rest = np.concatenate(self._waiting)
            padding = np.zeros((self._rows - len(rest), *self._row), self._dtype)
            self._write(np.concatenate([rest, padding]))
        pieces = np.zeros(len(self._digests), PIECE)
        if len(pieces):
            pieces["digest"] = self._digests

        def place(chunk):
            pieces["offset"][chunk.chunk_offset[0] // self._rows] = chunk.byte_offset
            pieces["size"][chunk.chunk_offset[0] // self._rows] = chunk.size

        self._array.id.chunk_iter(place)
        return Entry(self._name, self._dtype, (self.length, *self._row), self._rows, self._filters, pieces)


class _Full(OSError):
    """A write to the file failed; the message names it."""


class _Disk(io.RawIOBase):
    """The file that HDF5 writes to. HDF5 cannot handle a full disk: this class hides write errors from it until
    `check`.
    """

    def __init__(self, raw, path) -> None:
        self._raw, self._path = raw, path
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise the error that was hidden, if there is one."""
        if self.error is not None:
            raise _Full(*not_written(self._path, self.error).args)

    def write(self, content) -> int:
        rest = memoryview(content)
        try:
            while rest.nbytes:
                rest = rest[self._raw.write(rest) :]
        except OSError as error:
            self.error = self.error or error
            self._raw.seek(rest.nbytes, os.SEEK_CUR)
        return memoryview(content).nbytes

    def truncate(self, size=None) -> int:
        try:
            return self._raw.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size

    def readinto(self, buffer) -> int:
        """Read bytes; bytes that were never written are zeros."""
        view = memoryview(buffer)
        found = 0
        while found < view.nbytes and (more := self._raw.readinto(view[found:])):
            found += more
        view[found:] = bytes(view.nbytes - found)
        return view.nbytes

    def seek(self, offset, whence=os.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def flush(self) -> None:
        """Do nothing, because nothing is buffered here."""
