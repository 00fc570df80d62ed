"""Random changes of recordings, named as in tonic where it has them. See `numsnn.data.augment`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .compiled import compiled
from .events import Events


def number(owner, name: str, value, low: float, high: float = math.inf, whole: bool = False) -> Any:
    """A number in [low, high], or ValueError."""
    kinds = int | np.integer if whole else int | float | np.integer | np.floating
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        end = "" if high == math.inf else f" and at most {high}"
        raise ValueError(f"{type(owner).__name__}: {name} must be {kind} of at least {low}{end}; got {value!r}")
    return value


class EventChange:
    """Base of changes of events: called with a recording and a random generator."""

    change: Callable[[Events, np.random.Generator], Events]

    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        return self.change(events, rng) if len(events) else events

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"


class DropEvent(EventChange):
    """Leaves out every event with probability p."""

    def __init__(self, p: float = 0.1) -> None:
        self.p = number(self, "p", p, 0, 1)

    def change(self, events, rng):
        return events.select(rng.random(len(events)) >= self.p)


class DropEventByTime(EventChange):
    """Leaves out a stretch of `duration_ratio` of the recording's time, anywhere in it."""

    def __init__(self, duration_ratio: float = 0.2) -> None:
        self.duration_ratio = number(self, "duration_ratio", duration_ratio, 0, 1)

    def change(self, events, rng):
        length = events.duration * self.duration_ratio
        start = events.t[0] + rng.random() * (events.duration - length)
        return events.select((events.t < start) | (events.t > start + length))


class DropEventByArea(EventChange):
    """Leaves out a rectangle of `area_ratio` of the sensor, in its proportions, anywhere on it."""

    def __init__(self, area_ratio: float = 0.2) -> None:
        self.area_ratio = number(self, "area_ratio", area_ratio, 0, 1)

    def change(self, events, rng):
        inside = True
        for column, side in ((events.y, events.size[0]), (events.x, events.size[1])):
            length = round(side * math.sqrt(self.area_ratio))
            start = int(rng.integers(0, side - length + 1))
            inside = inside & (column >= start) & (column < start + length)
        return events.select(~inside)


class SpatialJitter(EventChange):
    """Moves every event by a normally distributed number of pixels; what leaves the sensor is left out."""

    def __init__(self, std: float = 1.0) -> None:
        self.std = number(self, "std", std, 0)

    def change(self, events, rng):
        shift = np.rint(rng.normal(0, self.std, (2, len(events)))).astype(np.int64)
        y, x = events.y + shift[0], events.x + shift[1]
        if events.size[0] == 1:
            y = events.y.astype(np.int64)
        stays = (y >= 0) & (y < events.size[0]) & (x >= 0) & (x < events.size[1])
        return events.replace(y=y[stays], x=x[stays], t=events.t[stays], p=events.p[stays])


class TimeJitter(EventChange):
    """Moves every event by a normally distributed time, std microseconds, and puts them in order again."""

    def __init__(self, std: float = 1000.0) -> None:
        self.std = number(self, "std", std, 0)

    def change(self, events, rng):
        t = events.t + np.rint(rng.normal(0, self.std, len(events))).astype(np.int64)
        order = np.argsort(t, kind="stable")
        return events.replace(y=events.y[order], x=events.x[order], t=t[order], p=events.p[order])


class RandomFlipPolarity(EventChange):
    """Turns every event's polarity over with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = number(self, "p", p, 0, 1)

    def change(self, events, rng):
        if events.polarities == 1:
            raise ValueError("RandomFlipPolarity: the sensor has no polarity")
        return events.replace(p=events.p ^ (rng.random(len(events)) < self.p))


class FlipEvents(EventChange):
    """Mirrors left and right with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = number(self, "p", p, 0, 1)

    def change(self, events, rng):
        return events.replace(x=events.size[1] - 1 - events.x.astype(np.int64)) if rng.random() < self.p else events


class DropPixel(EventChange):
    """Leaves out all events of hot pixels: those with more than `hot_pixel_frequency` events a second. Not random."""

    def __init__(self, hot_pixel_frequency: float = 1000.0) -> None:
        self.hot_pixel_frequency = number(self, "hot_pixel_frequency", hot_pixel_frequency, 0)

    def change(self, events, rng):
        pixel = events.y.astype(np.int64) * events.size[1] + events.x
        counts = np.bincount(pixel, minlength=events.size[0] * events.size[1])
        return events.select((counts <= self.hot_pixel_frequency * (events.duration + 1) / 1e6)[pixel])


class Denoise(EventChange):
    """Leaves out events none of whose four neighbours had one within `filter_time` microseconds before. Not random."""

    def __init__(self, filter_time: int = 10_000) -> None:
        self.filter_time = int(number(self, "filter_time", filter_time, 1, whole=True))

    def change(self, events, rng):
        keep = np.empty(len(events), np.bool_)
        last = np.full((events.size[0] + 2, events.size[1] + 2), np.iinfo(np.int64).min // 2)
        _supported(events.x, events.y, events.t, self.filter_time, last, keep)
        return events.select(keep)


@compiled
def _supported(x, y, t, filter_time, last, keep):
    """last: [H + 2, W + 2], time of every pixel's last event, with a border all around."""
    for k in range(len(t)):
        row, column = np.int64(y[k]) + 1, np.int64(x[k]) + 1
        latest = max(last[row - 1, column], last[row + 1, column], last[row, column - 1], last[row, column + 1])
        keep[k] = t[k] - latest <= filter_time
        last[row, column] = t[k]
