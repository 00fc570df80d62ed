"""CIFAR-100 (Krizhevsky 2009), the binary version, as one store with its hundred classes.

    python data_prep/cifar100.py RAW OUT.h5

RAW is the folder cifar-100-binary, or a folder that contains it. It is the content of cifar-100-binary.tar.gz (161 MB,
MD5 03b5dce01913d631647c71ecec9e9cb8). The store has 50,000 training and 10,000 test pictures, which is the official
split. The Python version is pickled and cannot be used.
"""

import sys
from pathlib import Path

from numsnn.data import prepare
from numsnn.data.formats import read_cifar

ADVICE = (
    "It comes with cifar-100-binary.tar.gz (161 MB, MD5 03b5dce01913d631647c71ecec9e9cb8) from "
    "www.cs.toronto.edu/~kriz/cifar.html; unpack it here. The Python version (without .bin files) cannot be used"
)


def plan(raw: Path) -> prepare.Plan:
    inside = raw / "cifar-100-binary"
    names = ["train.bin", "test.bin", "fine_label_names.txt"]
    files = prepare.existing(inside if inside.is_dir() else raw, names, ADVICE)
    classes = " ".join(prepare.lines(files[2])).split()
    if len(classes) != 100:
        raise ValueError(f"{files[2]}: expected the names of 100 classes; found {len(classes)}")
    jobs = [prepare.Job(path.stem, path.stem, lambda path=path: read_cifar(path, classes=100)) for path in files[:2]]
    source = "CIFAR-100, Krizhevsky 2009, Learning multiple layers of features from tiny images"
    return prepare.Plan("cifar100", "pictures", classes, source, jobs, files, scale=1 / 255)


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
