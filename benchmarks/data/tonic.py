"""numsnn's reading and binning of events beside tonic's, on the same files; the events have to be the same.

    python -m benchmarks.data.tonic --python PYTHON [--recording FILE] [--json FILE]

--python is the interpreter of an environment with tonic; it needs numpy < 2 and therefore an environment of its own.
--recording is a real N-MNIST recording (a .bin file); without one, a simulated recording takes its place.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn.data import formats

from ..common import write_json
from .recordings import aedat3_file, atis_file, simulated_recording
from .speed import timed

TONIC = """
import json, statistics, sys, time
import numpy as np
import tonic, tonic.io, tonic.transforms
def timed(function, runs):
    seconds = []
    for _ in range(runs):
        start = time.perf_counter(); function(); seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
kind = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
small, large, aedat3, header = sys.argv[1:5]
events = tonic.io.read_mnist_file(small, kind)
many = tonic.io.read_mnist_file(large, kind)
frames = tonic.transforms.ToFrame(sensor_size=(34, 34, 2), n_time_bins=10)
def read_aedat3():
    raw = tonic.io.get_aer_events_from_file(aedat3, 3.1, int(header))
    word = raw["address"]
    return tonic.io.make_structured_array(word >> 17, word >> 2 & 0x7FFF, raw["timeStamp"], word >> 1 & 1)
print(json.dumps({
    "version": tonic.__version__, "numpy": np.__version__,
    "columns": [events[name].tolist() for name in "xytp"], "frames": frames(events).tolist(),
    "read one recording": timed(lambda: tonic.io.read_mnist_file(small, kind), 200),
    "read a long file": timed(lambda: tonic.io.read_mnist_file(large, kind), 5),
    "read AEDAT 3.1": timed(read_aedat3, 5),
    "frames of one recording": timed(lambda: frames(events), 200),
    "frames of a long file": timed(lambda: frames(many), 5),
}))
"""


def against_tonic(python, recording, folder):
    """tonic's time divided by numsnn's, by name of the work; fails if the events differ."""
    large, aedat3 = folder / "large.bin", folder / "long.aedat"
    large.write_bytes(atis_file())
    aedat3.write_bytes(aedat3_file())
    header = aedat3.read_bytes()[:200].index(b"#!END-HEADER\r\n") + 14
    command = [python, "-c", TONIC, str(recording), str(large), str(aedat3), str(header)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""})
    if done.returncode:
        raise RuntimeError(f"tonic failed: {done.stderr.strip().splitlines()[-1]}")
    theirs = json.loads(done.stdout)
    events, many = formats.read_atis(recording), formats.read_atis(large)
    for name, column in zip("xytp", theirs["columns"], strict=True):
        np.testing.assert_array_equal(getattr(events, name), column)
    print(f"  tonic {theirs['version']} (numpy {theirs['numpy']}): the same {len(events):,} events")
    ours = {
        "read one recording": lambda: formats.read_atis(recording),
        "read a long file": lambda: formats.read_atis(large),
        "read AEDAT 3.1": lambda: formats.read_aedat3(aedat3),
        "frames of one recording": lambda: snn.data.to_frames(events, 10),
        "frames of a long file": lambda: snn.data.to_frames(many, 10),
    }
    result = {}
    for name, function in ours.items():
        seconds, _ = timed(function, 200 if "one" in name else 7)
        result[name] = theirs[name] / seconds
        mine, other = 1000 * seconds, 1000 * theirs[name]
        print(f"  {name:<24} {mine:9.3f} ms, tonic {other:9.3f} ms: {result[name]:.1f} times as fast")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", required=True, metavar="PYTHON", help="interpreter with tonic")
    parser.add_argument("--recording", type=Path, metavar="FILE", help="a real N-MNIST recording")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recording = options.recording
        if recording is None:
            recording = folder / "simulated.bin"
            recording.write_bytes(simulated_recording())
        result = against_tonic(options.python, recording, folder)
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
