"""The digits that ship with the package, seen by a simulated event camera."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .dataset import Dataset
from .dvs import Sensor, saccades
from .frames import Frames
from .store import pack
from .stored import RecordingsInMemory

SIZE = (20, 20)
STEP = 1000
PLACES = ((-2.0, -2.0), (0.0, 2.0), (2.0, -2.0), (-2.0, -2.0))


def simulate(digits: Dataset, name: str, first: int = 0) -> RecordingsInMemory:
    """Recordings of pictures ``[N, 8, 8, 1]``, each pixel shown as 2x2, on 20x20 pixels; three saccades of 100 ms.

    first: index of the first recording, which chooses the noise; the same for any number of threads.
    """
    sensor, motion = Sensor(SIZE), saccades(PLACES, step=STEP)

    def record(index):
        light = np.kron(digits.x[index, :, :, 0] * digits.scale, np.ones((2, 2)))
        return sensor.record(light, motion, STEP, first + index)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        columns = pack(pool.map(record, range(len(digits))), SIZE, 2)
    address, time, lengths, start = (columns[key] for key in ("address", "time", "lengths", "start"))
    return RecordingsInMemory(address, time, lengths, start, digits.y, digits.classes, SIZE, 2, name)


def recordings(train: Dataset, test: Dataset) -> tuple[RecordingsInMemory, RecordingsInMemory]:
    """Both parts of the digits as recordings."""
    return simulate(train, "digits-dvs train"), simulate(test, "digits-dvs test", len(train))


def frames(train: Dataset, test: Dataset, **options) -> tuple[Frames, Frames]:
    """Both parts of the digits as frames; options as for `Frames`."""
    first, second = recordings(train, test)
    return Frames(first, **options), Frames(second, **options)
