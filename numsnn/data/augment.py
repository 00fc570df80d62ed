"""Random changes of training samples: a function of (seed, epoch, index), so that a run can be repeated and resumed.

    train = Augmented(train, [RandomFlipLR(), RandomCrop(padding=4), Cutout(8)], seed=0)
    train = Augmented(frames, from_string("droptime0.2-jitter1-fliplr"), seed=0)

A change is an object that is called with a sample and a random generator. Changes of pictures and frames, in this file,
take and give ``[H, W, C]`` or ``[T, H, W, C]`` float32 and treat all steps alike; those of events, in
`numsnn.data.augment_events`, take and give `numsnn.data.Events` and come before the events are counted into frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..names import look_up
from .augment_events import (
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
    number,
)
from .compiled import compiled
from .dataset import checked_rows

_STREAM = 0x6175676D656E74  # "augment": sets these numbers apart from others of the same seed


class Augmented:
    """A source whose samples are changed at random, differently in every epoch.

    Args:
        source: a `numsnn.data.Dataset`, `numsnn.data.Frames` or another source of batches.
        changes: in the order they are applied. Changes of events need `Frames`, and all come before those of frames.
        seed: whole number >= 0.

    The `Loader` asks for `at_epoch`; batches asked for here are those of epoch 0. Labels stay as they are.

    Raises:
        TypeError: a change of events for a source without events.
        ValueError: a bad seed, or a change of events behind one of frames.
    """

    def __init__(self, source, changes: Sequence, seed: int = 0) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"Augmented: seed must be a whole number >= 0; got {seed!r}")
        self.source, self.changes, self.seed, self.epoch = source, tuple(changes), int(seed), 0
        self._events = [change for change in self.changes if isinstance(change, EventChange)]
        self._frames = [change for change in self.changes if not isinstance(change, EventChange)]
        if self._events and not hasattr(source, "recordings"):
            name = type(self._events[0]).__name__
            raise TypeError(f"Augmented: {name} changes events; the source, {type(source).__name__}, has none")
        if list(self.changes) != self._events + self._frames:
            raise ValueError("Augmented: changes of events must come before those of frames")

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.source)

    def __getattr__(self, name: str):
        if name in ("sample_shape", "classes", "n_classes", "name", "y", "scale", "timed"):
            return getattr(self.source, name)
        raise AttributeError(f"Augmented has no attribute {name!r}")

    def at_epoch(self, epoch: int) -> Augmented:
        """The source as it is in this epoch."""
        other = Augmented(self.source, self.changes, self.seed)
        other.epoch = int(epoch)
        return other

    def generator(self, index: int, stage: int) -> np.random.Generator:
        """Random numbers of a sample in this epoch, for its events (stage 0) or its frames (1): a counter-based stream
        of (seed, epoch, index)."""
        key = np.array([self.seed & (2**64 - 1), _STREAM], np.uint64)
        counter = np.array([0, stage, self.epoch, index], np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))

    def batch(self, indices: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """``(x, y)`` of the named samples, as the source gives them, changed."""
        rows = checked_rows(indices, len(self), "Augmented.batch")
        x, y = self.source.batch(rows, edit=self._edit) if self._events else self.source.batch(rows)
        for place, index in enumerate(rows if self._frames else ()):
            sample = x[:, place] if self.timed else x[place]
            changed, rng = sample, self.generator(index, 1)
            for change in self._frames:
                changed = change(changed, rng, self)
            sample[...] = changed
        return x, y

    def _edit(self, index, events):
        rng = self.generator(index, 0)
        for change in self._events:
            events = change(events, rng)
        return events


# --- changes of pictures and frames ---


class FrameChange:
    """Base of changes of pictures and frames. `source` is the Augmented that asks."""

    change: Callable[[np.ndarray, np.random.Generator, Any], np.ndarray]

    def __call__(self, x: np.ndarray, rng: np.random.Generator, source=None) -> np.ndarray:
        if x.ndim not in (3, 4):
            raise ValueError(f"{type(self).__name__}: needs pictures [H, W, C] or [T, H, W, C]; got shape {x.shape}")
        return self.change(x, rng, source)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"


class RandomFlipLR(FrameChange):
    """Mirrors left and right with probability p."""

    axis = -2

    def __init__(self, p: float = 0.5) -> None:
        self.p = number(self, "p", p, 0, 1)

    def change(self, x, rng, source):
        return np.flip(x, self.axis).copy() if rng.random() < self.p else x


class RandomFlipUD(RandomFlipLR):
    """Mirrors top and bottom with probability p."""

    axis = -3


class RandomCrop(FrameChange):
    """Pads with zeros on all sides and cuts out the old size at a random place: a shift by at most `padding`."""

    def __init__(self, padding: int = 4) -> None:
        self.padding = int(number(self, "padding", padding, 1, whole=True))

    def change(self, x, rng, source):
        down, right = (int(shift) for shift in rng.integers(-self.padding, self.padding + 1, 2))
        out = np.zeros_like(x)
        height, width = x.shape[-3:-1]
        if abs(down) < height and abs(right) < width:
            rows, columns = _overlap(down, height), _overlap(right, width)
            out[..., rows[0], columns[0], :] = x[..., rows[1], columns[1], :]
        return out


def _overlap(shift, n):
    """Slices of the target and of the source of a shift."""
    return slice(max(0, shift), n + min(0, shift)), slice(max(0, -shift), n - max(0, shift))


class Roll(FrameChange):
    """Shifts by at most `pixels`; what leaves on one side comes in on the other."""

    def __init__(self, pixels: int = 2) -> None:
        self.pixels = int(number(self, "pixels", pixels, 1, whole=True))

    def change(self, x, rng, source):
        return np.roll(x, rng.integers(-self.pixels, self.pixels + 1, 2), (-3, -2))


class Rotate(FrameChange):
    """Turns about the centre by at most `degrees` either way, between pixels linearly; zeros come in at the corners."""

    def __init__(self, degrees: float = 10.0) -> None:
        self.degrees = number(self, "degrees", degrees, 0, 180)

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
    """Sets a square of `size` pixels a side to zero; its centre is anywhere in the picture, so it may hang over."""

    def __init__(self, size: int = 8) -> None:
        self.size = int(number(self, "size", size, 1, whole=True))

    def change(self, x, rng, source):
        out = x.copy()
        rows, columns = (
            slice(max(0, middle - self.size // 2), middle - self.size // 2 + self.size)
            for middle in (int(rng.integers(x.shape[-3])), int(rng.integers(x.shape[-2])))
        )
        out[..., rows, columns, :] = 0
        return out


class Mixup(FrameChange):
    """Mixes a sample with another one of the data: s of the sample and 1 - s of the other, s from Beta(alpha, alpha).

    The losses take one label a sample, so the sample keeps its own label and the larger share, s >= 1/2.
    """

    def __init__(self, alpha: float = 0.2) -> None:
        self.alpha = number(self, "alpha", alpha, 1e-3, 1e3)

    def change(self, x, rng, source):
        if source is None:
            raise ValueError("Mixup: works inside Augmented only, which knows the other samples")
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
"""Name in a line of text -> change."""


def from_string(text: str) -> list:
    """Changes from a line of text: names of `CHANGES` joined by "-", each with its first argument or none.

    ``"fliplr-crop4-cutout8"`` is ``[RandomFlipLR(), RandomCrop(4), Cutout(8)]``. Raises ValueError for another name or
    an argument out of range.
    """
    changes = []
    for token in filter(None, text.strip().split("-")):
        name = token.rstrip("0123456789.")
        digits = token[len(name) :]
        change = look_up("augment: change", name, CHANGES)
        try:
            value = [float(digits) if "." in digits else int(digits)] if digits else []
        except ValueError:
            raise ValueError(f"augment: {token!r}: {digits!r} is not a number") from None
        changes.append(change(*value))
    return changes
