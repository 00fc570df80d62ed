"""Stores: one compact HDF5 file per dataset, from which networks can be trained directly.

    attributes     format, kind ("pictures", "sequences" or "events"), name, source, classes (JSON), scale, size,
                   polarities
    /PART/y        [N] labels; PART is train, test or, if the publisher provides it, valid
    pictures       /PART/x        [N, H, W, C] or [N, F]; sequences have T as their second axis
    events         /PART/address  [M] (y * width + x) * polarities + p of all recordings, one after another
                   /PART/time     [M] microseconds since the recording's first event
                   /PART/offset   [N + 1] position of the first event of each recording, and M
                   /PART/start    [N] microseconds at the first event

Integers have the smallest type that can hold them. Arrays are divided into chunks, and HDF5's own filters, which every
HDF5 library can read, shuffle their bytes, compress them and add checksums. The same samples give the same file, byte
for byte.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..files import replacing
from ..names import choice
from .events import Events
from .formats import FormatError
from .formats.hdf5 import opened
from .stored import Recordings, StoredSamples

FORMAT = "numsnn data 1"
KINDS = ("pictures", "sequences", "events")
PARTS = ("train", "valid", "test")
CHUNK_BYTES = 16384
"""Bytes per chunk of pictures. Chunks are small because a shuffled order reads a whole chunk for a single picture."""
CHUNK_EVENTS = 16384
FILTERS = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}
LONGEST = 2**32 - 1
"""Longest duration of a recording in microseconds (71 minutes), because times are stored as uint32."""
MEMORY = 256 << 20


class Store:
    """An open store: ``store["train"]`` or ``store.train`` is one of its parts.

    Parts are `numsnn.data.stored.StoredSamples` or `numsnn.data.stored.Recordings`.
    """

    def __init__(self, file, path: str, memory: int) -> None:
        self._file, self.path, self._origin = file, path, (os.path.abspath(path), memory)
        self.about = _header(file, path)
        self.kind, self.name, self.source = (self.about[key] for key in ("kind", "name", "source"))
        self.classes = tuple(self.about["classes"])
        maker: Any = Recordings if self.kind == "events" else StoredSamples
        self.parts = {part: maker(file[part], self.about, path, memory) for part in PARTS if part in file}
        if not self.parts:
            raise FormatError(path, 0, f"the store holds none of the parts {', '.join(PARTS)}")

    def __getitem__(self, part: str):
        if part not in self.parts:
            raise KeyError(f"{self.path} has no part {part!r}; its parts are {', '.join(self.parts)}")
        return self.parts[part]

    def __getattr__(self, part: str):
        if part in PARTS and part in self.__dict__.get("parts", {}):
            return self.parts[part]
        raise AttributeError(f"{type(self).__name__} has no attribute or part {part!r}")

    def __repr__(self) -> str:
        parts = ", ".join(f"{part} {len(samples)}" for part, samples in self.parts.items())
        return f"Store({self.name!r}: {self.kind}, {parts}; {len(self.classes)} classes)"

    def __reduce__(self):
        return open_store, self._origin

    def close(self) -> None:
        """Close the file. Parts that are in memory can still be used."""
        self._file.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def open_store(path: str | os.PathLike[str], memory: int = MEMORY) -> Store:
    """Open a store.

    Args:
        path: path of the file.
        memory: number of bytes; a part that takes at most this number is read at its first use and kept in memory,
            larger parts are read from the file sample by sample. Default 256 MiB.

    Raises:
        OSError: the file does not exist or cannot be read.
        FormatError: the file is not a store, or is damaged.
    """
    source = os.fspath(path)
    with opened(path) as file:
        Store(file, source, memory)
    import h5py

    return Store(h5py.File(path, "r"), source, memory)


def _header(file, path):
    """Return the attributes after checking them."""
    if file.attrs.get("format") != FORMAT:
        found = file.attrs.get("format")
        raise FormatError(path, 0, f"not a store of numsnn: its format is {found!r}, expected {FORMAT!r}")
    about = {key: value.item() if isinstance(value, np.generic) else value for key, value in file.attrs.items()}
    try:
        about["classes"] = json.loads(about["classes"])
        about["size"] = tuple(int(side) for side in about["size"])
        good = about["kind"] in KINDS and all(isinstance(name, str) for name in about["classes"])
        good = good and all(key in about for key in ("name", "source", "scale", "polarities"))
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(path, 0, f"the attributes of the store are damaged: {error!r}") from error
    if not good:
        raise FormatError(path, 0, "the attributes of the store are damaged")
    return about


# --- writing ---


@contextmanager
def writing(
    path: str | os.PathLike[str],
    kind: str,
    name: str,
    classes: Iterable[str],
    source: str = "",
    scale: float = 1.0,
    size: tuple[int, int] = (0, 0),
    polarities: int = 2,
    folder: str | os.PathLike[str] | None = None,
) -> Iterator[Writer]:
    """Open a `Writer` of a new store. The new file replaces `path` when the block ends, and is removed if the block
    fails.

    Args:
        path, kind, name, classes, source, scale, size, polarities: as in the store.
        folder: folder in which the file is written. Default: the folder of `path`.

    Raises:
        ValueError: an unknown kind.
        OSError: the file cannot be written, or the disk is full.
    """
    import h5py

    choice("store: kind", kind, KINDS)
    classes = list(map(str, classes))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, folder) as temporary, open(temporary, "w+b", buffering=0) as raw:
        disk = _Disk(raw, path)
        file = h5py.File(disk, "w")
        file.attrs.update(
            {
                "format": FORMAT,
                "kind": kind,
                "name": name,
                "classes": json.dumps(classes),
                "source": source,
                "scale": float(scale),
                "size": np.array(size, np.int64),
                "polarities": int(polarities),
            }
        )
        try:
            yield Writer(file, disk, len(classes), (kind, tuple(size), polarities))
        finally:
            file.close()
        disk.check()


class _Disk(io.RawIOBase):
    """The file that HDF5 writes to. HDF5 cannot handle a full disk: this class hides write errors from it until
    `check`.
    """

    def __init__(self, raw, path) -> None:
        self._raw, self._path = raw, path
        self._error: OSError | None = None

    def check(self) -> None:
        if self._error is not None:
            reason = os.strerror(self._error.errno) if self._error.errno else str(self._error)
            raise OSError(self._error.errno, f"{self._path} was not written: {reason}")

    def write(self, content) -> int:
        rest = memoryview(content)
        try:
            while rest.nbytes:
                rest = rest[self._raw.write(rest) :]
        except OSError as error:
            self._error = self._error or error
            self._raw.seek(rest.nbytes, os.SEEK_CUR)
        return memoryview(content).nbytes

    def truncate(self, size=None) -> int:
        try:
            return self._raw.truncate(size)
        except OSError as error:
            self._error = self._error or error
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


class Writer:
    """Writes a store, some samples at a time."""

    def __init__(self, file, disk: _Disk, classes: int, form: tuple) -> None:
        self._file, self._disk, self._classes = file, disk, classes
        self._kind, self._size, self._polarities = form
        self._label = np.min_scalar_type(max(0, classes - 1))

    def append(self, part: str, samples, labels) -> None:
        """Add samples to a part.

        Args:
            part: "train", "valid" or "test".
            samples: an array ``[n, ...]``, or for events a list of `Events`.
            labels: ``[n]`` whole numbers.

        Raises:
            ValueError: an unknown part, different numbers of samples and labels, or a label out of range.
        """
        choice("store: part", part, PARTS)
        labels = np.asarray(labels)
        if len(samples) != len(labels):
            raise ValueError(f"store: got {len(samples)} samples, but {len(labels)} labels")
        if len(labels) and (labels.min() < 0 or labels.max() >= self._classes):
            raise ValueError(f"store: labels must be in 0..{self._classes - 1}; got {labels.min()} to {labels.max()}")
        columns = {"x": np.asarray(samples)}
        if self._kind == "events":
            columns = pack(samples, self._size, self._polarities)
        self.append_packed(part, columns, labels)

    def append_packed(self, part: str, columns: dict[str, np.ndarray], labels: np.ndarray) -> None:
        """Add samples in the form in which the store holds them: {"x": ...}, or for events the result of `pack`."""
        group = self._file.require_group(part)
        if self._kind == "events":
            first = "offset" not in group
            ends = np.cumsum(columns["lengths"]) + (0 if first else group["offset"][-1])
            self._add(group, "offset", np.concatenate([[0], ends]).astype(np.int64) if first else ends, CHUNK_EVENTS)
            for name in ("address", "time", "start"):
                self._add(group, name, columns[name], CHUNK_EVENTS)
        else:
            x = columns["x"]
            self._add(group, "x", x, max(1, CHUNK_BYTES // max(1, x[:1].nbytes)))
        self._add(group, "y", labels.astype(self._label), CHUNK_EVENTS)
        self._disk.check()

    @staticmethod
    def _add(group, name, values, rows):
        if name not in group:
            shape = (0, *values.shape[1:])
            limit = (None, *values.shape[1:])
            group.create_dataset(name, shape, values.dtype, maxshape=limit, chunks=(rows, *shape[1:]), **FILTERS)
        array = group[name]
        first = len(array)
        array.resize(first + len(values), axis=0)
        if len(values):
            array[first:] = values


def pack(recordings: Iterable[Events], size: tuple[int, int], polarities: int) -> dict[str, np.ndarray]:
    """Return recordings as the store holds them: "address" and "time" ``[M]``, "lengths" and "start" ``[n]``."""
    kind = np.min_scalar_type(size[0] * size[1] * polarities - 1)
    addresses, times, lengths, start = [np.empty(0, kind)], [np.empty(0, np.uint32)], [], []
    for k, events in enumerate(recordings):
        if events.size != tuple(size) or events.polarities != polarities:
            found, wanted = (
                f"size {s}, polarities {p}" for s, p in ((events.size, events.polarities), (size, polarities))
            )
            raise ValueError(f"store: recording {k} has {found}; expected {wanted}")
        if events.duration > LONGEST:
            raise ValueError(f"store: recording {k} lasts {events.duration} us; at most {LONGEST} us can be stored")
        begin = int(events.t[0]) if len(events) else 0
        address = (events.y.astype(np.int64) * size[1] + events.x) * polarities + events.p
        addresses.append(address.astype(kind))
        times.append((events.t - begin).astype(np.uint32))
        lengths.append(len(events))
        start.append(begin)
    columns = {"address": np.concatenate(addresses), "time": np.concatenate(times)}
    return columns | {"lengths": np.array(lengths, np.int64), "start": np.array(start, np.int64)}


def save(path: str | os.PathLike[str], name: str = "data", source: str = "", **parts) -> None:
    """Write datasets as the parts of a store: ``save("mine.h5", train=train, test=test)``.

    Args:
        path: path of the file, which is replaced if it exists.
        name: name of the dataset. Default "data".
        source: where the data come from. Default "".
        parts: one or more of train, valid and test, each a `numsnn.data.Dataset`, all with the same classes, scale,
            kind and shape of samples.

    Raises:
        ValueError: no part is given, a part is unknown, or the parts differ.
        OSError: the file cannot be written.
    """
    if not parts:
        raise ValueError("save: give at least one part, for example train=dataset")
    first = next(iter(parts.values()))
    alike = ("classes", "scale", "timed", "sample_shape")
    for part, data in parts.items():
        for key in alike:
            if getattr(data, key) != getattr(first, key):
                ours, theirs = getattr(data, key), getattr(first, key)
                raise ValueError(f"save: all parts need the same {key}; {part} has {ours!r}, the first has {theirs!r}")
    kind = "sequences" if first.timed else "pictures"
    with writing(path, kind, name, first.classes, source, first.scale) as writer:
        for part in sorted(parts, key=PARTS.index):
            writer.append(part, parts[part].x, parts[part].y)
