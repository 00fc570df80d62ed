"""A recording of an event sensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..names import argument, choice
from ..shown import shown
from ..validate import LARGEST_WHOLE, real_array, text, truth, whole
from .columns import Columns, as_events, taken
from .compiled import compiled

MAX_SIDE = 65_536
"""Largest height or width in pixels, because coordinates are stored as uint16."""


class Events:
    """Events sorted by time: position (x, y), time t, and polarity p.

    Args:
        x, y: ``[N]`` column and row, counted from the upper left; stored as uint16.
        t: ``[N]`` microseconds; stored as int64. If a time is smaller than the one before it, all events are sorted by
            time (events of equal time keep their order), and ``skipped["out of order"]`` counts these places.
        p: ``[N]`` polarity, whole numbers in ``0 .. polarities - 1``; 1 is brighter (ON), 0 darker (OFF); stored as
            uint8. All events of sensors without polarity, such as a cochlea, have 0.
        size: (height, width) of the sensor in pixels.
        polarities: 2 (default), or 1 for sensors without polarity.
        skipped: number of events that a parser left out or corrected, by reason: ``{"not a polarity event": 12}``.

    Attributes:
        x, y, t, p, size, polarities, skipped: the arguments.

    Raises:
        ValueError: the arrays differ in length, have more than one axis or do not hold whole numbers, or an event lies
            outside the sensor. The message names the first wrong event.
    """

    __slots__ = ("p", "polarities", "size", "skipped", "t", "x", "y")

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        t: ArrayLike,
        p: ArrayLike,
        size: tuple[int, int],
        polarities: int = 2,
        skipped: Mapping[str, int] | None = None,
    ) -> None:
        self.size = checked_size(size, "Events")
        self.polarities = int(choice("Events: polarities", polarities, (1, 2)))
        columns = {name: _column(name, given) for name, given in {"x": x, "y": y, "t": t, "p": p}.items()}
        for name, column in columns.items():
            if column.ndim != 1 or (column.size and column.dtype.kind not in "biu"):
                raise ValueError(
                    f"Events: {name} must be [N] whole numbers; got shape {column.shape} and dtype {column.dtype}"
                )
            if len(column) != len(columns["x"]):
                raise ValueError(f"Events: {name} must be as long as x, {len(columns['x'])}; got {len(column)}")
        ends = {"x": self.size[1], "y": self.size[0], "p": self.polarities}
        for name, end in ends.items():
            bad = first_outside(columns[name], end)
            if bad >= 0:
                where = f"{name}[{bad}] is {columns[name][bad]!s}"
                hint = "" if name == "p" else f". The size is (height, width) = {self.size}"
                raise ValueError(f"Events: {name} must be in 0..{end - 1}; {where}{hint}")
        self.x = columns["x"].astype(np.uint16, copy=False)
        self.y = columns["y"].astype(np.uint16, copy=False)
        self.t = columns["t"].astype(np.int64, copy=False)
        self.p = columns["p"].astype(np.uint8, copy=False)
        self.skipped = _checked_skipped(skipped)
        self._sort()

    @classmethod
    def from_array(
        cls, array: Any, size: tuple[int, int] | None = None, columns: Columns = None, unit: str | None = None
    ) -> Events:
        """Make Events of an array or mapping with columns of any real dtype.

        Args:
            array: a structured array ``[N]``, a mapping of names to arrays ``[N]``, a DataFrame of pandas, or an array
                ``[N, C]``.
            size: (height, width) of the sensor. Default: the smallest size that contains all events.
            columns, unit: as for `numsnn.data.formats.read_events`.

        Raises:
            ValueError: the columns cannot be told from each other, differ in length or hold fractions, or as for
                `Events`.
        """
        try:
            return cls(**as_events(taken(array, columns), size, unit))
        except ValueError as error:
            message = str(error)
            raise ValueError(message if message.startswith("Events: ") else f"Events.from_array: {message}") from error

    @classmethod
    def checked(cls, x, y, t, p, size, polarities: int = 2, skipped: Mapping[str, int] | None = None) -> Events:
        """Make Events of arrays that have the stored dtypes and that a parser has already checked against the sensor's
        size.
        """
        self = cls.__new__(cls)
        self.x, self.y, self.t, self.p = x, y, t, p
        self.size, self.polarities, self.skipped = size, polarities, dict(skipped or {})
        self._sort()
        return self

    def _sort(self) -> None:
        back = int(count_steps_back(self.t))
        if back:
            order = np.argsort(self.t, kind="stable")
            self.x, self.y, self.t, self.p = self.x[order], self.y[order], self.t[order], self.p[order]
            self.skipped["out of order"] = self.skipped.get("out of order", 0) + back

    def __len__(self) -> int:
        """Number of events, N."""
        return len(self.t)

    def __repr__(self) -> str:
        height, width = self.size
        return f"Events({len(self)} on {width}x{height} pixels in {self.duration / 1000:.1f} ms)"

    @property
    def duration(self) -> int:
        """Microseconds from the first event to the last."""
        return int(self.t[-1] - self.t[0]) if len(self) else 0

    def select(self, which: slice | Sequence[int] | np.ndarray) -> Events:
        """Return the events that a slice, a mask or increasing indices select, on the same sensor."""
        if isinstance(which, slice):
            chosen: Any = which
            for edge in (which.start, which.stop, which.step):
                if edge is not None and (truth(edge) or not isinstance(edge, Integral)):
                    raise TypeError(f"Events.select: which must be a slice of whole numbers; got {shown(which)}")
        else:
            chosen = self._chosen(which)
        return self.replace(x=self.x[chosen], y=self.y[chosen], t=self.t[chosen], p=self.p[chosen])

    def _chosen(self, which) -> np.ndarray:
        """Return a mask or whole numbers that select events, perhaps none, or raise TypeError or IndexError."""
        found = real_array(which)
        if found is None or found.ndim != 1 or (found.size and found.dtype.kind not in "biu"):
            raise TypeError(f"Events.select: which must be a slice, a mask or whole numbers; got {shown(which)}")
        if found.dtype.kind == "b" and len(found) != len(self):
            raise IndexError(f"Events.select: which must have {len(self)} entries as a mask; got {len(found)}")
        low, high = (int(found.min()), int(found.max())) if found.size and found.dtype.kind != "b" else (0, -1)
        if low < -len(self) or high >= len(self):
            wanted = f"which must be below {len(self)}, the number of events"
            raise IndexError(f"Events.select: {wanted}; got {shown(which)}")
        return found if found.size else found.astype(np.intp)

    def replace(self, **columns: ArrayLike) -> Events:
        """Return a copy in which the named attributes have other values."""
        for name in columns:
            argument("Events.replace", name, self.__slots__)
        kept = {name: getattr(self, name) for name in self.__slots__}
        return Events(**(kept | columns))


def _column(name: str, given) -> np.ndarray:
    """Return a column as an array of real numbers that int64 can hold, or raise ValueError."""
    column = real_array(given)
    if column is None:
        got = shown(given)
        if isinstance(given, np.ndarray):
            got = f"shape {given.shape} and dtype {given.dtype}"
        raise ValueError(f"Events: {name} must be [N] whole numbers; got {got}")
    if column.dtype == np.uint64 and column.size and column.max() > LARGEST_WHOLE:
        raise ValueError(f"Events: {name} must be at most 2^63 - 1; got {column.max()}")
    return column


def _checked_skipped(skipped) -> dict[str, int]:
    """Return the numbers of events that were skipped, by the reason, or raise ValueError."""
    if skipped is None:
        return {}
    if not isinstance(skipped, Mapping):
        raise ValueError(f"Events: skipped must be a mapping from reasons to numbers; got {shown(skipped)}")
    return {text("Events: skipped", reason): whole("Events: skipped", n, 0) for reason, n in skipped.items()}


def checked_size(size: tuple[int, int], owner: str) -> tuple[int, int]:
    """Return (height, width) as whole numbers, or raise ValueError. The message begins with the owner."""
    sides = tuple(size) if isinstance(size, tuple | list) or (isinstance(size, np.ndarray) and size.ndim == 1) else ()
    good = len(sides) == 2 and all(
        isinstance(side, int | np.integer) and not isinstance(side, bool) and 1 <= side <= MAX_SIDE for side in sides
    )
    if not good:
        raise ValueError(f"{owner}: size must be (height, width), each in 1..{MAX_SIDE}; got {shown(size)}")
    return int(sides[0]), int(sides[1])


def first_outside(column: np.ndarray, end: int) -> int:
    """Return the position of the first number outside ``0 .. end - 1``, or -1."""
    if not column.size or (column.max() < end and column.min() >= 0):
        return -1
    return int(np.flatnonzero((column < 0) | (column >= end))[0])


@compiled
def count_steps_back(t):
    """Return how many times in t ``[N]`` are smaller than the time before them."""
    back = 0
    for k in range(1, len(t)):
        back += t[k] < t[k - 1]
    return back
