"""A simulated event camera, which turns a moving picture into a stream of events.

Each pixel sees the logarithm of the light at its place in the moving picture, L(t) = log(picture + ambient). It
remembers the level of its last event. When L differs from this level by the pixel's threshold, the pixel emits an
event: ON if L is larger, OFF if it is smaller. Then the pixel is blind for the refractory time, and L at the end of
that time becomes the new level. Each pixel has thresholds of its own, which are the same in all recordings of a sensor.
Noise events occur at random times. L is interpolated linearly between the steps of the motion.

The model is the usual one of event cameras (Lichtsteiner, Posch, Delbruck 2008, "A 128x128 120 dB 15 us latency
asynchronous temporal contrast vision sensor"), and the motion is that of Orchard et al. 2015 (N-MNIST). Limited
bandwidth and leak of the pixels, jitter of the read-out and flicker of the monitor are not modelled.

The defaults of `Sensor` were chosen with one real N-MNIST recording, a digit 4; ``benchmarks/data/camera.py`` prints
the comparison:

    quantity                                                recording      mean of 30 simulated fours
    events                                                  4,325          3,892
    share of ON events                                      50 %           51 %
    pixels with more than one event                         353            370
    median number of events of these pixels                 12             10
    median time between two events of a pixel               5.2 ms         6.2 ms
    events with the polarity of the pixel's previous event  80 %           79 %
    share of the events in the three saccades               32, 31, 37 %   38, 27, 35 %

The simulation has a tenth fewer events, they follow one another more slowly, and its first saccade has the most events,
while the third one has in the recording.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from ..capacity import need_memory
from ..shown import shown
from ..validate import at_least, real_array, whole
from .compiled import compiled
from .events import Events, checked_size

_SENSOR, _NOISE = 0x6D69736D, 0x6E6F6973
"""Keys of two streams of random numbers: the sensor's thresholds, and the noise of a recording."""

LONGEST_STEP = 10**7
"""Microseconds of the longest step of a motion; noise is made for every microsecond."""

SACCADES = ((-2.5, -2.5), (0.0, 2.5), (2.5, -2.5), (-2.5, -2.5))
"""Positions (x, y) in pixels of the picture's centre between saccades: a triangle of three saccades as in N-MNIST."""


def saccades(places=SACCADES, duration: int = 100_000, step: int = 500) -> np.ndarray:
    """Return a motion that moves from position to position and comes to rest at each of them.

    The share s of the time covers the share ``(1 - cos(pi s)) / 2`` of the distance between two positions.

    Args:
        places: at least two positions (x, y) in pixels. Default `SACCADES`.
        duration: microseconds from one position to the next. Default 100,000.
        step: microseconds between two points of the motion; must divide duration. Default 500.

    Returns:
        the position (x, y) at every step, ``[S + 1, 2]``.

    Raises:
        ValueError: fewer than two positions, or a step that does not divide the duration.
    """
    given, places = places, real_array(places)
    if places is None or places.ndim != 2 or places.shape[1] != 2 or len(places) < 2 or not np.isfinite(places).all():
        got = shown(given) if places is None else f"shape {places.shape}"
        raise ValueError(f"saccades: places must be at least two pairs (x, y); got {got}")
    places = places.astype(np.float64)
    step, duration = whole("saccades: step", step), whole("saccades: duration", duration)
    need_memory(f"saccades: duration {duration}: the motion", 16 * len(places) * (duration // step))
    if duration < step or duration % step:
        raise ValueError(f"saccades: step must divide duration; got {step} and {duration} us")
    way = (1 - np.cos(np.pi * np.arange(1, duration // step + 1) / (duration // step))) / 2
    legs = [start + way[:, None] * (end - start) for start, end in pairwise(places)]
    return np.concatenate([places[:1], *legs])


class Sensor:
    """A simulated event camera with its own thresholds and noise.

    Args:
        size: (height, width) in pixels. Default (34, 34).
        threshold: change of the logarithm of the light that causes an event. Default 0.33: with the other defaults, a
            digit of MNIST then gives about as many events as a recording of N-MNIST has.
        mismatch: standard deviation of the pixels' thresholds, relative to `threshold`. Default 0.1.
        ambient: light where the picture is black, relative to the light where it is white. Default 0.1.
        refractory: microseconds for which a pixel is blind after an event. Default 1200.
        noise: noise events per second and pixel. Default 0.5.
        seed: determines the thresholds and, together with the index of a recording, its noise. Default 0.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        size: tuple[int, int] = (34, 34),
        threshold: float = 0.33,
        mismatch: float = 0.1,
        ambient: float = 0.1,
        refractory: float = 1200,
        noise: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.size = checked_size(size, "Sensor")
        limits = {"threshold": (threshold, 0.01), "mismatch": (mismatch, 0), "ambient": (ambient, 1e-4)}
        limits |= {"refractory": (refractory, 1), "noise": (noise, 0), "seed": (seed, 0)}
        for name, (value, least) in limits.items():
            at_least(f"Sensor: {name}", value, least)
        whole("Sensor: seed", seed, 0)
        need_memory(f"Sensor: size {self.size}: the thresholds", 16 * self.size[0] * self.size[1])
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
        """Return the events of a picture that moves before the sensor.

        Args:
            picture: ``[h, w]`` light from 0 to 1, not larger than the sensor.
            motion: ``[S + 1, 2]`` positions (x, y) of the picture's centre in pixels, one per step, relative to the
                sensor's centre. Default `saccades`.
            step: microseconds between two positions. Default 500.
            index: number of the recording, which selects the noise. Default 0.

        Raises:
            ValueError: the picture has another number of axes, is too large, or holds numbers outside [0, 1].
        """
        picture = self._real("picture", picture)
        step, index = whole("Sensor.record: step", step, high=LONGEST_STEP), whole("Sensor.record: index", index, 0)
        if picture.ndim != 2 or not picture.size or any(a > b for a, b in zip(picture.shape, self.size, strict=True)):
            raise ValueError(f"Sensor.record: picture must be [h, w], at most {self.size}; got shape {picture.shape}")
        if not ((picture >= 0) & (picture <= 1)).all():
            raise ValueError("Sensor.record: light must be in 0..1; scale the picture, for example by 1 / 255")
        motion = saccades(step=step) if motion is None else self._real("motion", motion)
        if motion.ndim != 2 or motion.shape[1] != 2 or len(motion) < 2 or not np.isfinite(motion).all():
            raise ValueError(f"Sensor.record: motion must be [S + 1, 2] finite numbers; got shape {motion.shape}")
        x, y, t, p = self._signal(picture, motion, step)
        noise = self._noise(len(motion) - 1, step, index)
        columns = [np.concatenate(pair) for pair in zip((x, y, t, p), noise, strict=True)]
        order = np.lexsort((columns[3], columns[0], columns[1], columns[2]))
        x, y, t, p = (column[order] for column in columns)
        return Events(x, y, t, p, self.size)

    @staticmethod
    def _real(name, value) -> np.ndarray:
        array = real_array(value)
        if array is None:
            raise ValueError(f"Sensor.record: {name} must be an array of real numbers; got {shown(value)}")
        return np.require(array, np.float64, ["C_CONTIGUOUS", "WRITEABLE"])

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
        expected = self.noise * height * width * steps * step / 1e6
        need_memory(f"Sensor.record: {expected:.3g} events of noise", 32 * int(expected))
        n = rng.poisson(expected)
        return (
            rng.integers(0, width, n, np.uint16),
            rng.integers(0, height, n, np.uint16),
            rng.integers(0, steps * step, n),
            rng.integers(0, 2, n, np.uint8),
        )


@compiled
def _watch(picture, motion, step, ambient, thresholds, refractory, x, y, t, p):
    """Write the events into the arrays x, y, t, p until these are full; return the number of all events."""
    high, wide = picture.shape
    height, width = thresholds.shape[1:]
    level = np.empty((height, width))  # L at the last event
    before = np.empty((height, width))  # L at the previous step
    blind = np.zeros((height, width))  # end of the refractory time
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
                    if blind[row, column] >= begin:  # the refractory time ends in this step or later
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
