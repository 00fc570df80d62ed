"""CIFAR10-DVS (Li et al. 2017): CIFAR-10 pictures that move before a DVS128 camera, as one store.

    python data_prep/cifar10_dvs.py RAW OUT.h5

RAW holds one folder per class with its 1,000 recordings cifar10_CLASS_N.aedat (AEDAT 2.0), as unpacked from the ten
archives airplane.zip ... truck.zip. There is no official split: as usual, the recordings 0 to 899 of every class are
for training and 900 to 999 for testing.
"""

import re
import sys
from pathlib import Path

from cifar10 import CLASSES

from numsnn.data import prepare
from numsnn.data.formats import read_aedat2

FIRST_TEST = 900
ADVICE = (
    "Unpack airplane.zip ... truck.zip of CIFAR10-DVS here (figshare.com/articles/dataset/CIFAR10-DVS_New/4724671), so "
    "that there are airplane/cifar10_airplane_0.aedat and so on; the .aedat4 version cannot be used"
)


def plan(raw: Path) -> prepare.Plan:
    parts = {"train": ([], []), "test": ([], [])}
    for label, folder in enumerate(prepare.existing(raw, CLASSES, ADVICE)):
        for path in prepare.matching(folder, "cifar10_*_*.aedat", ADVICE):
            number = int(re.search(r"_(\d+)\.aedat$", path.name)[1])
            files, labels = parts["test" if number >= FIRST_TEST else "train"]
            files.append(path)
            labels.append(label)
    jobs = []
    for part, (files, labels) in parts.items():
        jobs += prepare.stretches(part, files, labels, read_aedat2)
    inputs = [path for files, _ in parts.values() for path in files]
    source = "CIFAR10-DVS, Li, Liu, Ji, Li, Shi 2017; CC BY 4.0"
    note = f"no official split: recordings {FIRST_TEST} and above of every class are for testing"
    return prepare.Plan("cifar10-dvs", "events", CLASSES, source, jobs, inputs, size=(128, 128), note=note)


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
