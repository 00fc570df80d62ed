"""Arrays in a file, which are read when they are needed, and the datasets whose samples lie in them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..hdf5 import ArrayFile, Damage, StoredArray, opened
from ..validate import LARGEST_WHOLE
from .batch import Batch
from .dataset import scaled
from .formats import FormatError
from .samples import Samples, checked_rows
from .targets import Targets

# --- arrays ---


class Arrays:
    """Arrays of one part of a file. If they are small enough, they are read into memory when the first one is needed.

    They can be copied and pickled. The copy holds no samples but opens the file again.

    Args:
        group: a `Group`, or another mapping of names to arrays with a `name`.
        about: attributes of the store.
        path: path of the file, which begins error messages.
        memory: number of bytes up to which the arrays are kept in memory.
        names: names of the arrays with the samples, which `memory` limits.
    """

    def __init__(self, group, about: dict, path: str, memory: int, names: tuple[str, ...]) -> None:
        self._path, self._lock = path, threading.Lock()
        self._origin = about, os.path.abspath(path), memory, group.name
        self._arrays = {name: found_array(group, name, path) for name in names}
        self._large = names
        self.name = f"{about['name']} {group.name[1:]}"
        self.in_memory = sum(array.nbytes for array in self._arrays.values()) <= memory
        self._identity = group.identity

    def __reduce__(self) -> Any:
        return _reopened, (type(self), *self._origin, self._identity)

    def __len__(self) -> int:
        """Number of samples."""
        raise NotImplementedError

    def _array(self, name):
        """Return an array of the file, or its copy in memory."""
        if self.in_memory and not isinstance(self._arrays[name], np.ndarray):
            with self._lock:
                for key in self._large:
                    if not isinstance(self._arrays[key], np.ndarray):
                        self._arrays[key] = self._read(key, slice(None))
        return self._arrays[name]

    def _read(self, name, rows):
        """Return rows of an array, or raise FormatError if it is damaged or its content is wrong."""
        found = read_rows(self._arrays[name], rows, self._path)
        self._check(name, found, rows.start or 0)
        return found

    def _check(self, name, found, first=0) -> None:
        """Refuse wrong content of an array, of which these are the rows from `first` on; by default none is wrong."""


class Group:
    """The arrays of one part of a store by their short names.

    Attributes:
        name: "/train", for example.
        identity: that of the file.
    """

    def __init__(self, file: ArrayFile, part: str) -> None:
        self._file, self.name, self.identity = file, f"/{part}", file.identity

    def __contains__(self, name: str) -> bool:
        return f"{self.name[1:]}/{name}" in self._file

    def __getitem__(self, name: str) -> StoredArray:
        return self._file[f"{self.name[1:]}/{name}"]


def found_array(group, name: str, path: str):
    """Return an array of a part, or raise FormatError if it is missing."""
    if name not in group:
        raise FormatError(path, None, f"the store has no array {group.name}/{name}")
    return group[name]


def read_rows(array, rows: slice, path: str) -> np.ndarray:
    """Return rows of an array of a file, or raise FormatError if they are damaged."""
    with undamaged(path):
        return array[rows]


@contextmanager
def undamaged(path: str) -> Iterator[None]:
    """Turn the `Damage` that is found in a file into a FormatError that names it."""
    try:
        yield
    except Damage as error:
        raise FormatError(path, None, str(error)) from error


def _reopened(kind, about, path, memory, name, identity):
    """Open arrays of a store again after they were copied or unpickled.

    Args:
        kind: class of the arrays.
        about, path, memory: arguments of the class.
        name: name of the part's group.
        identity: that of the file when they were copied.

    Raises:
        OSError: the file does not exist any more.
        FormatError: the file is damaged or is another one.
    """
    with undamaged(path):
        file = opened(path)
    if file.identity != identity:
        file.close()
        raise FormatError(path, None, f"{name}: the file is not the one that the part had when it was copied")
    return kind(Group(file, name[1:]), about, path, memory)


class SampleArrays(Arrays):
    """Pictures, feature vectors or sequences, one row each."""

    def __init__(self, group, about: dict, path: str, memory: int) -> None:
        super().__init__(group, about, path, memory, ("x",))
        x = self._arrays["x"]
        if x.ndim < 2 or (about["kind"] == "sequences" and x.ndim < 3) or x.dtype.kind not in "biuf":
            raise FormatError(path, None, f"{group.name}/x must be [N, ...] real numbers; found {x.shape} {x.dtype}")
        self.sample_shape, self.dtype = tuple(x.shape[1:]), x.dtype
        self._scale = about.get("scale", 1.0)
        largest = np.float64(np.iinfo(x.dtype).max if x.dtype.kind in "iu" else 1)
        if largest * self._scale > np.finfo(np.float32).max:
            reason = f"the scale {self._scale} makes samples of {x.dtype} larger than float32 can hold"
            raise FormatError(path, None, reason)

    def _check(self, name, found, first=0):
        if found.dtype.kind != "f":
            return
        good = np.isfinite(found)
        if good.all() and (self._scale > 1 or found.dtype == np.float64):
            with np.errstate(over="ignore"):
                good = np.isfinite(scaled(found, self._scale))
        if not good.all():
            place = tuple(np.argwhere(~good)[0])
            times = "" if self._scale == 1 else f", which is multiplied by {self._scale}"
            raise FormatError(self._path, None, f"{self.name}: sample {first + place[0]} holds {found[place]!s}{times}")

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._arrays["x"])

    def raw(self, rows: np.ndarray) -> np.ndarray:
        """Return samples as they are stored, ``[n, *sample_shape]``."""
        x = self._array("x")
        if isinstance(x, np.ndarray):
            return x[rows]
        out = np.empty((len(rows), *self.sample_shape), self.dtype)
        first = 0
        while first < len(rows):  # consecutive samples are read together
            last = first + 1
            while last < len(rows) and rows[last] == rows[last - 1] + 1:
                last += 1
            out[first:last] = self._read("x", slice(int(rows[first]), int(rows[last - 1]) + 1))
            first = last
        return out


class EventArrays(Arrays):
    """Events of recordings, one recording after another."""

    def __init__(self, group, about: dict, path: str, memory: int) -> None:
        super().__init__(group, about, path, memory, ("address", "time"))
        self.size, self.polarities = tuple(about["size"]), int(about["polarities"])
        self.offset, self.start = (
            read_rows(found_array(group, name, path), slice(None), path) for name in ("offset", "start")
        )
        total = len(self._arrays["address"])
        columns = (self.offset, self.start, *self._arrays.values())
        if any(column.dtype.kind not in "iu" or column.ndim != 1 for column in columns):
            raise FormatError(path, None, f"{group.name}: address, time, offset and start must hold [N] whole numbers")
        if self.start.dtype.kind == "u" and len(self.start) and self.start.max() > LARGEST_WHOLE:
            raise FormatError(path, None, f"{group.name}: start must be less than 2^63 us; found {self.start.max()}")
        self.offset = self.offset.astype(np.int64)  # differences of numbers without a sign are never negative
        good = len(self.offset) == len(self.start) + 1 and len(self._arrays["time"]) == total
        if not good or self.offset[0] != 0 or self.offset[-1] != total or (np.diff(self.offset) < 0).any():
            raise FormatError(path, None, f"{group.name}: offsets and events do not belong together")

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self.start)

    def packed(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return address and time of the events of a recording, as the store holds them."""
        rows = slice(int(self.offset[index]), int(self.offset[index + 1]))
        address, time = self._array("address"), self._array("time")
        if isinstance(address, np.ndarray):
            return address[rows], time[rows]
        return self._read("address", rows), self._read("time", rows)

    def duration(self, index: int) -> int:
        """Return the microseconds from the first event of a recording to the last."""
        end = int(self.offset[index + 1])
        if end == self.offset[index]:
            return 0
        time = self._array("time")
        rows = slice(end - 1, end)
        return int(time[end - 1] if isinstance(time, np.ndarray) else self._read("time", rows)[0])

    def _check(self, name, found, first=0):
        if name == "time" and found.dtype.kind == "u" and len(found) and found.max() > LARGEST_WHOLE:
            raise FormatError(self._path, None, f"{self.name}: time must be less than 2^63 us; found {found.max()}")
        if name == "time" and (found[1:] < found[:-1]).any():
            back = first + 1 + np.flatnonzero(found[1:] < found[:-1])
            wrong = back[~np.isin(back, self.offset)]
            if wrong.size:
                index = int(np.searchsorted(self.offset, wrong[0], side="right")) - 1
                raise FormatError(self._path, None, f"{self.name}: recording {index} has times that are not sorted")
        if name != "address" or not len(found):
            return
        cells = self.size[0] * self.size[1] * self.polarities
        if found.max() >= cells or (found.dtype.kind == "i" and found.min() < 0):
            event = first + int(np.argmax((found >= cells) | (found < 0)))
            index = int(np.searchsorted(self.offset, event, side="right")) - 1
            raise FormatError(self._path, None, f"{self.name}: recording {index} has an event outside the sensor")


class EventsInMemory(EventArrays):
    """Events of recordings that come from no file.

    Args:
        columns: "address", "time", "lengths" and "start", as `numsnn.data.recordings.pack` returns them.
        size, polarities: of the sensor.
        name: name of the recordings in errors.
    """

    def __init__(self, columns: dict[str, np.ndarray], size: tuple[int, int], polarities: int, name: str) -> None:
        self._columns = columns, size, polarities, name
        arrays = {key: columns[key] for key in ("address", "time", "start")}
        arrays["offset"] = np.concatenate([[0], np.cumsum(columns["lengths"])])
        super().__init__(_Group(arrays), {"name": name, "size": size, "polarities": polarities}, name, memory=0)
        self.in_memory = True
        self._check("address", columns["address"])

    def __reduce__(self):
        return EventsInMemory, self._columns


class _Group(dict):
    """Arrays in memory with the interface of a group of a file."""

    name, identity = "/memory", ""


# --- datasets ---


class Placed(Samples):
    """Base of datasets that know where their samples lie: choosing and joining samples moves none of them.

    Args:
        arrays: the arrays with the samples.
        targets: targets that were checked, or the attributes of the same names of another dataset.
        name: name of the data.
        lengths, weights: as for `Samples`.
    """

    def __init__(self, arrays: Any, targets: Targets | Samples, name: str, lengths=None, weights=None) -> None:
        self._arrays: tuple[Any, ...] = (arrays,)
        self._place: np.ndarray | None = None
        self.y, self.target, self.per_step = targets.y, targets.target, targets.per_step
        self.classes, self.name, self.lengths, self.weights = targets.classes, name, lengths, weights
        self._freeze()

    @property
    def in_memory(self) -> bool:
        """Whether the samples are small enough to be kept in memory."""
        return all(arrays.in_memory for arrays in self._arrays)

    def _at(self, index: int) -> tuple[Any, int]:
        """Return the arrays in which a sample lies, and its row there."""
        if self._place is None:
            return self._arrays[0], index
        which, row = self._place[index]
        return self._arrays[which], int(row)

    def _places(self) -> np.ndarray:
        """Return ``[N, 2]``: for each sample the number of its arrays, and its row there."""
        if self._place is not None:
            return self._place
        return np.stack([np.zeros(len(self), np.int64), np.arange(len(self))], 1)

    def _take(self, rows):
        self._place = self._places()[rows]

    def _join(self, parts):
        places: list[np.ndarray] = []
        arrays: tuple[Any, ...] = ()
        for part in parts:
            places.append(part._places() + np.array([len(arrays), 0]))
            arrays += part._arrays
        self._arrays, self._place = arrays, np.concatenate(places)


class StoredSamples(Placed):
    """Pictures, feature vectors, or sequences in a store. Its use is that of `numsnn.data.Dataset`.

    Args:
        arrays, targets, name, lengths, weights: as for `Placed`.
        scale: factor for x when a batch is made.
        timed: whether the second axis of x is time.
    """

    alike = (*Samples.alike, "scale", "timed", "sample_shape")

    def __init__(self, arrays: SampleArrays, targets, name, scale, timed, lengths=None, weights=None) -> None:
        super().__init__(arrays, targets, name, lengths, weights)
        self.scale, self.timed = float(scale), bool(timed)
        self.sample_shape = arrays.sample_shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored numbers."""
        return np.result_type(*(arrays.dtype for arrays in self._arrays))

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.sample_shape))
        return f"StoredSamples({self.name!r}: {len(self)} samples of {shape} {self.dtype}, {self._described()})"

    def raw(self, indices: ArrayLike) -> np.ndarray:
        """Return the samples with these indices as they are stored, ``[n, *sample_shape]``."""
        return self._raw(checked_rows(indices, len(self), f"{self.name}: raw"))

    def _raw(self, rows):
        if self._place is None:
            return self._arrays[0].raw(rows)
        which, rows = self._place[rows].T
        if len(self._arrays) == 1:
            return self._arrays[0].raw(rows)
        out = np.empty((len(rows), *self.sample_shape), self.dtype)
        for k, arrays in enumerate(self._arrays):
            out[which == k] = arrays.raw(rows[which == k])
        return out

    def batch(self, indices: ArrayLike) -> Batch:
        """Return the pair ``(x, y)`` of the samples with these indices, with their lengths and weights.

        Returns:
            x ``[n, *sample_shape]`` float32, or ``[T, n, ...]`` for sequences; and y as for `numsnn.data.Dataset`.
        """
        rows = checked_rows(indices, len(self), f"{self.name}: batch")
        x = self._raw(rows)
        return self._batch(scaled(x.swapaxes(0, 1) if self.timed else x, self.scale), rows)
