"""What `snn.Repeat` gains on still pictures: numsnn with and without it, in turns.

    python -m benchmarks.speed.repeat [--quick] [--only WORKLOAD ...] [--turns N] [--threads N]

With `Repeat` the layers in front of the first neurons see a picture once, and their output enters the neurons at every
step. `speed.compare` measures both networks beside the peers, which compute everything at every step: a peer's time
divided by that of `small-every-step` is what the kernels gain, and the number here is what comes from `Repeat`.
"""

import argparse
import os
from dataclasses import replace

import numpy as np

import numsnn as snn
from numsnn.measure import network
from numsnn.measure.host import load, processor, seconds
from numsnn.measure.table import table, time_text
from numsnn.measure.workloads import workloads

from ..common import need_positive
from .report import TITLES

WARM = 2
"""Runs of each network before the first that counts."""


def measure(workload, turns: int) -> dict[str, list[list[float]]]:
    """Pass -> seconds of every turn, with `Repeat` and without it."""
    workload, arrays = network.prepare(workload)
    subjects = [network.Network(one, arrays) for one in (workload, replace(workload, once=0))]
    found = {}
    for what in TITLES:
        steps = [getattr(subject, what) for subject in subjects]
        for step in steps:
            seconds(step, WARM)
        times = [[seconds(step, 1)[0] for step in steps] for _ in range(turns)]
        found[what] = [list(column) for column in zip(*times, strict=True)]
    return found


def rows(name: str, times) -> list[list[str]]:
    """Lines of the table: medians, and median and quartiles of the ratio of each turn."""
    found = []
    for what, (once, every) in times.items():
        low, middle, high = np.percentile(np.divide(every, once), (25, 50, 75))
        medians = [time_text(float(np.median(one))) for one in (once, every)]
        found.append([f"{name}, {TITLES[what]}", *medians, f"{middle:.2f}x", f"{low:.2f}x to {high:.2f}x"])
    return found


def main(arguments=None):
    known = [name for name, workload in workloads().items() if workload.once]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny shapes: whether everything works, no measurement")
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="WORKLOAD", help=", ".join(known))
    parser.add_argument("--turns", type=int, default=25, help="runs of each network that count (default: 25)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of numsnn (default: every core)")
    chosen = parser.parse_args(arguments)
    need_positive(parser, chosen, "turns", "threads")
    snn.set_num_threads(chosen.threads)
    print(f"numsnn {snn.__version__}, {processor()}, {chosen.threads} threads, {chosen.turns} turns, load {load()}")
    every = workloads(chosen.quick)
    lines = [line for name in chosen.only for line in rows(name, measure(every[name], chosen.turns))]
    print(table(["workload", "with Repeat", "without", "gain", "quartiles"], lines))


if __name__ == "__main__":
    main()
