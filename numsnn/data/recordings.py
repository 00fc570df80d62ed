"""Recordings of event sensors with their targets, in memory or in a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..validate import text
from .events import Events
from .frames import Frames
from .samples import Samples, checked_rows
from .stored import EventsInMemory, Placed
from .targets import checked_targets, checked_weights, need_label

LONGEST = 2**32 - 1
"""Longest duration of a recording in microseconds (71 minutes), because times are stored as uint32."""


class Recordings(Placed):
    """Recordings of one sensor with their targets: what `numsnn.data.save` stores and `frames` makes samples of.

        recordings = Recordings([read_events(path, size=(48, 64)) for path in paths], labels, classes=("left", "right"))

    Args:
        events: N `numsnn.data.Events` of one size and number of polarities.
        labels: targets, as y of `numsnn.data.Dataset`, for example names of classes; targets per step belong to frames
            of as many steps. Recordings without labels are classified with `to_frames`.
        classes, name, target, per_step, weights: as for `numsnn.data.Dataset`. The default name is "recordings".

    Attributes:
        size: (height, width) of the sensor in pixels.
        polarities: 2, or 1 for sensors without polarity.
        y, target, per_step, classes, name, weights: as in `numsnn.data.samples.Samples`; lengths is None.

    Raises:
        TypeError: events does not hold `Events`.
        ValueError: there are no recordings, they differ in size or polarities, one lasts longer than 71 minutes, or as
            for `numsnn.data.Dataset`.
    """

    alike = (*Samples.alike, "size", "polarities")

    def __init__(
        self,
        events: Sequence[Events],
        labels: ArrayLike,
        classes: Sequence[object] | None = None,
        name: str = "recordings",
        target: str | None = None,
        per_step: bool | None = None,
        weights: ArrayLike | None = None,
    ) -> None:
        owner = f"Recordings {text('Recordings: name', name)!r}"
        found = _checked_events(events, owner)
        size, polarities = found[0].size, found[0].polarities
        targets = checked_targets(labels, len(found), None, classes, target, per_step, owner, "labels")
        need_label(targets, None, owner, "labels")
        arrays = EventsInMemory(pack(found, size, polarities, owner), size, polarities, name)
        super().__init__(arrays, targets, name, None, checked_weights(weights, len(found), owner))

    @classmethod
    def placed(cls, arrays: Any, targets: Any, name: str, weights: np.ndarray | None = None) -> Recordings:
        """Make recordings of arrays that hold their events; the arguments are those of `Placed`."""
        self = cls.__new__(cls)
        Placed.__init__(self, arrays, targets, name, None, weights)
        return self

    def __repr__(self) -> str:
        height, width = self.size
        events = f"{int(self.counts().sum()):,} events on {width}x{height} pixels"
        return f"Recordings({self.name!r}: {len(self)} with {events}, {self._described()})"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the sensor in pixels."""
        return self._arrays[0].size

    @property
    def polarities(self) -> int:
        """Number of polarities: 2, or 1 for sensors without polarity."""
        return self._arrays[0].polarities

    @property
    def start(self) -> np.ndarray:
        """Microseconds at the first event of each recording, ``[N]`` int64."""
        return self._gathered([arrays.start for arrays in self._arrays])

    def counts(self) -> np.ndarray:
        """Return the number of events per recording, ``[N]``."""
        return self._gathered([np.diff(arrays.offset) for arrays in self._arrays])

    def durations(self) -> np.ndarray:
        """Return the microseconds from the first event to the last per recording, ``[N]``."""
        return np.array([arrays.duration(row) for arrays, row in map(self._at, range(len(self)))], np.int64)

    def _gathered(self, columns):
        """Return the entries of all recordings in columns of which each array of events has one."""
        if self._place is None:
            return columns[0]
        first = np.cumsum([0, *map(len, columns[:-1])])
        which, rows = self._place.T
        return np.concatenate(columns)[first[which] + rows]

    def packed(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return address and time of the events of a recording, as a store holds them."""
        arrays, row = self._at(index)
        return arrays.packed(row)

    def events(self, index: int) -> Events:
        """Return the events of the recording with this index, 0 .. N - 1."""
        (index,) = checked_rows([index], len(self), f"{self.name}: events")
        arrays, row = self._at(int(index))
        address, time = arrays.packed(row)
        pixel, p = np.divmod(address.astype(np.int64), self.polarities)
        y, x = np.divmod(pixel, self.size[1])
        return Events(x, y, time.astype(np.int64) + arrays.start[row], p, self.size, self.polarities)

    def frames(self, steps: int | None = 10, **options: Any) -> Frames:
        """Return the recordings as sequences of frames to train on. The options are those of `numsnn.data.Frames`."""
        return Frames(self, steps, **options)


def _checked_events(events, owner):
    if isinstance(events, Events):
        raise TypeError(f"{owner}: events must be a list of Events; got a single one. For one recording: [events]")
    try:
        found = list(events)
    except TypeError:
        raise TypeError(f"{owner}: events must be a list of Events; got {type(events).__name__}") from None
    for k, one in enumerate(found):
        if not isinstance(one, Events):
            hint = "numsnn.data.formats.read_events reads files, and Events.from_array takes arrays"
            raise TypeError(f"{owner}: events must be a list of Events; events[{k}] is {type(one).__name__}. {hint}")
    if not found:
        raise ValueError(f"{owner}: events holds no recording")
    return found


def pack(
    recordings: Iterable[Events], size: tuple[int, int], polarities: int, owner: str = "store"
) -> dict[str, np.ndarray]:
    """Return recordings as a store holds them: "address" and "time" ``[M]``, "lengths" and "start" ``[n]``.

    Args:
        recordings: n recordings.
        size, polarities: those of the sensor, which all recordings must have.
        owner: begins the error messages. Default "store".

    Raises:
        ValueError: a recording has another size or other polarities, or lasts longer than 71 minutes.
    """
    kind = np.min_scalar_type(size[0] * size[1] * polarities - 1)
    addresses, times, lengths, start = [np.empty(0, kind)], [np.empty(0, np.uint32)], [], []
    for k, events in enumerate(recordings):
        if events.size != tuple(size) or events.polarities != polarities:
            found, wanted = (
                f"size {s}, polarities {p}" for s, p in ((events.size, events.polarities), (size, polarities))
            )
            hint = "Give the sensor's size (height, width) where recordings are read"
            raise ValueError(f"{owner}: recording {k} has {found}; expected {wanted}. {hint}")
        if events.duration > LONGEST:
            raise ValueError(f"{owner}: recording {k} lasts {events.duration} us; at most {LONGEST} us can be stored")
        begin = int(events.t[0]) if len(events) else 0
        address = (events.y.astype(np.int64) * size[1] + events.x) * polarities + events.p
        addresses.append(address.astype(kind))
        times.append((events.t - begin).astype(np.uint32))
        lengths.append(len(events))
        start.append(begin)
    columns = {"address": np.concatenate(addresses), "time": np.concatenate(times)}
    return columns | {"lengths": np.array(lengths, np.int64), "start": np.array(start, np.int64)}
