"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017) from its four IDX files, gzip or not, as one store.

    python data_prep/fashion_mnist.py RAW OUT.h5

The store has 60,000 training and 10,000 test pictures, which is the official split. The publisher's MD5 sums are
    train-images-idx3-ubyte.gz  8d4fb7e6c68d591d4c3dfef9ec88bf0d
    train-labels-idx1-ubyte.gz  25c81989df183df01b3e8a0aad5dffbe
    t10k-images-idx3-ubyte.gz   bef4ecab320f06d8554ea6380940ec79
    t10k-labels-idx1-ubyte.gz   bb300cfdad3c16e7a12a480ee83cd310
"""

import sys
from pathlib import Path

from mnist import idx_plan

from numsnn.data import prepare

CLASSES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
ADVICE = "The four files are published at github.com/zalandoresearch/fashion-mnist; this script states their MD5 sums"


def plan(raw: Path) -> prepare.Plan:
    return idx_plan(raw, "fashion-mnist", CLASSES, "Fashion-MNIST, Xiao, Rasul, Vollgraf 2017; MIT", ADVICE)


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
