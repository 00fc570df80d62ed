"""How fast the data room is: parsing, binning, the loader against training, memory, and tonic on the same files.

    python benchmarks/data.py [--recording FILE] [--tonic PYTHON] [--json FILE]

--recording is a real N-MNIST recording (a .bin file): parsed, compared with the simulated camera, and given to tonic;
without one, a simulated recording takes its place. --tonic is the Python of an environment with tonic (which needs
numpy < 2, hence one of its own). Parsing and binning run on one thread, training on all cores. Every number is the
median of several runs; the spread is the range over the median. Memory is measured in fresh processes.
"""

import argparse
import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn.data import formats
from numsnn.data.dvs import Sensor
from numsnn.data.frames import Binner
from numsnn.data.store import writing

EVENTS = 4_000_000
RUNS = 7


def timed(function, runs=RUNS):
    """Median seconds and spread; the first call, which compiles, does not count."""
    function()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    middle = statistics.median(seconds)
    return middle, (max(seconds) - min(seconds)) / middle


# --- files, each EVENTS long, in order of time ---


def columns(side):
    rng = np.random.default_rng(0)
    x, y, p = rng.integers(0, side, EVENTS), rng.integers(0, side, EVENTS), rng.integers(0, 2, EVENTS)
    return x, y, np.arange(EVENTS), p


def atis_file():
    x, y, t, p = columns(34)
    out = np.empty((EVENTS, 5), np.uint8)
    out.T[:] = x, y, p << 7 | t >> 16 & 127, t >> 8 & 255, t & 255
    return out.tobytes()


def aedat2_file():
    x, y, t, p = columns(128)
    words = np.stack([(127 - y) << 8 | (127 - x) << 1 | (1 - p), t], axis=1).astype(">u4")
    return b"#!AER-DAT2.0\r\n" + words.tobytes()


def aedat3_file(size=4096):
    x, y, t, p = columns(128)
    words = np.stack([x << 17 | y << 2 | p << 1 | 1, t], axis=1).astype("<u4")
    out = [b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"]
    for first in range(0, EVENTS, size):
        body = words[first : first + size]
        out += [struct.pack("<hhiiiiii", 1, 0, 8, 4, 0, len(body), len(body), len(body)), body.tobytes()]
    return b"".join(out)


def dat_file():
    x, y, t, p = columns(128)
    words = np.stack([t, p << 28 | y << 14 | x], axis=1).astype("<u4")
    return b"% Version 2\n% Height 128\n% Width 128\n\x0c\x08" + words.tobytes()


FILES = {
    "ATIS": (atis_file, formats.parse_atis),
    "AEDAT 2.0": (aedat2_file, formats.parse_aedat2),
    "AEDAT 3.1": (aedat3_file, formats.parse_aedat3),
    "DAT": (dat_file, formats.parse_dat),
}


def parsing():
    """Million events a second, and spread, by format."""
    result = {}
    for name, (make, parse) in FILES.items():
        data = make()
        seconds, spread = timed(lambda parse=parse, data=data: parse(data))
        result[name] = EVENTS / seconds / 1e6
        print(f"  parse {name:<10} {result[name]:7.0f} million events/s  (spread {100 * spread:.0f} %)")
    return result


def binning():
    """Million events a second into ten frames of 128x128, as stored and from an `Events`."""
    x, y, t, p = columns(128)
    events = snn.data.Events(x, y, t, p, (128, 128))
    result = {}
    for name, options in {"equal time": {}, "equal events": {"by": "events"}, "pooled by 2": {"pool": 2}}.items():
        binner = Binner((128, 128), 2, 10, **options)
        address, _ = binner.addresses(events)
        address, time_ = address.astype(np.uint16), t.astype(np.uint32)
        frames = np.zeros((10, 1, *binner.shape[1:]), np.float32)
        seconds, spread = timed(lambda b=binner, a=address, s=time_, f=frames: b.count(a, s, f, 0))
        result[name] = EVENTS / seconds / 1e6
        print(f"  bin, {name:<13} {result[name]:7.0f} million events/s  (spread {100 * spread:.0f} %)")
    seconds, spread = timed(lambda: snn.data.to_frames(events, 10))
    result["from Events"] = EVENTS / seconds / 1e6
    print(f"  bin, from Events   {result['from Events']:7.0f} million events/s  (spread {100 * spread:.0f} %)")
    return result


# --- loader and training ---


def small_network():
    """The `small` workload: 1x28x28, 32-P-64-P, T = 8, batches of 64."""

    def block(channels, width):
        return snn.Conv2d(channels, width, 3, padding=1), snn.BatchNorm(width)

    return snn.Sequential(
        snn.Repeat(8, *block(1, 32)),
        snn.LIF(),
        snn.AvgPool2d(2),
        *block(32, 64),
        snn.LIF(),
        snn.AvgPool2d(2),
        snn.Flatten(),
        snn.Linear(64 * 7 * 7, 10),
    )


def loading(folder):
    """Milliseconds a batch of 64: training, and the loader by where the samples come from."""
    rng = np.random.default_rng(0)
    x = np.zeros((4096, 28, 28, 1), np.uint8)
    x[:, 6:22, 6:22] = rng.integers(0, 256, (4096, 16, 16, 1))
    digits = snn.data.Dataset(x, rng.integers(0, 10, 4096), tuple("0123456789"), scale=1 / 255)
    snn.data.save(folder / "digits.h5", "digits", train=digits)
    sensor, light = Sensor((28, 28)), x[:, :, :, 0] / 255.0
    recordings = [sensor.record(light[k, 7:21, 7:21], index=k) for k in range(256)]
    with writing(folder / "events.h5", "events", "events", "0123456789", size=(28, 28)) as writer:
        for _ in range(4):
            writer.append("train", recordings, np.arange(256) % 10)
    from_file = {"memory": 0}
    sources = {
        "in memory": digits,
        "pictures streamed": snn.data.open(folder / "digits.h5", **from_file).train,
        "events streamed, T = 8": snn.data.open(folder / "events.h5", **from_file).train.frames(8),
        "augmented": snn.data.Augmented(digits, snn.data.augment.from_string("fliplr-crop2-cutout6")),
    }
    history = snn.Trainer(small_network(), batch_size=64).fit(digits.select(range(512)), epochs=4, progress=False)
    training = statistics.median(epoch["seconds"] / 8 for epoch in history[1:])
    result = {"training": 1000 * training}
    print(f"  training `small`         {1000 * training:7.2f} ms a batch")
    for name, source in sources.items():
        loader = snn.data.Loader(source, 64, shuffle=True)
        batches = min(len(loader), 16)

        def pull(loader=loader, batches=batches):
            for _, _ in zip(range(batches), loader.epoch(), strict=False):
                pass

        seconds, _ = timed(pull, 5)
        result[name] = 1000 * seconds / batches
        ratio = training / (seconds / batches)
        print(f"  loader, {name:<22} {result[name]:7.2f} ms a batch, {ratio:.0f} times as fast as training")
    return result


STREAM = """
import resource, sys
import numpy as np
import numsnn as snn
store = snn.data.open(sys.argv[1])
loader = snn.data.Loader(store.train, 64, shuffle=True, workers=2)
for _, _ in zip(range(200), loader.epoch()):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, store.train.in_memory)
"""


def memory(folder, sizes=(0.5, 2.0, 8.0)):
    """MiB at most in use while 200 shuffled batches are drawn from stores of so many GB (unpacked)."""
    result = {}
    tile = np.tile(np.arange(32, dtype=np.uint8)[:, None, None], (1, 32, 3))
    for size in sizes:
        n = int(size * 1e9) // tile.size
        path = folder / "large.h5"
        with writing(path, "pictures", "large", "ab") as writer:
            for first in range(0, n, 20_000):
                some = min(20_000, n - first)
                writer.append("train", np.broadcast_to(tile, (some, *tile.shape)), np.zeros(some, int))
        done = subprocess.run([sys.executable, "-c", STREAM, str(path)], capture_output=True, text=True, check=True)
        most, whole = done.stdout.split()
        result[f"{size:g} GB"] = float(most)
        print(f"  streaming {size:4g} GB: {float(most):.0f} MiB at most, kept in memory: {whole}")
    return result


# --- tonic, and the simulated camera ---


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
    """How many times as fast as tonic; the events must be the same."""
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


def statistics_of(events):
    """What a recording on 34x34 pixels is like."""
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
    """The real recording, of a 4, beside thirty simulated fours of MNIST."""
    train, _ = snn.data.load("mnist", dir=mnist)
    sensor, fours = Sensor(), np.flatnonzero(train.y == 4)[:30]
    made = [statistics_of(sensor.record(train.x[k, ..., 0] / 255, index=int(k))) for k in fours]
    real = statistics_of(formats.read_atis(recording))
    for name, value in real.items():
        print(f"  {name:<36} real {value:9.2f}   simulated {np.mean([one[name] for one in made]):9.2f}")
    return {name: float(np.mean([one[name] for one in made])) for name in real}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recording", type=Path, help="a real N-MNIST recording")
    parser.add_argument("--mnist", type=Path, help="folder of MNIST's files: compares the simulated camera with it")
    parser.add_argument("--tonic", help="Python of an environment with tonic")
    parser.add_argument("--memory", action="store_true", help="also stream from stores of 0.5, 2 and 8 GB (minutes)")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    options = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"numsnn {snn.__version__}, numpy {np.__version__}, Python {platform.python_version()}, {platform.machine()}")
    print(f"{os.cpu_count()} cores, load {load:.1f}, {snn.get_num_threads()} threads for training")
    result = {"parsing": parsing(), "binning": binning()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result["loading"] = loading(folder)
        if options.memory:
            result["memory"] = memory(folder)
        recording = options.recording
        if recording is None and options.tonic:
            recording = folder / "simulated.bin"
            made = Sensor().record(np.eye(28))
            raw = made.x, made.y, made.p.astype(int) << 7 | made.t >> 16, made.t >> 8 & 255, made.t & 255
            recording.write_bytes(np.stack(raw, axis=1).astype(np.uint8).tobytes())
        if options.tonic:
            result["tonic"] = against_tonic(options.tonic, recording, folder)
    if options.mnist and options.recording:
        result["camera"] = simulated(options.recording, options.mnist)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
