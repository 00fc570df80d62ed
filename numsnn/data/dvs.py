"""An event camera that watches a picture while it moves: event streams from pictures, without a camera.

A pixel sees the logarithm of the picture's light where it looks at the moment, L(t) = log(picture + ambient). It keeps
the level of its last event and fires when L has moved away from it by its threshold: ON above, OFF below. Then it is
blind for the refractory time, after which it takes the level there as the new one. Thresholds differ from pixel to
pixel and stay with the sensor. Noise fires at random. Between steps of the motion L runs linearly.

The model is the usual one of event cameras (Lichtsteiner, Posch, Delbruck 2008, "A 128x128 120 dB 15 us latency
asynchronous temporal contrast vision sensor"), the motion that of Orchard et al. 2015 (N-MNIST). Not modelled: limited
bandwidth and leak of the pixels, jitter of the read-out, flicker of the monitor.

The defaults of `Sensor` were chosen by the one real N-MNIST recording at hand, a 4 (``benchmarks/data/camera.py``
prints the comparison). Of it, and in the mean of thirty simulated fours of MNIST: 4,325 and 3,892 events; 50 and 51 %
of them ON; 12 and 10 events in the median pixel that has more than one; 353 and 370 such pixels; 5.2 and 6.2 ms between
a pixel's events in the median, with 80 and 79 % of the same polarity as the one before. What differs: a tenth fewer
events, which come slower at a pixel, and of the three saccades the first gives the most of them (38, 27 and 35 %) where
in the recording the third, level one does (32, 31 and 37 %).
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from .compiled import compiled
from .events import Events, checked_size

_SENSOR, _NOISE = 0x6D69736D, 0x6E6F6973
"""Streams of random numbers: the sensor's thresholds, a recording's noise."""

SACCADES = ((-2.5, -2.5), (0.0, 2.5), (2.5, -2.5), (-2.5, -2.5))
"""Places (x, y) in pixels that the picture's centre passes: a triangle of three saccades as in N-MNIST."""


def saccades(places=SACCADES, duration: int = 100_000, step: int = 500) -> np.ndarray:
    """A motion from place to place, from rest to rest: ``[S + 1, 2]`` places (x, y) at every step.

    Args:
        places: at least two (x, y) in pixels.
        duration: microseconds from one place to the next.
        step: microseconds, a divisor of duration.

    The way covered is ``(1 - cos(pi s)) / 2`` of the distance after the share s of the time.
    """
    places = np.asarray(places, np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or len(places) < 2 or not np.isfinite(places).all():
        raise ValueError(f"saccades: places must be at least two pairs (x, y); got shape {places.shape}")
    if step < 1 or duration < step or duration % step:
        raise ValueError(f"saccades: step must divide duration; got {step} and {duration} us")
    way = (1 - np.cos(np.pi * np.arange(1, duration // step + 1) / (duration // step))) / 2
    legs = [start + way[:, None] * (end - start) for start, end in pairwise(places)]
    return np.concatenate([places[:1], *legs])


class Sensor:
    """An event camera with its own thresholds and noise.

    Args:
        size: (height, width).
        threshold: change of the logarithm of light that makes an event. Default 0.33, which together with the other
            defaults gives a digit of MNIST about as many events as N-MNIST's has.
        mismatch: standard deviation of the pixels' thresholds relative to it. Default 0.1.
        ambient: light where the picture is black, relative to where it is white. Default 0.1.
        refractory: microseconds a pixel is blind after an event. Default 1200.
        noise: events a second of every pixel that have no cause. Default 0.5.
        seed: of the thresholds, and with a recording's index of its noise.

    Raises:
        ValueError: arguments out of range.
    """

    def __init__(
        self,
        size: tuple[int, int] = (34, 34),
        threshold: float = 0.33,
        mismatch: float = 0.1,
        ambient: float = 0.1,
        refractory: int = 1200,
        noise: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.size = checked_size(size, "Sensor")
        limits = {"threshold": (threshold, 0.01), "mismatch": (mismatch, 0), "ambient": (ambient, 1e-4)}
        limits |= {"refractory": (refractory, 1), "noise": (noise, 0), "seed": (seed, 0)}
        for name, (value, least) in limits.items():
            if not (math.isfinite(value) and value >= least):
                raise ValueError(f"Sensor: {name} must be at least {least}; got {value!r}")
        self.threshold, self.mismatch, self.ambient = float(threshold), float(mismatch), float(ambient)
        self.refractory, self.noise, self.seed = float(refractory), float(noise), int(seed)
        spread = self._rng(_SENSOR).normal(1, self.mismatch, (2, *self.size))
        self._thresholds = self.threshold * np.maximum(spread, 0.25)

    def __repr__(self) -> str:
        names = ("size", "threshold", "mismatch", "ambient", "refractory", "noise", "seed")
        return f"Sensor({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def _rng(self, stream, index=0):
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(stream, index)))

    def record(self, picture: ArrayLike, motion: np.ndarray | None = None, step: int = 500, index: int = 0) -> Events:
        """The events of a picture that moves before the sensor.

        Args:
            picture: ``[h, w]`` light in 0..1, no larger than the sensor, around whose centre it is put.
            motion: ``[S + 1, 2]`` places (x, y) of its centre, a step apart; default `saccades`.
            step: microseconds.
            index: of the recording: chooses the noise.

        Raises:
            ValueError: a picture of another rank, too large, or not in 0..1.
        """
        picture = np.ascontiguousarray(picture, np.float64)
        if picture.ndim != 2 or not picture.size or any(a > b for a, b in zip(picture.shape, self.size, strict=True)):
            raise ValueError(f"Sensor.record: picture must be [h, w], at most {self.size}; got shape {picture.shape}")
        if not ((picture >= 0) & (picture <= 1)).all():
            raise ValueError("Sensor.record: light must be in 0..1; scale the picture, for example by 1 / 255")
        motion = saccades(step=step) if motion is None else np.ascontiguousarray(motion, np.float64)
        x, y, t, p = self._signal(picture, motion, step)
        noise = self._noise(len(motion) - 1, step, index)
        columns = [np.concatenate(pair) for pair in zip((x, y, t, p), noise, strict=True)]
        order = np.lexsort((columns[3], columns[0], columns[1], columns[2]))
        x, y, t, p = (column[order] for column in columns)
        return Events(x, y, t, p, self.size)

    def _signal(self, picture, motion, step):
        capacity = 16 * self.size[0] * self.size[1]
        while True:
            found = [np.empty(capacity, kind) for kind in (np.uint16, np.uint16, np.int64, np.uint8)]
            n = _watch(picture, motion, step, self.ambient, self._thresholds, self.refractory, *found)
            if n <= capacity:
                return [column[:n] for column in found]
            capacity = n

    def _noise(self, steps, step, index):
        rng = self._rng(_NOISE, index)
        height, width = self.size
        n = rng.poisson(self.noise * height * width * steps * step / 1e6)
        return (
            rng.integers(0, width, n, np.uint16),
            rng.integers(0, height, n, np.uint16),
            rng.integers(0, steps * step, n),
            rng.integers(0, 2, n, np.uint8),
        )


@compiled
def _watch(picture, motion, step, ambient, thresholds, refractory, x, y, t, p):
    """Write events as far as there is room; returns how many there are."""
    high, wide = picture.shape
    height, width = thresholds.shape[1:]
    level = np.empty((height, width))  # of the last event
    before = np.empty((height, width))
    blind = np.zeros((height, width))  # until when
    found = 0
    for s in range(len(motion)):
        left = (width - wide) / 2 + motion[s, 0]
        top = (height - high) / 2 + motion[s, 1]
        begin = (s - 1) * step
        for row in range(height):
            for column in range(width):
                v, u = row - top, column - left
                i, j = int(np.floor(v)), int(np.floor(u))
                light = 0.0
                for di in range(2):
                    for dj in range(2):
                        if 0 <= i + di < high and 0 <= j + dj < wide:
                            light += (1 - abs(v - i - di)) * (1 - abs(u - j - dj)) * picture[i + di, j + dj]
                now = np.log(light + ambient)
                if s == 0:
                    level[row, column] = before[row, column] = now
                    continue
                start = before[row, column]
                before[row, column] = now
                slope = (now - start) / step
                while True:
                    if blind[row, column] >= begin:  # with its end between two steps, too, the level is a new one
                        if blind[row, column] >= begin + step:
                            break
                        level[row, column] = start + slope * (blind[row, column] - begin)
                        blind[row, column] = 0.0
                    change = now - level[row, column]
                    if change >= thresholds[1, row, column]:
                        target, polarity = level[row, column] + thresholds[1, row, column], 1
                    elif -change >= thresholds[0, row, column]:
                        target, polarity = level[row, column] - thresholds[0, row, column], 0
                    else:
                        break
                    time = begin + (target - start) / slope
                    if found < len(x):
                        x[found] = column
                        y[found] = row
                        t[found] = int(time)
                        p[found] = polarity
                    found += 1
                    blind[row, column] = time + refractory
    return found
