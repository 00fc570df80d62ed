"""Stores: one compact HDF5 file per dataset, from which networks can be trained directly.

    attributes     format, kind ("pictures", "sequences" or "events"), name, source, classes (JSON), scale, size,
                   polarities
    /PART/y        [N] labels; PART is train, test or, if the publisher provides it, valid
    pictures       /PART/x        [N, H, W, C] or [N, F]; sequences have T as their second axis
    events         /PART/address  [M] (y * width + x) * polarities + p of all recordings, one after another
                   /PART/time     [M] microseconds since the recording's first event
                   /PART/offset   [N + 1] position of the first event of each recording, and M
                   /PART/start    [N] microseconds at the first event

A store with other targets than one class per sample, with lengths or with weights is of format 2, which adds:

    attributes     target ("class", "labels" or "values") and per_step
    /PART/y        [N, ...], or [N, T, ...] per step; -1 stands for a step without a label
    /PART/lengths  [N] steps of each sequence; this and the next array may be missing
    /PART/weights  [N] weights of the samples in a loss

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

from ..files import not_written, replacing
from ..names import choice
from ..validate import flag, path_of, positive, whole
from .events import checked_size
from .formats import FormatError
from .formats.hdf5 import local, opened
from .recordings import Recordings, pack
from .stored import EventArrays, SampleArrays, StoredSamples, found_array, read_rows
from .targets import TARGETS, checked_lengths, checked_targets, checked_weights

FORMAT = "numsnn data 1"
FORMATS = (FORMAT, "numsnn data 2")
KINDS = ("pictures", "sequences", "events")
PARTS = ("train", "valid", "test")
CHUNK_BYTES = 16384
"""Bytes per chunk of pictures. Chunks are small because a shuffled order reads a whole chunk for a single picture."""
CHUNK_EVENTS = 16384
FILTERS = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}
MEMORY = 256 << 20


class Store:
    """An open store: ``store["train"]`` or ``store.train`` is one of its parts.

    Parts are `numsnn.data.stored.StoredSamples` or `numsnn.data.Recordings`.
    """

    def __init__(self, file, path: str, memory: int) -> None:
        self._file, self.path, self._origin = file, path, (os.path.abspath(path), memory)
        self.about = _header(file, path)
        self.kind, self.name, self.source = (self.about[key] for key in ("kind", "name", "source"))
        self.classes = tuple(self.about["classes"])
        groups = {part: local(file, part, path) for part in PARTS if part in file}
        self.parts = {part: _part(group, self.about, path, memory) for part, group in groups.items()}
        if not self.parts:
            raise FormatError(path, None, f"the store holds none of the parts {', '.join(PARTS)}")

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
        return f"Store({self.name!r}: {self.kind}, {parts}; {next(iter(self.parts.values()))._described()})"

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
    path = path_of("open: path", path)
    whole("open: memory", memory, 0)
    source = os.fspath(path)
    with opened(path) as file:
        Store(file, source, memory)
    import h5py

    return Store(h5py.File(path, "r"), source, memory)


def _header(file, path):
    """Return the attributes after checking them."""
    found = file.attrs.get("format")
    if not isinstance(found, str) or found not in FORMATS:
        wanted = " or ".join(map(repr, FORMATS))
        raise FormatError(path, None, f"not a store of numsnn: its format is {found!r}, expected {wanted}")
    about = {key: value.item() if isinstance(value, np.generic) else value for key, value in file.attrs.items()}
    try:
        about["classes"] = json.loads(about["classes"])
        about["size"] = tuple(int(side) for side in about["size"])
        good = about["kind"] in KINDS and all(isinstance(name, str) for name in about["classes"])
        good = good and all(key in about for key in ("name", "source", "scale", "polarities"))
        about["target"], about["per_step"] = about.get("target", "class"), bool(about.get("per_step", False))
        good = good and about["target"] in TARGETS
        about["scale"] = positive("scale", float(about["scale"]))
        if about["kind"] == "events":
            about["size"] = checked_size(about["size"], "size")
            good = good and about["polarities"] in (1, 2)
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(path, None, f"the attributes of the store are damaged: {error!r}") from error
    if not good:
        raise FormatError(path, None, "the attributes of the store are damaged")
    return about


def _part(group, about, path, memory):
    """Return a part of a store after checking its targets."""
    y = read_rows(found_array(group, "y", path), slice(None), path)
    if not y.ndim or not len(y):
        raise FormatError(path, None, f"{group.name}/y must hold at least one label")
    events = about["kind"] == "events"
    arrays: Any = (EventArrays if events else SampleArrays)(group, about, path, memory)
    steps = arrays.sample_shape[0] if about["kind"] == "sequences" else None
    name, n = f"{about['name']} {group.name[1:]}", len(arrays)
    keys = [key for key in ("lengths", "weights") if key in group]
    more = {key: read_rows(found_array(group, key, path), slice(None), path) for key in keys}
    try:
        lengths = checked_lengths(more.get("lengths"), n, steps, group.name)
        weights = checked_weights(more.get("weights"), n, group.name)
        names = about["classes"] or None
        found = checked_targets(y, n, steps, names, about["target"], about["per_step"], f"{group.name}/y")
    except ValueError as error:
        raise FormatError(path, None, str(error)) from error
    if events:
        return Recordings.placed(arrays, found, name, weights)
    return StoredSamples(arrays, found, name, about["scale"], about["kind"] == "sequences", lengths, weights)


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
    target: str = "class",
    per_step: bool = False,
    more: bool = False,
) -> Iterator[Writer]:
    """Open a `Writer` of a new store. The new file replaces `path` when the block ends, and is removed if the block
    fails.

    Args:
        path, kind, name, classes, source, scale, size, polarities: as in the store.
        folder: folder in which the file is written. Default: the folder of `path`.
        target, per_step: what the targets are, as for `numsnn.data.Dataset`. Default: one class per sample.
        more: whether samples have lengths or weights. Default False.

    Raises:
        ValueError: an unknown kind or target, a scale that is not positive, or a size that is none.
        OSError: the file cannot be written, or the disk is full.
    """
    import h5py

    choice("store: kind", kind, KINDS)
    classes = list(map(str, classes))
    choice("store: target", target, TARGETS)
    scale = positive("store: scale", scale)
    extended = target != "class" or flag("store: per_step", per_step) or more
    if kind == "events":
        size = checked_size(size, "store")
        choice("store: polarities", polarities, (1, 2))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, folder) as temporary, open(temporary, "w+b", buffering=0) as raw:
        disk = _Disk(raw, path)
        file = h5py.File(disk, "w")
        file.attrs.update(
            {
                "format": FORMATS[extended],
                "kind": kind,
                "name": name,
                "classes": json.dumps(classes),
                "source": source,
                "scale": scale,
                "size": np.array(size, np.int64),
                "polarities": int(polarities),
            }
        )
        if extended:
            file.attrs.update({"target": target, "per_step": bool(per_step)})
        try:
            yield Writer(file, disk, classes, (kind, tuple(size), polarities), (target, bool(per_step)))
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
            raise not_written(self._path, self._error)

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

    def __init__(self, file, disk: _Disk, classes: list[str], form: tuple, targets: tuple[str, bool]) -> None:
        self._file, self._disk, self._classes = file, disk, classes
        self._kind, self._size, self._polarities = form
        self._target, self._per_step = targets
        self._label: Any = {"labels": np.uint8, "values": np.float32}.get(self._target)
        if self._label is None:  # with a sign if there is a number for "no label"
            self._label = np.min_scalar_type(-len(classes) if self._per_step else max(0, len(classes) - 1))

    def append(self, part: str, samples, labels, lengths=None, weights=None) -> None:
        """Add samples to a part.

        Args:
            part: "train", "valid" or "test".
            samples: an array ``[n, ...]``, or for events a list of `Events`.
            labels: ``[n, ...]`` targets.
            lengths, weights: ``[n]``, or None if no sample of the part has them.

        Raises:
            ValueError: an unknown part, different numbers of samples and labels, or targets as `numsnn.data.Dataset`
                refuses them.
        """
        choice("store: part", part, PARTS)
        if len(samples) != len(labels):
            raise ValueError(f"store: got {len(samples)} samples, but {len(labels)} labels")
        columns = {"x": np.asarray(samples)}
        if self._kind == "events":
            columns = pack(samples, self._size, self._polarities)
        self.append_packed(part, columns, labels)
        group = self._file[part]
        for name, column in (("lengths", lengths), ("weights", weights)):
            if column is not None:
                self._add(group, name, column, CHUNK_EVENTS)
        self._disk.check()

    def append_packed(self, part: str, columns: dict[str, np.ndarray], labels: np.ndarray) -> None:
        """Add samples in the form in which the store holds them: {"x": ...}, or for events the result of `pack`.

        Raises:
            ValueError: as for `append`.
        """
        if not len(labels):
            return
        names = self._classes or None
        labels = checked_targets(labels, len(labels), None, names, self._target, self._per_step, "store").y
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
        y = labels.astype(self._label)
        self._add(group, "y", y, CHUNK_EVENTS if y.ndim == 1 else max(1, CHUNK_BYTES // y[:1].nbytes))
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
