"""Events counted into frames: what a network sees of a recording, step by step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..names import choice
from .compiled import compiled
from .dataset import checked_rows
from .events import Events

BY = ("time", "events")


class Frames:
    """Recordings as sequences of frames; a source of batches for the `Loader` and the trainer.

    Args:
        recordings: a `numsnn.data.stored.Recordings`.
        steps: T, frames a recording.
        by: "time" (default) cuts a recording into T stretches of equal time, "events" into T of equally many events
            (the first stretches have one more where they do not divide).
        duration: microseconds a frame, instead of `by`: frame k then holds the events from k to k + 1 durations after
            the recording's first one; later events are left out, and frames behind the end are empty.
        pool: pixels a side, or of a sensor one row high along it, that are counted as one. Default 1. Pixels at the
            lower and right border that make no whole square are left out.
        binary: whether a frame says only if there was an event, 1, or not, 0, instead of how many. Default False.

    Raises:
        ValueError: arguments out of range.

    Samples are ``[T, H, W, P]``, or ``[T, W * P]`` of a sensor one row high; float32 counts, P polarities.
    """

    timed = True
    scale = 1.0

    def __init__(
        self,
        recordings,
        steps: int = 10,
        by: str = "time",
        duration: int | None = None,
        pool: int = 1,
        binary: bool = False,
    ) -> None:
        self.recordings = recordings
        self.binner = Binner(recordings.size, recordings.polarities, steps, by, duration, pool)
        self.steps, self.binary = self.binner.steps, bool(binary)
        self.y, self.classes, self.name = recordings.y, recordings.classes, recordings.name

    def __len__(self) -> int:
        """Number of recordings, N."""
        return len(self.recordings)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.sample_shape))
        return f"Frames({self.name!r}: {len(self)} samples of {shape}, {self.n_classes} classes)"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """``(T, H, W, P)`` or ``(T, W * P)``."""
        return self.binner.shape

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def batch(
        self, indices: ArrayLike, edit: Callable[[int, Events], Events] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """``(x, y)`` of the named recordings: x ``[T, n, ...]`` float32, y ``[n]`` int64.

        edit: what to do with a recording, given its index and events, before it is counted.
        """
        rows = checked_rows(indices, len(self), f"{self.name}: batch")
        steps, *shape = self.sample_shape
        x = np.zeros((steps, len(rows), *shape), np.float32)
        for place, index in enumerate(rows):
            if edit is None:
                address, time = self.recordings.packed(int(index))
            else:
                address, time = self.binner.addresses(edit(int(index), self.recordings.events(int(index))))
            self.binner.count(address, time, x, place)
        if self.binary:
            np.minimum(x, 1, out=x)
        return x, self.y[rows]

    def in_memory(self):
        """All frames at once as a `numsnn.data.Dataset`: counted once instead of every epoch. Counts are kept as uint8
        where they fit, else as uint16, and no larger than that."""
        from .dataset import Dataset

        parts = [self.batch(np.arange(k, min(k + 64, len(self))))[0] for k in range(0, len(self), 64)]
        most = max(part.max() for part in parts)
        kind = np.uint8 if most < 256 else np.uint16
        x = np.concatenate([np.minimum(part, np.iinfo(kind).max).astype(kind).swapaxes(0, 1) for part in parts])
        return Dataset(x, self.y, self.classes, self.name, timed=True)


def to_frames(
    events: Events, steps: int = 10, by: str = "time", duration: int | None = None, pool: int = 1
) -> np.ndarray:
    """The frames of one recording, ``[T, H, W, P]`` or ``[T, W * P]`` float32; arguments and errors as `Frames`."""
    binner = Binner(events.size, events.polarities, steps, by, duration, pool)
    x = np.zeros((binner.shape[0], 1, *binner.shape[1:]), np.float32)
    binner.count(*binner.addresses(events), x, 0)
    return x[:, 0]


class Binner:
    """Counts events of a sensor into frames; see `Frames` for the arguments."""

    def __init__(self, size, polarities, steps, by="time", duration=None, pool=1) -> None:
        for name, value in (("steps", steps), ("pool", pool), ("duration", 1 if duration is None else duration)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"frames: {name} must be a whole number >= 1; got {value!r}")
        choice("frames: by", by, BY)
        height, width = size
        pooled = (1 if height == 1 else height // pool, width // pool)
        if 0 in pooled:
            raise ValueError(f"frames: nothing is left of {width}x{height} pixels after pooling by {pool}")
        self.size, self.polarities = (height, width), polarities
        self.steps, self.by, self.duration = int(steps), by, None if duration is None else int(duration)
        self.shape: tuple[int, ...] = (self.steps, pooled[1] * polarities)
        if height > 1:
            self.shape = (self.steps, *pooled, polarities)
        self._table = None if pool == 1 else self._pooling(pooled, pool)

    def _pooling(self, pooled, pool):
        """Where every address is counted, -1 for nowhere."""
        height, width = self.size
        row = np.arange(height) // (1 if height == 1 else pool)
        column = np.arange(width) // pool
        cell = row[:, None] * pooled[1] + column
        cell[row >= pooled[0]] = -1
        cell[:, column >= pooled[1]] = -1
        table = cell[..., None] * self.polarities + np.arange(self.polarities)
        table[cell < 0] = -1
        return table.reshape(-1).astype(np.int32)

    def addresses(self, events: Events) -> tuple[np.ndarray, np.ndarray]:
        """Address and time of events, as a store keeps them."""
        address = np.empty(len(events), np.uint32)
        _address(events.x, events.y, events.p, self.size[1], self.polarities, address)
        return address, events.t

    def edges(self, time: np.ndarray) -> np.ndarray:
        """``[T + 1]`` positions of the first event of every frame in times in order, and the end."""
        n, steps = len(time), self.steps
        if self.duration is None and self.by == "events":
            size, more = divmod(n, steps)
            return np.arange(steps + 1) * size + np.minimum(np.arange(steps + 1), more)
        first = int(time[0]) if n else 0
        if self.duration is not None:
            borders = [first + k * self.duration for k in range(steps + 1)]
        else:
            span = int(time[-1]) - first + 1 if n else 0
            borders = [first - (-k * span // steps) for k in range(steps + 1)]
        found = np.empty(steps + 1, np.int64)
        _search(time, np.array([min(border, 2**62) for border in borders], np.int64), found)
        return found

    def count(self, address: np.ndarray, time: np.ndarray, x: np.ndarray, place: int) -> None:
        """Add the events to ``x[:, place]``; x is ``[T, n, ...]`` float32 in C order."""
        frames = x.reshape(self.steps, x.shape[1], -1)
        if self._table is None:
            _count(address, self.edges(time), frames, place)
        else:
            _count_pooled(address, self.edges(time), self._table, frames, place)


@compiled
def _search(time, borders, found):
    """Position of the first time not before each border, as of the left side of a sorted search."""
    for k in range(len(borders)):
        low, high = 0, len(time)
        while low < high:
            middle = (low + high) // 2
            if np.int64(time[middle]) < borders[k]:
                low = middle + 1
            else:
                high = middle
        found[k] = low


@compiled
def _address(x, y, p, width, polarities, address):
    for k in range(len(x)):
        address[k] = (np.int64(y[k]) * width + np.int64(x[k])) * polarities + np.int64(p[k])


@compiled
def _count(address, edges, frames, place):
    for step in range(len(edges) - 1):
        frame = frames[step, place]
        for k in range(edges[step], edges[step + 1]):
            frame[address[k]] += np.float32(1)


@compiled
def _count_pooled(address, edges, table, frames, place):
    for step in range(len(edges) - 1):
        frame = frames[step, place]
        for k in range(edges[step], edges[step + 1]):
            cell = table[address[k]]
            if cell >= 0:
                frame[cell] += np.float32(1)
