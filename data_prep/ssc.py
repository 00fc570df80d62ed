"""SSC, the spiking speech commands (Cramer et al. 2020): 35 spoken words through a model of the cochlea, as one store.

    python data_prep/ssc.py RAW OUT.h5

RAW holds ssc_train.h5, ssc_valid.h5 and ssc_test.h5, unpacked from ssc_train.h5.zip (MD5
d102be95e7144fcc0553d1f45ba94170), ssc_valid.h5.zip (MD5 b4eee3516a4a90dd0c71a6ac23a8ae43) and ssc_test.h5.zip (MD5
a35ff1e9cffdd02a20eb850c17c37748). The store has 75,466 training, 9,981 validation and 20,382 test recordings of 700
channels, which is the official split.
"""

import sys
from pathlib import Path

from shd import spikes_plan

from numsnn.data import prepare

ADVICE = "Unpack ssc_train.h5.zip, ssc_valid.h5.zip and ssc_test.h5.zip (zenkelab.org/datasets, CC BY 4.0) here"


def plan(raw: Path) -> prepare.Plan:
    return spikes_plan(raw, "ssc", ["train", "valid", "test"], 35, ADVICE)


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
