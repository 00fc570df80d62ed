"""Random changes of training samples (augmentation).

    train = Augmented(train, [RandomFlipLR(), RandomCrop(padding=4), Cutout(8)], seed=0)
    train = Augmented(frames, from_string("droptime0.2-jitter1-fliplr"), seed=0)

A change is an object that is called with a sample and a random generator. The random numbers are a function of (seed,
epoch, index), so that a run can be repeated and resumed. Changes of pictures and frames, in this module, take and
return arrays ``[H, W, C]`` or ``[T, H, W, C]`` of float32 and treat all time steps alike. Changes of events, in
`numsnn.data.augment_events`, take and return `numsnn.data.Events`, before the events are counted into frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..names import look_up
from ..shown import shown
from ..validate import listed, whole, within
from .augment_events import (
    Change,
    Denoise,
    DropEvent,
    DropEventByArea,
    DropEventByTime,
    DropPixel,
    EventChange,
    FlipEvents,
    RandomFlipPolarity,
    SpatialJitter,
    TimeJitter,
)
from .batch import Batch
from .compiled import compiled
from .samples import Samples, checked_rows, concat

_STREAM = 0x6175676D656E74  # "augment": no other use of the same seed may draw the same random numbers
_SHARED = (
    *("y", "target", "per_step", "classes", "lengths", "weights"),
    *("name", "sample_shape", "scale", "timed"),
)
"""Attributes of an `Augmented` that are those of its source."""


class Augmented(Samples):
    """A source of batches that changes samples at random, differently in every epoch.

    The `Loader` calls `at_epoch`. Batches that are asked for directly are those of epoch 0. Targets do not
    change.

    Args:
        source: a `numsnn.data.Dataset`, `numsnn.data.Frames` or another source of batches.
        changes: the changes in the order in which they are applied. Changes of events need `Frames` as the source, and
            must come before all changes of frames.
        seed: whole number of at least 0. Default 0.

    Raises:
        TypeError: a change of events is given for a source without events.
        ValueError: the seed is not such a number, or a change of events comes after a change of frames.
    """

    alike = (*Samples.alike, "sample_shape", "settings")

    def __init__(self, source, changes: Sequence, seed: int = 0) -> None:
        if isinstance(source, type) or not callable(getattr(source, "batch", None)) or not hasattr(source, "__len__"):
            raise TypeError(f"Augmented: source must be a Dataset or Frames; got {shown(source)}")
        given = listed("Augmented: changes", changes, "changes, such as RandomFlipLR()")
        for change in given:
            if isinstance(change, type) or not callable(change):
                hint = f". Make one: {change.__name__}()" if isinstance(change, type) else ""
                raise TypeError(
                    f"Augmented: changes must be changes, such as RandomFlipLR(); got {shown(change)}{hint}"
                )
        self.source, self.changes, self.seed, self.epoch = source, tuple(given), whole("Augmented: seed", seed, 0), 0
        self._events = [change for change in self.changes if isinstance(change, EventChange)]
        self._frames = [change for change in self.changes if not isinstance(change, EventChange)]
        if self._events and not hasattr(source, "recordings"):
            name = type(self._events[0]).__name__
            raise TypeError(f"Augmented: {name} changes events, but the source {type(source).__name__} has no events")
        if list(self.changes) != self._events + self._frames:
            raise ValueError("Augmented: changes of events must come before those of frames")

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.source)

    def __getattr__(self, name: str):
        if name in _SHARED:
            return getattr(self.source, name)
        raise AttributeError(f"Augmented has no attribute {name!r}")

    @property
    def settings(self) -> tuple[str, int, int]:
        """Changes, seed and epoch."""
        return repr(self.changes), self.seed, self.epoch

    def _take(self, rows):
        self.source = self.source.select(rows)

    def _join(self, parts):
        self.source = concat(*(part.source for part in parts))

    def _relabel(self, table, classes):
        source = self.source._twin()
        source._relabel(table, classes)
        self.source, self.y, self.classes = source, source.y, classes

    def at_epoch(self, epoch: int) -> Augmented:
        """Return this source with the random numbers of another epoch."""
        other = self._twin()
        other.epoch = whole("Augmented: epoch", epoch, 0)
        return other

    def generator(self, index: int, stage: int) -> np.random.Generator:
        """Return the random generator of one sample in this epoch.

        Its numbers come from a counter-based stream of (seed, epoch, index).

        Args:
            index: number of the sample.
            stage: 0 for changes of its events, 1 for changes of its frames.
        """
        key = np.array([self.seed & (2**64 - 1), _STREAM], np.uint64)
        counter = np.array([0, stage, self.epoch, index], np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))

    def batch(self, indices: ArrayLike) -> Batch:
        """Return the samples with these indices as the source returns them, after all changes."""
        rows = checked_rows(indices, len(self), "Augmented.batch")
        batch = Batch.of(self.source.batch(rows, edit=self._edit) if self._events else self.source.batch(rows))
        x = batch.x
        for place, index in enumerate(rows if self._frames else ()):
            sample = x[:, place] if self.timed else x[place]
            changed, rng = sample, self.generator(index, 1)
            for change in self._frames:
                changed = change(changed, rng, self)
            sample[...] = changed
        return batch

    def _edit(self, index, events):
        rng = self.generator(index, 0)
        for change in self._events:
            events = change(events, rng)
        return events


# --- changes of pictures and frames ---


class FrameChange(Change):
    """Base of the changes of pictures and frames. A call's `source` is the `Augmented` that makes the call."""

    change: Callable[[np.ndarray, np.random.Generator, Any], np.ndarray]

    def __call__(self, x: np.ndarray, rng: np.random.Generator, source=None) -> np.ndarray:
        if x.ndim not in (3, 4):
            raise ValueError(f"{type(self).__name__}: needs pictures [H, W, C] or [T, H, W, C]; got shape {x.shape}")
        return self.change(x, rng, source)


class RandomFlipLR(FrameChange):
    """Mirrors left and right with probability p (default 0.5)."""

    axis = -2

    def __init__(self, p: float = 0.5) -> None:
        self.p = within(f"{type(self).__name__}: p", p, 0, 1)

    def change(self, x, rng, source):
        return np.flip(x, self.axis).copy() if rng.random() < self.p else x


class RandomFlipUD(RandomFlipLR):
    """Mirrors top and bottom with probability p (default 0.5)."""

    axis = -3


class RandomCrop(FrameChange):
    """Moves the picture by a random whole number of pixels, at most `padding` (default 4) in each direction.

    Zeros fill the free border. This is the same as padding with zeros and cutting out the old size at a random place.
    """

    def __init__(self, padding: int = 4) -> None:
        self.padding = whole("RandomCrop: padding", padding)

    def change(self, x, rng, source):
        down, right = (int(shift) for shift in rng.integers(-self.padding, self.padding + 1, 2))
        out = np.zeros_like(x)
        height, width = x.shape[-3:-1]
        if abs(down) < height and abs(right) < width:
            rows, columns = _overlap(down, height), _overlap(right, width)
            out[..., rows[0], columns[0], :] = x[..., rows[1], columns[1], :]
        return out


def _overlap(shift, n):
    """Return the slices of the result and of the original that overlap when an axis of length n is shifted."""
    return slice(max(0, shift), n + min(0, shift)), slice(max(0, -shift), n - max(0, shift))


class Roll(FrameChange):
    """Shifts by at most `pixels` (default 2) in each direction. What leaves on one side enters on the opposite side."""

    def __init__(self, pixels: int = 2) -> None:
        self.pixels = whole("Roll: pixels", pixels)

    def change(self, x, rng, source):
        return np.roll(x, rng.integers(-self.pixels, self.pixels + 1, 2), (-3, -2))


class Rotate(FrameChange):
    """Rotates about the centre by a random angle of at most `degrees` (default 10), clockwise or anticlockwise.

    Values are interpolated linearly between pixels. Zeros fill the corners.
    """

    def __init__(self, degrees: float = 10.0) -> None:
        self.degrees = within("Rotate: degrees", degrees, 0, 180)

    def change(self, x, rng, source):
        angle = math.radians(rng.uniform(-self.degrees, self.degrees))
        flat = np.ascontiguousarray(x.reshape(-1, *x.shape[-3:]))
        out = np.empty_like(flat)
        _rotate(flat, math.cos(angle), math.sin(angle), out)
        return out.reshape(x.shape)


@compiled
def _rotate(x, cos, sin, out):
    steps, height, width, channels = x.shape
    cy, cx = (height - 1) / 2, (width - 1) / 2
    for row in range(height):
        for column in range(width):
            y = cy + cos * (row - cy) + sin * (column - cx)
            z = cx - sin * (row - cy) + cos * (column - cx)
            top, left = int(np.floor(y)), int(np.floor(z))
            for t in range(steps):
                for c in range(channels):
                    total = 0.0
                    for i in range(2):
                        for j in range(2):
                            if 0 <= top + i < height and 0 <= left + j < width:
                                share = (1 - abs(y - top - i)) * (1 - abs(z - left - j))
                                total += share * x[t, top + i, left + j, c]
                    out[t, row, column, c] = total


class Cutout(FrameChange):
    """Sets a square with sides of `size` pixels (default 8) to zero.

    The centre of the square can be any pixel of the picture, so that a part of the square may lie outside.
    """

    def __init__(self, size: int = 8) -> None:
        self.size = whole("Cutout: size", size)

    def change(self, x, rng, source):
        out = x.copy()
        rows, columns = (
            slice(max(0, middle - self.size // 2), middle - self.size // 2 + self.size)
            for middle in (int(rng.integers(x.shape[-3])), int(rng.integers(x.shape[-2])))
        )
        out[..., rows, columns, :] = 0
        return out


class Mixup(FrameChange):
    """Mixes a sample with another sample of the data: share * sample + (1 - share) * other.

    The share is drawn from Beta(alpha, alpha); alpha is 0.2 by default. Targets are not mixed: the sample keeps its
    target and has the larger share, at least 1/2.
    """

    def __init__(self, alpha: float = 0.2) -> None:
        self.alpha = within("Mixup: alpha", alpha, 1e-3, 1e3)

    def change(self, x, rng, source):
        if source is None:
            raise ValueError("Mixup: works only inside Augmented, because it needs the other samples of the data")
        share = rng.beta(self.alpha, self.alpha)
        share = max(share, 1 - share)
        other, _ = source.source.batch([int(rng.integers(len(source.source)))])
        other = other[:, 0] if source.timed else other[0]
        return np.float32(share) * x + np.float32(1 - share) * other


# --- by name ---

CHANGES: dict[str, Callable[..., Any]] = {
    "fliplr": RandomFlipLR,
    "flipud": RandomFlipUD,
    "crop": RandomCrop,
    "roll": Roll,
    "rotate": Rotate,
    "cutout": Cutout,
    "mixup": Mixup,
    "drop": DropEvent,
    "droptime": DropEventByTime,
    "droparea": DropEventByArea,
    "jitter": SpatialJitter,
    "timejitter": TimeJitter,
    "polarity": RandomFlipPolarity,
    "hotpixel": DropPixel,
    "denoise": Denoise,
    "flipevents": FlipEvents,
}
"""Maps the name of a change in a line of text to its class."""


def from_string(text: str) -> list:
    """Return the changes that a line of text names.

    The text consists of names of `CHANGES` joined by "-". A number directly after a name is the first argument of the
    change: ``"fliplr-crop4-cutout8"`` is ``[RandomFlipLR(), RandomCrop(4), Cutout(8)]``.

    Raises:
        ValueError: a name is unknown, or an argument is out of range.
    """
    if not isinstance(text, str):
        raise ValueError(f"augment: text must be names of changes, such as 'fliplr-crop4'; got {shown(text)}")
    changes = []
    for token in filter(None, text.strip().split("-")):
        name = token.rstrip("0123456789.")
        digits = token[len(name) :]
        change = look_up("augment: change", name, CHANGES)
        try:
            value = [float(digits) if "." in digits else int(digits)] if digits else []
        except ValueError:
            raise ValueError(f"augment: {shown(token)}: {shown(digits)} is not a number") from None
        changes.append(change(*value))
    return changes
