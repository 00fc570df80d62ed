"""The parts of a store: labelled samples or recordings, which are read when they are needed."""

from __future__ import annotations

import os
import threading

import numpy as np
from numpy.typing import ArrayLike

from .batch import Batch
from .dataset import scaled
from .events import Events
from .formats import FormatError
from .formats.hdf5 import opened
from .frames import Frames
from .samples import Samples, checked_rows


class _Part(Samples):
    """Arrays in a file. If they are small enough, they are read into memory when the first sample is needed.

    A part can be copied and pickled. The copy holds no samples but opens the file again.
    """

    def __init__(self, group, about: dict, path: str, memory: int, names: tuple[str, ...]) -> None:
        self._path, self._lock = path, threading.Lock()
        self._origin = about, os.path.abspath(path), memory, group.name
        self._arrays = {}
        for name in (*names, "y"):
            if name not in group:
                raise FormatError(path, 0, f"the store has no array {group.name}/{name}")
            self._arrays[name] = group[name]
        self.name = f"{about['name']} {group.name[1:]}"
        self.classes = tuple(about["classes"])
        self.target, self.per_step, self.lengths, self.weights = "class", False, None, None
        self.y = self._read("y", slice(None)).astype(np.int64)
        self.y.flags.writeable = False
        if self.y.ndim != 1 or not len(self.y):
            raise FormatError(path, 0, f"{group.name}/y must hold at least one label")
        if self.y.min() < 0 or self.y.max() >= len(self.classes):
            raise FormatError(path, 0, f"{group.name}/y: labels must be in 0..{len(self.classes) - 1}")
        self._small = sum(self._arrays[name].nbytes for name in names) <= memory
        self._large = names

    def __reduce__(self):
        return _reopened, (type(self), *self._origin, self.y)

    @property
    def in_memory(self) -> bool:
        """Whether the part is small enough to be kept in memory."""
        return self._small

    def _array(self, name):
        """Return an array of the file, or its copy in memory."""
        if self._small and not isinstance(self._arrays[name], np.ndarray):
            with self._lock:
                for key in self._large:
                    if not isinstance(self._arrays[key], np.ndarray):
                        self._arrays[key] = self._read(key, slice(None))
        return self._arrays[name]

    def _read(self, name, rows):
        """Return rows of an array, or raise FormatError if its checksum does not match or its content is wrong."""
        array = self._arrays[name]
        try:
            found = array[rows]
        except (OSError, RuntimeError) as error:
            where = f"{array.name} is damaged or the file was closed: {' '.join(str(error).split())}"
            raise FormatError(self._path, 0, where) from error
        self._check(name, found, rows.start or 0)
        return found

    def _check(self, name, found, first=0) -> None:
        """Refuse wrong content of an array, of which these are the rows from `first` on; by default none is wrong."""


def _reopened(kind, about, path, memory, name, labels):
    """Open a part of a store again after it was copied or unpickled.

    Args:
        kind: class of the part.
        about, path, memory: arguments of the class.
        name: name of the part's group.
        labels: labels of the part when it was copied.

    Raises:
        OSError: the file does not exist any more.
        FormatError: the file is damaged or holds other labels.
    """
    import h5py

    with opened(path) as file:  # raises a FormatError that says what is wrong with the file
        kind(file[name], about, path, memory)
    part = kind(h5py.File(path, "r")[name], about, path, memory)
    if not np.array_equal(part.y, labels):
        raise FormatError(path, 0, f"{name}: the labels differ from those that the part had when it was copied")
    return part


class StoredSamples(_Part):
    """Pictures, feature vectors, or sequences in a store. Its use is that of `numsnn.data.Dataset`."""

    def __init__(self, group, about: dict, path: str, memory: int) -> None:
        super().__init__(group, about, path, memory, ("x",))
        self.scale, self.timed = float(about["scale"]), about["kind"] == "sequences"
        x = self._arrays["x"]
        if x.ndim < 2 or len(x) != len(self):
            raise FormatError(path, 0, f"{group.name}/x must be [{len(self)}, ...]; found {x.shape}")
        self.sample_shape = tuple(x.shape[1:])
        self.dtype = x.dtype

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.sample_shape))
        return f"StoredSamples({self.name!r}: {len(self)} samples of {shape} {self.dtype}, {self._described()})"

    def raw(self, indices: ArrayLike) -> np.ndarray:
        """Return the samples with these indices as they are stored, ``[n, *sample_shape]``."""
        return self._raw(checked_rows(indices, len(self), f"{self.name}: batch"))

    def _raw(self, rows):
        if isinstance(self._array("x"), np.ndarray):
            return self._array("x")[rows]
        out = np.empty((len(rows), *self.sample_shape), self.dtype)
        first = 0
        while first < len(rows):  # consecutive samples are read together
            last = first + 1
            while last < len(rows) and rows[last] == rows[last - 1] + 1:
                last += 1
            out[first:last] = self._read("x", slice(rows[first], rows[last - 1] + 1))
            first = last
        return out

    def batch(self, indices: ArrayLike) -> Batch:
        """Return the pair ``(x, y)`` of the samples with these indices, with their lengths and weights.

        Returns:
            x ``[n, *sample_shape]`` float32, or ``[T, n, ...]`` for sequences; and y as for `numsnn.data.Dataset`.
        """
        rows = checked_rows(indices, len(self), f"{self.name}: batch")
        x = self._raw(rows)
        return self._batch(scaled(x.swapaxes(0, 1) if self.timed else x, self.scale), rows)


class Recordings(_Part):
    """Recordings of an event sensor in a store. `RecordingsInMemory` holds recordings that come from no file."""

    def __init__(self, group, about: dict, path: str, memory: int) -> None:
        super().__init__(group, about, path, memory, ("address", "time"))
        self.size, self.polarities = tuple(about["size"]), int(about["polarities"])
        for name in ("offset", "start"):
            if name not in group:
                raise FormatError(path, 0, f"the store has no array {group.name}/{name}")
        self.offset, self.start = group["offset"][()], group["start"][()]
        total = len(self._arrays["address"])
        good = len(self.offset) == len(self) + 1 and len(self.start) == len(self) and len(self._arrays["time"]) == total
        if not good or self.offset[0] != 0 or self.offset[-1] != total or (np.diff(self.offset) < 0).any():
            raise FormatError(path, 0, f"{group.name}: offsets, labels and events do not belong together")

    def __repr__(self) -> str:
        height, width = self.size
        events = f"{int(self.offset[-1]):,} events on {width}x{height} pixels"
        return f"Recordings({self.name!r}: {len(self)} with {events}, {self._described()})"

    def counts(self) -> np.ndarray:
        """Return the number of events per recording, ``[N]``."""
        return np.diff(self.offset)

    def packed(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return address and time of the events of a recording, as the store holds them."""
        rows = slice(int(self.offset[index]), int(self.offset[index + 1]))
        address, time = self._array("address"), self._array("time")
        if isinstance(address, np.ndarray):
            address, time = address[rows], time[rows]
        else:
            address, time = self._read("address", rows), self._read("time", rows)
        return address, time

    def _check(self, name, found, first=0):
        if name != "address" or not len(found):
            return
        cells = self.size[0] * self.size[1] * self.polarities
        if found.max() >= cells:
            event = first + int(np.argmax(found >= cells))
            index = int(np.searchsorted(self.offset, event, side="right")) - 1
            raise FormatError(self._path, 0, f"{self.name}: recording {index} has an event outside the sensor")

    def events(self, index: int) -> Events:
        """Return the events of the recording with this index, 0 .. N - 1."""
        (index,) = checked_rows([index], len(self), f"{self.name}: events")
        address, time = self.packed(index)
        address = address.astype(np.int64)
        pixel, p = np.divmod(address, self.polarities)
        y, x = np.divmod(pixel, self.size[1])
        return Events(x, y, time.astype(np.int64) + self.start[index], p, self.size, self.polarities)

    def frames(self, steps: int = 10, **options) -> Frames:
        """Return the recordings as sequences of frames to train on. The options are those of `numsnn.data.Frames`."""
        return Frames(self, steps, **options)


class RecordingsInMemory(Recordings):
    """Recordings that come from no file."""

    def __init__(self, address, time, lengths, start, y, classes, size, polarities, name) -> None:
        offset = np.concatenate([[0], np.cumsum(lengths)])
        about = {"name": name, "classes": classes, "size": size, "polarities": polarities}
        arrays = {"address": address, "time": time, "offset": offset, "start": start, "y": np.asarray(y)}
        super().__init__(_Arrays(arrays), about, name, memory=0)
        self.name = name
        self._check("address", address)

    def __reduce__(self):
        columns = self._arrays["address"], self._arrays["time"], self.counts(), self.start
        return RecordingsInMemory, (*columns, self.y, self.classes, self.size, self.polarities, self.name)


class _Arrays(dict):
    """Arrays in memory with the interface of a group of a file."""

    name = "/memory"
