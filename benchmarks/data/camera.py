"""How near the simulated camera is to a real one: statistics of a real N-MNIST recording and of simulated ones.

    python -m benchmarks.data.camera --recording FILE --mnist FOLDER [--json FILE]

--recording is a real N-MNIST recording of a 4 (a .bin file), --mnist the folder with the four IDX files.
"""

import argparse
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn.data import formats
from numsnn.data.dvs import Sensor

from ..common import write_json


def statistics_of(events):
    """Statistics of a recording on 34x34 pixels."""
    pixel = events.y.astype(np.int64) * events.size[1] + events.x
    counts = np.bincount(pixel, minlength=events.size[0] * events.size[1])
    order = np.lexsort((events.t, pixel))
    together = np.diff(pixel[order]) == 0
    alike = (np.diff(events.p[order].astype(int)) == 0)[together].mean()
    thirds = np.histogram(events.t, bins=3, range=(0, events.t[-1] + 1))[0] / len(events)
    return {
        "events": len(events),
        "ON": events.p.mean(),
        "pixels with more than one": (counts > 1).sum(),
        "events of the median such pixel": np.median(counts[counts > 1]),
        "median ms between a pixel's events": np.median(np.diff(events.t[order])[together]) / 1000,
        "same polarity as before": alike,
        "share of saccade 1": thirds[0],
        "share of saccade 2": thirds[1],
        "share of saccade 3": thirds[2],
    }


def simulated(recording, mnist):
    """Print statistics of the real recording beside the means of thirty simulated fours of MNIST; return the means."""
    train, _ = snn.data.load("mnist", dir=mnist)
    sensor, fours = Sensor(), np.flatnonzero(train.y == 4)[:30]
    made = [statistics_of(sensor.record(train.x[k, ..., 0] / 255, index=int(k))) for k in fours]
    real = statistics_of(formats.read_atis(recording))
    for name, value in real.items():
        print(f"  {name:<36} real {value:9.2f}   simulated {np.mean([one[name] for one in made]):9.2f}")
    return {name: float(np.mean([one[name] for one in made])) for name in real}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recording", type=Path, required=True, metavar="FILE", help="a real N-MNIST recording of a 4")
    parser.add_argument("--mnist", type=Path, required=True, metavar="FOLDER", help="folder with MNIST's IDX files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the statistics of the simulated recordings")
    options = parser.parse_args()
    found = simulated(options.recording, options.mnist)
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
