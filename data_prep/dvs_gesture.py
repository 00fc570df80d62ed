"""DVS128 Gesture (Amir et al. 2017): eleven hand gestures before a DVS128 camera, as one store.

    python data_prep/dvs_gesture.py RAW OUT.h5

RAW is the folder DvsGesture, or a folder that contains it. It is the content of DvsGesture.tar.gz (2.9 GB, MD5
8a5c71fb11e24e5ca5b11866ca6c00a1). Label files say where the gestures of a recording (AEDAT 3.1) begin and end. The
official split is by person, in trials_to_train.txt and trials_to_test.txt (1,176 and 288 gestures). If a gesture ends
after the next one begins, both contain the events in between.
"""

import sys
from pathlib import Path

import numpy as np

from numsnn.data import prepare
from numsnn.data.formats import read_aedat3, read_gestures

CLASSES = [
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter clockwise",
    "left arm clockwise",
    "left arm counter clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
]
ADVICE = "Unpack DvsGesture.tar.gz (MD5 8a5c71fb11e24e5ca5b11866ca6c00a1; research.ibm.com/dvsgesture) here"


def cut(recording: Path, labels: Path):
    """Return the gestures of a recording."""
    events, gestures = read_aedat3(recording), read_gestures(labels)
    bad = [gesture for gesture in gestures if gesture.label > len(CLASSES)]
    if bad:
        raise ValueError(f"{labels}: classes must be in 1..{len(CLASSES)}; found {bad[0].label}")
    pieces = []
    for gesture in gestures:
        first, last = np.searchsorted(events.t, (gesture.start, gesture.end))
        pieces.append(events.select(slice(first, last)))
    if pieces:
        pieces[0].skipped.update(events.skipped)
    return pieces, np.array([gesture.label - 1 for gesture in gestures])


def plan(raw: Path) -> prepare.Plan:
    folder = raw / "DvsGesture" if (raw / "DvsGesture").is_dir() else raw
    jobs, inputs = [], []
    for part in ("train", "test"):
        (trials,) = prepare.existing(folder, [f"trials_to_{part}.txt"], ADVICE)
        names = prepare.lines(trials)
        if other := [name for name in names if Path(name).name != name]:
            raise ValueError(f"{trials}: every line must be the name of a file beside it; found {other[0][:60]!r}")
        recordings = prepare.existing(folder, names, ADVICE)
        labels = prepare.existing(folder, [f"{path.stem}_labels.csv" for path in recordings], ADVICE)
        pairs = zip(recordings, labels, strict=True)
        jobs += [prepare.Job(part, path.stem, lambda path=path, csv=csv: cut(path, csv)) for path, csv in pairs]
        inputs += [*recordings, *labels]
    source = "DVS128 Gesture, Amir et al. 2017; CC BY 4.0"
    return prepare.Plan("dvs-gesture", "events", CLASSES, source, jobs, inputs, size=(128, 128))


if __name__ == "__main__":
    sys.exit(prepare.main(__doc__, plan))
