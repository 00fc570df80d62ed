"""MNIST (LeCun, Cortes, Burges) from its four IDX files, gzip or not, as one store.

    python data_prep/mnist.py RAW OUT.h5

RAW holds train-images-idx3-ubyte.gz (9,912,422 bytes), train-labels-idx1-ubyte.gz (28,881), t10k-images-idx3-ubyte.gz
(1,648,877) and t10k-labels-idx1-ubyte.gz (4,542). The store has 60,000 training and 10,000 test pictures, which is the
official split.
"""

import sys
from pathlib import Path

from numsnn.data import prepare
from numsnn.data.formats import read_idx

CLASSES = list("0123456789")
ADVICE = (
    "These are the files of the MNIST database of handwritten digits (yann.lecun.com/exdb/mnist), each with or without "
    ".gz: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
)


def find(raw: Path, name: str, advice: str) -> Path:
    """Return the path of an IDX file, with or without .gz."""
    if (raw / name).exists():
        return raw / name
    return prepare.existing(raw, [f"{name}.gz"], advice)[0]


def pictures_and_labels(files: list[Path]):
    """Return the pictures and labels of a pair of IDX files."""
    x, y = map(read_idx, files)
    if x.ndim != 3 or len(x) != len(y):
        raise ValueError(
            f"{files[0]} and {files[1].name} do not belong together: they have shapes {x.shape} and {y.shape}"
        )
    return x, y


def idx_plan(raw: Path, name: str, classes: list[str], source: str, advice: str) -> prepare.Plan:
    """Return the plan of a dataset that consists of four files like MNIST's."""
    jobs, inputs = [], []
    for part, prefix in (("train", "train"), ("test", "t10k")):
        files = [find(raw, f"{prefix}-{kind}-ubyte", advice) for kind in ("images-idx3", "labels-idx1")]

        def make(files=files):
            x, y = pictures_and_labels(files)
            return x[..., None], y

        jobs.append(prepare.Job(part, part, make))
        inputs += files
    return prepare.Plan(name, "pictures", classes, source, jobs, inputs, scale=1 / 255)


def plan(raw: Path) -> prepare.Plan:
    source = "MNIST database of handwritten digits, LeCun, Cortes, Burges; CC BY-SA 3.0"
    return idx_plan(raw, "mnist", CLASSES, source, ADVICE)


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
