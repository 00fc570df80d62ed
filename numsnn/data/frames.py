"""Events counted into frames, one frame per time step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..names import choice
from ..validate import whole
from .batch import Batch
from .compiled import compiled
from .events import Events
from .samples import Samples, checked_rows

BY = ("time", "events")


class Frames(Samples):
    """Recordings as sequences of frames: a source of batches for the `Loader` and the trainer.

    A sample is ``[T, H, W, P]`` float32 with P polarities, or ``[T, W * P]`` for a sensor with one row of pixels. Its
    numbers are counts of events.

    Args:
        recordings: a `numsnn.data.stored.Recordings`.
        steps: T, the number of frames per recording. Default 10.
        by: "time" (default) divides a recording into T intervals of equal duration; "events" divides it into T
            intervals with equal numbers of events (if the number is not divisible by T, the first intervals have one
            event more).
        duration: microseconds per frame, instead of `by`: frame k then holds the events from k to k + 1 durations after
            the first event of the recording. Later events are left out, and frames after the end are empty.
        pool: the events of squares of pool x pool pixels (of `pool` neighbouring pixels for a sensor with one row) are
            counted together. Pixels at the lower and right border that do not fill a square are left out. Default 1.
        binary: store 1 for a pixel with at least one event, instead of the number of events. Default False.

    Raises:
        ValueError: an argument is out of range.
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
        self.y, self.target, self.per_step = recordings.y, recordings.target, recordings.per_step
        self.classes, self.name = recordings.classes, recordings.name
        self.lengths, self.weights = None, recordings.weights
        if self.per_step and self.y.shape[1] != self.steps:
            raise ValueError(f"frames: {self.name!r} has targets of {self.y.shape[1]} steps; got steps={self.steps}")

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.sample_shape))
        return f"Frames({self.name!r}: {len(self)} samples of {shape}, {self._described()})"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """``(T, H, W, P)`` or ``(T, W * P)``."""
        return self.binner.shape

    def batch(self, indices: ArrayLike, edit: Callable[[int, Events], Events] | None = None) -> Batch:
        """Return the pair ``(x, y)`` of the recordings with these indices: x ``[T, n, ...]`` float32, y ``[n, ...]``.

        Args:
            indices: as for `numsnn.data.Dataset.select`.
            edit: function of the index and the events of a recording that returns the events to be counted. Default:
                none.
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
        return self._batch(x, rows)

    def in_memory(self):
        """Return all frames as a `numsnn.data.Dataset`, so that events are counted once and not again in every epoch.

        Counts are stored as uint8, or as uint16 if they do not fit; larger counts become the largest uint16.
        """
        from .dataset import Dataset

        parts = [self.batch(np.arange(k, min(k + 64, len(self))))[0] for k in range(0, len(self), 64)]
        most = max(part.max() for part in parts)
        kind = np.uint8 if most < 256 else np.uint16
        x = np.concatenate([np.minimum(part, np.iinfo(kind).max).astype(kind).swapaxes(0, 1) for part in parts])
        known = {key: getattr(self, key) for key in ("target", "per_step", "lengths", "weights")}
        return Dataset(x, self.y, self.classes or None, self.name, timed=True, **known)


def to_frames(
    events: Events, steps: int = 10, by: str = "time", duration: int | None = None, pool: int = 1
) -> np.ndarray:
    """Return the frames of one recording, ``[T, H, W, P]`` or ``[T, W * P]`` float32; arguments and errors as for
    `Frames`.
    """
    binner = Binner(events.size, events.polarities, steps, by, duration, pool)
    x = np.zeros((binner.shape[0], 1, *binner.shape[1:]), np.float32)
    binner.count(*binner.addresses(events), x, 0)
    return x[:, 0]


class Binner:
    """Counts the events of a sensor into frames; the arguments are those of `Frames`."""

    def __init__(self, size, polarities, steps, by="time", duration=None, pool=1) -> None:
        for name, value in (("steps", steps), ("pool", pool), ("duration", 1 if duration is None else duration)):
            whole(f"frames: {name}", value)
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
        """Return the element of a frame in which each address is counted, or -1 if it is left out."""
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
        """Return the addresses and times of events, as a store holds them."""
        address = np.empty(len(events), np.uint32)
        _address(events.x, events.y, events.p, self.size[1], self.polarities, address)
        return address, events.t

    def edges(self, time: np.ndarray) -> np.ndarray:
        """Return ``[T + 1]`` positions in the sorted times: the first event of each frame, and the end of the last
        frame.
        """
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
    """Find the position of the first time that is not smaller than each border (binary search)."""
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
