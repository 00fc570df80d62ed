"""How fast data are read and prepared: parsing, binning, the loader beside training, and memory.

    python -m benchmarks.data.speed [--memory] [--json FILE]

Parsing and binning run on one thread, training on all cores. Every number is the median of several runs; the spread is
the range divided by the median. Memory is measured in fresh processes.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn.data.dvs import Sensor
from numsnn.data.frames import Binner
from numsnn.data.store import writing
from numsnn.measure import network
from numsnn.measure.workloads import workloads

from ..common import write_json
from .recordings import EVENTS, FILES, columns

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


def parsing():
    """Millions of events per second of every format."""
    result = {}
    for name, (make, parse) in FILES.items():
        data = make()
        seconds, spread = timed(lambda parse=parse, data=data: parse(data))
        result[name] = EVENTS / seconds / 1e6
        print(f"  parse {name:<10} {result[name]:7.0f} million events/s  (spread {100 * spread:.0f} %)")
    return result


def binning():
    """Millions of events per second into ten frames of 128x128, from stored addresses and from `Events`."""
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


def loading(folder):
    """Milliseconds per batch of 64: of training, and of the loader for every source of samples."""
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
    history = snn.Trainer(network.build(workloads()["small"]), batch_size=64).fit(
        digits.select(range(512)), epochs=4, progress=False
    )
    training = statistics.median(epoch["seconds"] / 8 for epoch in history[1:])
    result = {"training": 1000 * training}
    print(f"  training `small`         {1000 * training:7.2f} ms per batch")
    for name, source in sources.items():
        loader = snn.data.Loader(source, 64, shuffle=True)
        batches = min(len(loader), 16)

        def pull(loader=loader, batches=batches):
            for _, _ in zip(range(batches), loader.epoch(), strict=False):
                pass

        seconds, _ = timed(pull, 5)
        result[name] = 1000 * seconds / batches
        ratio = training / (seconds / batches)
        print(f"  loader, {name:<22} {result[name]:7.2f} ms per batch, {ratio:.0f} times as fast as training")
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
    """Largest memory in MiB while 200 shuffled batches are read from stores of these sizes in GB (unpacked)."""
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--memory", action="store_true", help="also stream from stores of 0.5, 2 and 8 GB (minutes)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
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
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
