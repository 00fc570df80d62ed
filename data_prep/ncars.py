"""N-CARS (Sironi et al. 2018): cars and background before an ATIS camera in traffic, as one store.

    python data_prep/ncars.py RAW OUT.h5

RAW holds the folders n-cars_train and n-cars_test (or train and test), each with the folders background and cars of
.dat files, as unpacked from the publisher's archive. The store has 15,422 training and 8,607 test recordings of 100 ms
on up to 120x100 pixels, which is the official split.
"""

import sys
from pathlib import Path

from numsnn.data import prepare
from numsnn.data.formats import read_dat

CLASSES = ["background", "cars"]
SIZE = (100, 120)
ADVICE = (
    "Unpack the archive of N-CARS (www.prophesee.ai/2018/03/13/dataset-n-cars) here, so that there are "
    "n-cars_train/cars/*.dat and so on"
)


def plan(raw: Path) -> prepare.Plan:
    jobs, inputs = [], []
    for part in ("train", "test"):
        name = part if (raw / part).is_dir() else f"n-cars_{part}"
        folders = prepare.existing(raw, [f"{name}/{label}" for label in CLASSES], ADVICE)
        some, files = prepare.by_class(part, folders, "*.dat", ADVICE, lambda path: read_dat(path, SIZE))
        jobs += some
        inputs += files
    source = "N-CARS, Sironi, Brambilla, Bourdis, Lagorce, Benosman 2018"
    return prepare.Plan("ncars", "events", CLASSES, source, jobs, inputs, size=SIZE)


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
