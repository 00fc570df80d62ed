"""MNIST seen by a simulated event camera, as one store.

    python data_prep/mnist_dvs.py RAW OUT.h5

RAW holds MNIST's four IDX files (see mnist.py). The split is MNIST's. Recordings have three saccades on 34x34 pixels,
as in N-MNIST. The camera is `numsnn.data.dvs.Sensor` with its defaults, so that the same pictures give the same file.
"""

import sys
from pathlib import Path

from mnist import ADVICE, CLASSES, find, pictures_and_labels

from numsnn.data import prepare
from numsnn.data.dvs import Sensor, saccades

SIZE = (34, 34)


def plan(raw: Path) -> prepare.Plan:
    sensor, motion = Sensor(SIZE), saccades()
    jobs, inputs, start = [], [], 0
    for part, prefix in (("train", "train"), ("test", "t10k")):
        files = [find(raw, f"{prefix}-{kind}-ubyte", ADVICE) for kind in ("images-idx3", "labels-idx1")]
        x, y = pictures_and_labels(files)
        for first in range(0, len(x), prepare.STRETCH):
            rows = slice(first, first + prepare.STRETCH)

            def make(x=x[rows], y=y[rows], index=start + first):
                return [sensor.record(light / 255, motion, index=index + k) for k, light in enumerate(x)], y

            jobs.append(prepare.Job(part, str(first), make))
        inputs += files
        start += len(x)
    source = "simulated from the MNIST database of handwritten digits, LeCun, Cortes, Burges; CC BY-SA 3.0"
    settings = {"sensor": repr(sensor), "motion": motion.tolist()}
    return prepare.Plan("mnist-dvs", "events", CLASSES, source, jobs, inputs, size=SIZE, settings=settings)


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
