"""SHD, the Heidelberg spiking digits (Cramer et al. 2020): spoken digits through a model of the cochlea, as one store.

    python data_prep/shd.py RAW OUT.h5

RAW holds shd_train.h5 and shd_test.h5, unpacked from shd_train.h5.zip (MD5 f3252aeb598ac776c1b526422d90eecb) and
shd_test.h5.zip (MD5 1503a5064faa34311c398fb0a1ed0a6f). The store has 8,156 training and 2,264 test recordings of 700
channels, which is the official split. The twenty classes are zero to nine in English and then in German.
"""

import sys
from pathlib import Path

from numsnn.data import prepare
from numsnn.data.formats import read_spike_labels, read_spike_names, read_spikes
from numsnn.data.formats.spikes import CHANNELS

STRETCH = 4 * prepare.STRETCH
"""Recordings per job, because each job starts a process that reads."""

ADVICE = (
    "Unpack shd_train.h5.zip (MD5 f3252aeb598ac776c1b526422d90eecb) and shd_test.h5.zip (MD5 "
    "1503a5064faa34311c398fb0a1ed0a6f) here (zenkelab.org/datasets, CC BY 4.0)"
)


def spikes_plan(raw: Path, name: str, parts: list[str], classes: int, advice: str) -> prepare.Plan:
    """Return the plan of SHD or SSC. The names of the classes are those in the first file."""
    files = prepare.existing(raw, [f"{name}_{part}.h5" for part in parts], advice)
    jobs = []
    for part, path in zip(parts, files, strict=True):
        labels = read_spike_labels(path)
        for first in range(0, len(labels), STRETCH):

            def make(path=path, labels=labels, first=first):
                last = first + STRETCH
                return list(read_spikes(path, first, last)), labels[first:last]

            jobs.append(prepare.Job(part, str(first), make))
    source = f"{name.upper()}, Cramer, Stradmann, Schemmel, Zenke 2020; CC BY 4.0"
    names = read_spike_names(files[0], classes)
    return prepare.Plan(name, "events", names, source, jobs, files, size=(1, CHANNELS), polarities=1)


def plan(raw: Path) -> prepare.Plan:
    return spikes_plan(raw, "shd", ["train", "test"], 20, ADVICE)


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
