"""CIFAR-10 as recordings of a simulated event camera: an event task that is harder than digits-dvs.

    python -m benchmarks.data.cifar_events CIFAR.h5 OUT.h5 [--workers N]

CIFAR.h5 is the store that data_prep/cifar10.py makes. Of its pictures, the first 7,000 for training and the first 2,000
for testing are turned into grey and moved before `numsnn.data.dvs.Sensor` in three saccades of 100 ms, as in N-MNIST.
The recordings are simulated: they are not those of CIFAR10-DVS (Li et al. 2017), which a real camera made.
"""

import argparse
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn.cores import available_cores
from numsnn.data import prepare
from numsnn.data.dvs import Sensor, saccades

from ..common import need_positive

SIZE = (32, 32)
STEP = 1000
TRAIN, TEST = 7000, 2000
LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a grey picture (ITU-R BT.601)."""


def plan(path: Path, train: int = TRAIN, test: int = TEST) -> prepare.Plan:
    """The store as a plan of jobs; `train` and `test` are numbers of recordings."""
    store = snn.data.open(path)
    sensor, motion = Sensor(SIZE), saccades(step=STEP)

    def job(part, samples, first, last, number):
        def make():
            x, y = samples.batch(np.arange(first, last))
            grey = x.astype(np.float64) @ LUMA
            return [sensor.record(one, motion, STEP, number + first + k) for k, one in enumerate(grey)], y

        return prepare.Job(part, f"{first}", make)

    jobs = []
    for part, samples, count, number in (("train", store.train, train, 0), ("test", store.test, test, train)):
        ends = range(0, count, prepare.STRETCH)
        jobs += [job(part, samples, first, min(first + prepare.STRETCH, count), number) for first in ends]
    source = "CIFAR-10 (Krizhevsky 2009) before a simulated event camera"
    classes = list(store.train.classes)
    return prepare.Plan("cifar10-dvs-sim", "events", classes, source, jobs, [path], size=SIZE, settings={"step": STEP})


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cifar", type=Path, metavar="CIFAR.h5", help="the store that data_prep/cifar10.py makes")
    parser.add_argument("out", type=Path, metavar="OUT.h5", help="store to write")
    parser.add_argument("--workers", type=int, default=available_cores(), help="number of threads")
    chosen = parser.parse_args(arguments)
    need_positive(parser, chosen, "workers")
    print(prepare.run(plan(chosen.cifar), chosen.out, chosen.workers))


if __name__ == "__main__":
    main()
