"""CIFAR-10 (Krizhevsky 2009), the binary version, as one store.

    python data_prep/cifar10.py RAW OUT.h5

RAW is the folder cifar-10-batches-bin, or a folder that contains it. It is the content of cifar-10-binary.tar.gz (162
MB, MD5 c32a1d4ab5d03f1284b67883e8d87530). The store has 50,000 training and 10,000 test pictures, which is the official
split. The Python version is pickled and cannot be used.
"""

import sys
from pathlib import Path

from numsnn.data import prepare
from numsnn.data.formats import read_cifar

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
ADVICE = (
    "It comes with cifar-10-binary.tar.gz (162 MB, MD5 c32a1d4ab5d03f1284b67883e8d87530) from "
    "www.cs.toronto.edu/~kriz/cifar.html; unpack it here. The Python version (.pkl) cannot be used"
)


def plan(raw: Path) -> prepare.Plan:
    inside = raw / "cifar-10-batches-bin"
    names = [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]
    files = prepare.existing(inside if inside.is_dir() else raw, names, ADVICE)
    jobs = [
        prepare.Job("test" if path.stem == "test_batch" else "train", path.stem, lambda path=path: read_cifar(path))
        for path in files
    ]
    source = "CIFAR-10, Krizhevsky 2009, Learning multiple layers of features from tiny images"
    return prepare.Plan("cifar10", "pictures", CLASSES, source, jobs, files, scale=1 / 255)


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
