"""The latency of a stream: how long one time step of one sample takes, at inference.

    python -m benchmarks.speed.stream [--steps N] [--threads N]

Two networks, with batch normalisations folded into the weights, take random events (5 % of the inputs) one step at a
time: one for pictures of an event camera and one with lateral weights for sound. Every stream is warmed before, so that
the first step is an ordinary one; the table gives it, too. The 99th percentile is large on a machine that does other
work.
"""

import argparse
import os

import numpy as np

import numsnn as snn
from numsnn.measure.host import load, processor, seconds
from numsnn.measure.table import table, time_text

from ..common import need_positive

ACTIVE = 0.05
"""Share of the inputs with an event."""


def networks():
    """Return name -> (network, shape of the input of one step)."""
    camera = snn.Sequential(
        snn.Conv2d(2, 16, 3, padding=1),
        snn.BatchNorm(16),
        snn.LIF(),
        snn.MaxPool2d(2),
        snn.Conv2d(16, 32, 3, padding=1),
        snn.BatchNorm(32),
        snn.LIF(),
        snn.MaxPool2d(2),
        snn.Flatten(),
        snn.Linear(32 * 8 * 8, 10),
    )
    sound = snn.Sequential(snn.Linear(700, 256), snn.RecurrentLIF(tau=10.0), snn.Linear(256, 20), snn.LI(tau=10.0))
    return {
        "camera, 2x32x32: 16c3-p2-32c3-p2-10": (camera, (1, 32, 32, 2)),
        "sound, 700 channels: 256 recurrent, 20": (sound, (1, 700)),
    }


def measure(net, shape, steps):
    """Return the seconds of every step."""
    net = net.build((1, *shape)).fold()
    x = (np.random.default_rng(0).random((steps, *shape)) < ACTIVE).astype(np.uint8)
    stream = net.stream(samples=1, warm=True)
    frames = iter(x)
    return seconds(lambda: stream.step(next(frames)), steps)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=5000, help="steps per network (default: 5000)")
    parser.add_argument("--threads", type=int, help="number of threads (default: all)")
    chosen = parser.parse_args(arguments)
    need_positive(parser, chosen, "steps", "threads")
    if chosen.threads:
        snn.set_num_threads(chosen.threads)
    rows = []
    for name, (net, shape) in networks().items():
        times = measure(net, shape, chosen.steps)
        found = times[0], np.median(times), np.quantile(times, 0.99)
        rows.append([name, *(time_text(float(value)) for value in found)])
    print(
        f"{processor()}, {os.cpu_count()} cores, load {load()}, {snn.get_num_threads()} threads, {chosen.steps} steps\n"
    )
    print(table(["network", "first step", "median", "99th percentile"], rows))


if __name__ == "__main__":
    main()
