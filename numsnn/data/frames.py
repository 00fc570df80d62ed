"""Events counted into frames, one frame per time step."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..capacity import need_memory
from ..names import choice
from ..shown import shown
from ..validate import flag, instance, whole
from .batch import Batch
from .compiled import compiled
from .events import Events
from .samples import Samples, checked_rows, concat

BY = ("time", "events")

_MOST_BYTES = 1 << 34
"""Most memory of a sample that has as many frames as its recording needs: 16 GiB. More comes from a `start` on another
clock than that of the recordings."""
_MOST_TIME = 1 << 62


class Frames(Samples):
    """Recordings as sequences of frames: a source of batches for the `Loader` and the trainer.

    A sample is ``[T, H, W, P]`` float32 with P polarities, or ``[T, W * P]`` for a sensor with one row of pixels. Its
    numbers are counts of events.

    Args:
        recordings: a `numsnn.data.Recordings`.
        steps: T, the number of frames per recording. Default 10. None needs `duration`: T is the number of frames of
            the longest recording, and `lengths` holds those of each recording (at least 1).
        by: "time" (default) divides a recording into T intervals of equal duration; "events" divides it into T
            intervals with equal numbers of events (if the number is not divisible by T, the first intervals have one
            event more).
        duration: microseconds per frame, instead of `by`: frame k then holds the events from k to k + 1 durations after
            the first event of the recording. Later events are left out, and frames after the end are empty.
        pool: the events of squares of pool x pool pixels (of `pool` neighbouring pixels for a sensor with one row) are
            counted together. Pixels at the lower and right border that do not fill a square are left out. Default 1.
        binary: store 1 for a pixel with at least one event, instead of the number of events. Default False.
        start: microseconds at which the first frame begins, for all recordings alike, instead of at their first events;
            needs `duration`. Earlier events are left out. Default None.

    Attributes:
        recordings: the recordings.
        steps, binary: the arguments; steps is T.
        options: the arguments after the recordings, by name.
        y, target, per_step, classes, name, lengths, weights: as in `numsnn.data.samples.Samples`.

    Raises:
        ValueError: an argument is out of range, T is not the number of steps of targets per step, no recording has an
            event in the frames that begin at `start`, or with steps=None a sample would take more than 16 GiB.
    """

    timed = True
    scale = 1.0
    alike = (*Samples.alike, "sample_shape", "options")

    def __init__(
        self,
        recordings,
        steps: int | None = 10,
        by: str = "time",
        duration: int | None = None,
        pool: int = 1,
        binary: bool = False,
        start: int | None = None,
    ) -> None:
        self.recordings, self.lengths = _need_recordings(recordings), None
        sensor, options = (self.recordings.size, self.recordings.polarities), (by, duration, pool, start)
        if steps is None:
            self.lengths = _lengths(*_ends(recordings, start), Binner(*sensor, 1, *options), start)
            steps = int(self.lengths.max())
        self.binner = Binner(*sensor, steps, *options)
        if start is not None:
            _need_events(recordings, self.binner)
        self.steps, self.binary = self.binner.steps, flag("frames: binary", binary)
        self.options = {"steps": self.steps, "by": by, "duration": duration, "pool": pool, "binary": self.binary}
        self.options["start"] = start
        self.y, self.target, self.per_step = recordings.y, recordings.target, recordings.per_step
        self.classes, self.name, self.weights = recordings.classes, recordings.name, recordings.weights
        need_memory(f"frames: {self.steps} steps of one recording", 4 * math.prod(self.binner.shape))
        if self.per_step and self.y.shape[1] != self.steps:
            raise ValueError(f"frames: {self.name!r} has targets of {self.y.shape[1]} steps; got steps={self.steps}")
        self._freeze()

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.sample_shape))
        return f"Frames({self.name!r}: {len(self)} samples of {shape}, {self._described()})"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """``(T, H, W, P)`` or ``(T, W * P)``."""
        return self.binner.shape

    def _take(self, rows):
        self.recordings = self.recordings.select(rows)

    def _join(self, parts):
        self.recordings = concat(*(part.recordings for part in parts))

    def _relabel(self, table, classes):
        recordings = self.recordings._twin()
        recordings._relabel(table, classes)
        self.recordings, self.y, self.classes = recordings, recordings.y, classes

    def batch(self, indices: ArrayLike, edit: Callable[[int, Events], Events] | None = None) -> Batch:
        """Return the pair ``(x, y)`` of the recordings with these indices: x ``[T, n, ...]`` float32, y ``[n, ...]``.

        Args:
            indices: as for `numsnn.data.Dataset.select`.
            edit: function of the index and the events of a recording that returns the events to be counted. Default:
                none.
        """
        rows = checked_rows(indices, len(self), f"{self.name}: batch")
        if edit is not None and not callable(edit):
            raise TypeError(f"{self.name}: batch: edit must be a function of an index and Events; got {shown(edit)}")
        steps, *shape = self.sample_shape
        x = np.zeros((steps, len(rows), *shape), np.float32)
        # Packed times count from the recording's first event, those of Events from the sensor's zero.
        starts = None if self.binner.start is None or edit is not None else self.recordings.start
        for place, index in enumerate(rows):
            if edit is None:
                address, time = self.recordings.packed(int(index))
                first = 0 if starts is None else -int(starts[index])
            else:
                address, time = self.binner.addresses(edit(int(index), self.recordings.events(int(index))))
                first = 0
            self.binner.count(address, time, x, place, first)
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


def _need_recordings(recordings) -> Any:
    """Return the recordings; raise TypeError for anything else."""
    if not isinstance(recordings, Samples) or not hasattr(recordings, "packed"):
        raise TypeError(f"frames: recordings must be a numsnn.data.Recordings; got {shown(recordings)}")
    return recordings


def _ends(recordings, start) -> tuple[np.ndarray, np.ndarray]:
    """Return the microseconds at the first and the last event of each recording, ``[N]`` each; without events `start`,
    or 0."""
    first = np.where(recordings.counts() > 0, recordings.start, 0 if start is None else whole_time(start))
    return first, first + recordings.durations()


def _lengths(first, last, binner, start) -> np.ndarray:
    """Return the number of frames that each recording fills, ``[N]``, at least 1.

    Args:
        first, last: as `_ends` returns them.
        binner: a `Binner` of one step.
        start: as for `Frames`.
    """
    if binner.duration is None:
        raise ValueError("frames: steps=None needs a duration, the microseconds per frame")
    begin = first if start is None else whole_time(start)
    longest = int(np.argmax(last - begin))
    needed = int((last - begin)[longest]) // binner.duration + 1
    if 4 * needed * math.prod(binner.shape) > _MOST_BYTES:
        found = f"recording {longest} needs {needed:,} frames of {binner.duration} us"
        hint = "Give a longer duration, or a number of steps"
        if start is not None:
            found += f" from start={begin} on, and its first event lies at {first[longest]} us"
            hint = "Leave start out, give a start near the first event, or a longer duration"
        raise ValueError(f"frames: {found}: more than {_MOST_BYTES >> 30} GiB. {hint}")
    return np.maximum((last - begin) // binner.duration + 1, 1)


def _need_events(recordings, binner) -> None:
    """Raise ValueError if all recordings with events lie before the first frame or behind the last one."""
    first = recordings.start[recordings.counts() > 0]
    end = binner.start + binner.steps * binner.duration
    # A first event among the frames is enough; the last events of recordings in a file would have to be read.
    if not len(first) or ((first >= binner.start) & (first < end)).any():
        return
    first, last = _ends(recordings, binner.start)
    filled = recordings.counts() > 0
    if not ((first < end) & (last >= binner.start) & filled).any():
        where = f"from start={binner.start} us on"
        if (last >= binner.start)[filled].any():
            where = f"at {binner.start}..{end - 1} us, in the frames from start={binner.start} on"
        one = int(np.argmax(filled))
        found = f"no recording has an event {where}; recording {one} lies at {first[one]}..{last[one]} us"
        raise ValueError(f"frames: {found}. Leave start out, or give a start near the first events")


def to_frames(
    events: Events,
    steps: int | None = 10,
    by: str = "time",
    duration: int | None = None,
    pool: int = 1,
    start: int | None = None,
) -> np.ndarray:
    """Return the frames of one recording, ``[T, H, W, P]`` or ``[T, W * P]`` float32; arguments and errors as for
    `Frames`, but there may be no event in the frames.
    """
    instance("to_frames: events", events, Events, "one numsnn.data.Events")
    options = (by, duration, pool, start)
    if start is not None:
        whole_time(start)
    if steps is None:
        first, last = (events.t[:1], events.t[-1:]) if len(events) else (np.array([start or 0]),) * 2
        steps = int(_lengths(first, last, Binner(events.size, events.polarities, 1, *options), start)[0])
    binner = Binner(events.size, events.polarities, steps, *options)
    need_memory(f"frames: {binner.steps} steps of one recording", 4 * math.prod(binner.shape))
    x = np.zeros((binner.shape[0], 1, *binner.shape[1:]), np.float32)
    binner.count(*binner.addresses(events), x, 0)
    return x[:, 0]


class Binner:
    """Counts the events of a sensor into frames; the arguments are those of `Frames`."""

    def __init__(self, size, polarities, steps, by="time", duration=None, pool=1, start=None) -> None:
        for name, value in (("steps", steps), ("pool", pool), ("duration", 1 if duration is None else duration)):
            whole(f"frames: {name}", value)
        choice("frames: by", by, BY)
        if start is not None and duration is None:
            raise ValueError("frames: start needs a duration, the microseconds per frame")
        self.start = None if start is None else whole_time(start)
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

    def edges(self, time: np.ndarray, zero: int = 0) -> np.ndarray:
        """Return ``[T + 1]`` positions in the sorted times: the first event of each frame, and the end of the last
        frame.

        Args:
            time: ``[M]`` sorted times.
            zero: the sensor's zero, from which `start` counts, on the clock of `time`. Default 0.
        """
        n, steps = len(time), self.steps
        if self.duration is None and self.by == "events":
            size, more = divmod(n, steps)
            return np.arange(steps + 1) * size + np.minimum(np.arange(steps + 1), more)
        first = int(time[0]) if n else 0
        if self.start is not None:
            first = zero + self.start
        if self.duration is not None:
            borders = [first + k * self.duration for k in range(steps + 1)]
        else:
            span = int(time[-1]) - first + 1 if n else 0
            borders = [first - (-k * span // steps) for k in range(steps + 1)]
        found = np.empty(steps + 1, np.int64)
        _search(time, np.array([max(-(2**62), min(border, 2**62)) for border in borders], np.int64), found)
        return found

    def count(self, address: np.ndarray, time: np.ndarray, x: np.ndarray, place: int, zero: int = 0) -> None:
        """Add the events to ``x[:, place]``; x is ``[T, n, ...]`` float32 in C order, zero as for `edges`."""
        frames = x.reshape(self.steps, x.shape[1], -1)
        if self._table is None:
            _count(address, self.edges(time, zero), frames, place)
        else:
            _count_pooled(address, self.edges(time, zero), self._table, frames, place)


def whole_time(start) -> int:
    """Return a time in microseconds, which may be negative, or raise ValueError."""
    if isinstance(start, bool) or not isinstance(start, Integral):
        raise ValueError(f"frames: start must be a whole number of microseconds; got {shown(start)}")
    if abs(int(start)) > _MOST_TIME:
        raise ValueError(f"frames: start must be at most 2^62 microseconds; got {shown(start)}")
    return int(start)


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
