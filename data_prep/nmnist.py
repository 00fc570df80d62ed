"""N-MNIST (Orchard et al. 2015): MNIST before a moving ATIS camera, as one store.

    python data_prep/nmnist.py RAW OUT.h5

RAW holds the folders Train and Test with one folder per digit, as unpacked from Train.zip (1.1 GB, MD5
20959b8e626244a1b502305a9e6e2031) and Test.zip (MD5 69ca8762b2fe404d9b9bad1103e97832). The store has 60,000 training and
10,000 test recordings of three saccades on 34x34 pixels, which is the official split.
"""

import sys
from pathlib import Path

from numsnn.data import prepare
from numsnn.data.formats import read_atis

CLASSES = list("0123456789")
ADVICE = (
    "Unpack Train.zip (MD5 20959b8e626244a1b502305a9e6e2031) and Test.zip (MD5 69ca8762b2fe404d9b9bad1103e97832) of "
    "N-MNIST here (www.garrickorchard.com/datasets/n-mnist), so that there are Train/0/*.bin and so on"
)


def plan(raw: Path) -> prepare.Plan:
    jobs, inputs = [], []
    for part, name in (("train", "Train"), ("test", "Test")):
        folders = prepare.existing(raw, [f"{name}/{digit}" for digit in CLASSES], ADVICE)
        some, files = prepare.by_class(part, folders, "*.bin", ADVICE, read_atis)
        jobs += some
        inputs += files
    source = "N-MNIST, Orchard, Jayawant, Cohen, Thakor 2015; CC BY-SA 4.0"
    return prepare.Plan("nmnist", "events", CLASSES, source, jobs, inputs, size=(34, 34))


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
