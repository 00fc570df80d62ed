"""The digits that ship with the package, as recordings of a simulated event camera."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..cores import available_cores
from .dataset import Dataset
from .dvs import Sensor, saccades
from .frames import Frames
from .recordings import Recordings, pack
from .stored import EventsInMemory

SIZE = (20, 20)
STEP = 1000
PLACES = ((-2.0, -2.0), (0.0, 2.0), (2.0, -2.0), (-2.0, -2.0))


def simulate(digits: Dataset, name: str, first: int = 0) -> Recordings:
    """Return recordings of pictures ``[N, 8, 8, 1]`` that move before a sensor of 20x20 pixels.

    Each pixel of a picture covers 2x2 pixels of the sensor. A recording has three saccades of 100 ms each. It is the
    same for any number of threads.

    Args:
        digits: the pictures.
        name: name of the recordings.
        first: index of the first recording; a recording's index selects its noise. Default 0.
    """
    sensor, motion = Sensor(SIZE), saccades(PLACES, step=STEP)

    def record(index):
        light = np.kron(digits.x[index, :, :, 0] * digits.scale, np.ones((2, 2)))
        return sensor.record(light, motion, STEP, first + index)

    with ThreadPoolExecutor(available_cores()) as pool:
        columns = pack(pool.map(record, range(len(digits))), SIZE, 2)
    return Recordings.placed(EventsInMemory(columns, SIZE, 2, name), digits, name)


def recordings(train: Dataset, test: Dataset) -> tuple[Recordings, Recordings]:
    """Return both parts of the digits as recordings."""
    return simulate(train, "digits-dvs train"), simulate(test, "digits-dvs test", len(train))


def frames(train: Dataset, test: Dataset, **options) -> tuple[Frames, Frames]:
    """Return both parts of the digits as frames. The options are those of `Frames`."""
    first, second = recordings(train, test)
    return Frames(first, **options), Frames(second, **options)
