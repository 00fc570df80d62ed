"""Random changes of event recordings.

A change that the library tonic has, too, has tonic's name. `numsnn.data.augment` describes how changes are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..validate import at_least, whole, within
from .compiled import compiled
from .events import Events


class Change:
    """Base of all changes, which print as calls of their constructors."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"


class EventChange(Change):
    """Base of the changes of events. A change is called with `numsnn.data.Events` and a random generator."""

    change: Callable[[Events, np.random.Generator], Events]

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        return self.change(events, rng) if len(events) else events


class DropEvent(EventChange):
    """Removes each event with probability p (default 0.1)."""

    def __init__(self, p: float = 0.1) -> None:
        self.p = within("DropEvent: p", p, 0, 1)

    def change(self, events, rng):
        return events.select(rng.random(len(events)) >= self.p)


class DropEventByTime(EventChange):
    """Removes all events in one random interval; `duration_ratio` (default 0.2) is its share of the recording's
    duration.
    """

    def __init__(self, duration_ratio: float = 0.2) -> None:
        self.duration_ratio = within("DropEventByTime: duration_ratio", duration_ratio, 0, 1)

    def change(self, events, rng):
        length = events.duration * self.duration_ratio
        start = events.t[0] + rng.random() * (events.duration - length)
        return events.select((events.t < start) | (events.t > start + length))


class DropEventByArea(EventChange):
    """Removes all events in one random rectangle with the sensor's aspect ratio.

    `area_ratio` (default 0.2) is its share of the sensor's area.
    """

    def __init__(self, area_ratio: float = 0.2) -> None:
        self.area_ratio = within("DropEventByArea: area_ratio", area_ratio, 0, 1)

    def change(self, events, rng):
        inside = True
        for column, side in ((events.y, events.size[0]), (events.x, events.size[1])):
            length = round(side * math.sqrt(self.area_ratio))
            start = int(rng.integers(0, side - length + 1))
            inside = inside & (column >= start) & (column < start + length)
        return events.select(~inside)


class SpatialJitter(EventChange):
    """Moves each event by a normally distributed number of pixels with standard deviation `std` (default 1).

    Events that leave the sensor are removed.
    """

    def __init__(self, std: float = 1.0) -> None:
        self.std = at_least("SpatialJitter: std", std, 0)

    def change(self, events, rng):
        shift = np.rint(rng.normal(0, self.std, (2, len(events)))).astype(np.int64)
        y, x = events.y + shift[0], events.x + shift[1]
        if events.size[0] == 1:
            y = events.y.astype(np.int64)
        stays = (y >= 0) & (y < events.size[0]) & (x >= 0) & (x < events.size[1])
        return events.replace(y=y[stays], x=x[stays], t=events.t[stays], p=events.p[stays])


class TimeJitter(EventChange):
    """Moves each event by a normally distributed time and sorts the events again.

    The standard deviation `std` is in microseconds (default 1000).
    """

    def __init__(self, std: float = 1000.0) -> None:
        self.std = at_least("TimeJitter: std", std, 0)

    def change(self, events, rng):
        t = events.t + np.rint(rng.normal(0, self.std, len(events))).astype(np.int64)
        order = np.argsort(t, kind="stable")
        return events.replace(y=events.y[order], x=events.x[order], t=t[order], p=events.p[order])


class RandomFlipPolarity(EventChange):
    """Inverts the polarity of each event with probability p (default 0.5)."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = within("RandomFlipPolarity: p", p, 0, 1)

    def change(self, events, rng):
        if events.polarities == 1:
            raise ValueError("RandomFlipPolarity: the sensor has no polarity")
        return events.replace(p=events.p ^ (rng.random(len(events)) < self.p))


class FlipEvents(EventChange):
    """Mirrors the recording left and right with probability p (default 0.5)."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = within("FlipEvents: p", p, 0, 1)

    def change(self, events, rng):
        return events.replace(x=events.size[1] - 1 - events.x.astype(np.int64)) if rng.random() < self.p else events


class DropPixel(EventChange):
    """Removes all events of hot pixels. This change is not random.

    A pixel is hot if it has more than `hot_pixel_frequency` events per second (default 1000).
    """

    def __init__(self, hot_pixel_frequency: float = 1000.0) -> None:
        self.hot_pixel_frequency = at_least("DropPixel: hot_pixel_frequency", hot_pixel_frequency, 0)

    def change(self, events, rng):
        pixel = events.y.astype(np.int64) * events.size[1] + events.x
        counts = np.bincount(pixel, minlength=events.size[0] * events.size[1])
        return events.select((counts <= self.hot_pixel_frequency * (events.duration + 1) / 1e6)[pixel])


class Denoise(EventChange):
    """Removes isolated events. This change is not random.

    An event is isolated if none of the four neighbouring pixels had an event in the `filter_time` microseconds before
    it (default 10,000).
    """

    def __init__(self, filter_time: int = 10_000) -> None:
        self.filter_time = whole("Denoise: filter_time", filter_time)

    def change(self, events, rng):
        keep = np.empty(len(events), np.bool_)
        last = np.full((events.size[0] + 2, events.size[1] + 2), np.iinfo(np.int64).min // 2)
        _supported(events.x, events.y, events.t, self.filter_time, last, keep)
        return events.select(keep)


@compiled
def _supported(x, y, t, filter_time, last, keep):
    """Set `keep` to whether each event has an earlier event beside it; `last` ``[H + 2, W + 2]`` is each pixel's last
    time.
    """
    for k in range(len(t)):
        row, column = np.int64(y[k]) + 1, np.int64(x[k]) + 1
        latest = max(last[row - 1, column], last[row + 1, column], last[row, column - 1], last[row, column + 1])
        keep[k] = t[k] - latest <= filter_time
        last[row, column] = t[k]
