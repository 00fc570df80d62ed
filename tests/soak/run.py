"""A process that works for a long time: memory, handles, threads and objects stay flat, and results stay the same.

    python tests/soak/run.py --minutes 60
    python tests/soak/run.py --rounds 8 --device reference --draw-every 4 --trace 8

Every round does each kind of work of `soak_work.py` anew. Its numbers must be those of the first round, bit for bit.
After every round the process is measured; the rounds of the warm-up, a quarter of all, do not count. Through
the others a line is fitted (the median of the slopes between all pairs, after Theil and Sen, which single rounds do not
move). It must not rise by more than `MOST_GROWTH` from its first to its last round. The last line that is printed is
"flat", with exit status 0; otherwise the status is 1.
"""

import argparse
import functools
import gc
import json
import os
import sys
import tempfile
import threading
import time
import tracemalloc
from array import array
from pathlib import Path

import numpy as np
import soak_work as work

import numsnn as snn

MOST_GROWTH = {"kilobytes": 8192, "blocks": 100, "objects": 40, "handles": 0, "threads": 0}
"""How much a line through the measured rounds may rise from the first to the last: resident memory, blocks of Python's
allocator, objects that the garbage collector knows, open files, and threads."""

SETTLED = 40
"""Rounds from which on `MOST_GROWTH` holds for the resident memory. In fewer, the allocator has not yet made all of the
memory that it keeps from round to round, and four times as much is accepted."""

SHORTEST = 4
"""Rounds that a line must have."""

MOST_POINTS = 400
"""Points of a fit; of more rounds, some are left out evenly."""

SETTLE = 10
"""Seconds that threads which have been told to end may take."""


def measured() -> dict:
    """The process as it is after everything has ended that nobody holds."""
    snn.set_num_threads(snn.get_num_threads())  # the threads of the kernels end, and start again when they are needed
    end = time.monotonic() + SETTLE
    while _others() and time.monotonic() < end:
        time.sleep(0.01)
    _forget()
    gc.collect()
    return {
        "kilobytes": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024,
        "blocks": sys.getallocatedblocks(),
        "objects": len(gc.get_objects()),
        "handles": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }


def _forget():
    """Empty caches of others, which are bounded but take hundreds of rounds to fill: the interpreter's of names of
    attributes, and matplotlib's of texts that were drawn."""
    getattr(sys, "_clear_internal_caches" if hasattr(sys, "_clear_internal_caches") else "_clear_type_cache")()
    for one in gc.get_objects():
        if type(one) is functools._lru_cache_wrapper and str(one.__module__).startswith("matplotlib."):
            one.cache_clear()


def _others():
    """The threads besides the main one and that of tqdm, which stays."""
    return [one for one in threading.enumerate() if one is not threading.main_thread() and one.name != "tqdm_monitor"]


def growth(values) -> float:
    """How much a line through the values rises from the first to the last of them."""
    y = np.asarray(values, np.float64)
    x = np.unique(np.linspace(0, len(y) - 1, min(len(y), MOST_POINTS)).astype(int))
    first, second = np.triu_indices(len(x), 1)
    return float(np.median((y[x[second]] - y[x[first]]) / (x[second] - x[first])) * (len(y) - 1))


def grown(counted: dict) -> list[str]:
    """One line for every measure that rises by more than its bound; `counted` holds its values, one for each round."""
    lines = []
    for name, values in counted.items():
        settled = name != "kilobytes" or len(values) >= SETTLED
        most = MOST_GROWTH[name] * (1 if settled else 4)
        rise = growth(values)
        if rise > most:
            lines.append(f"{name} grow by {rise:.1f} in {len(values)} rounds; at most {most} are accepted")
    return lines


def soak(device, more, draw_every, log, trace=0) -> list[str]:
    """Work in rounds while more(number of rounds, seconds) is true, and return what is wrong, one line each."""
    kinds, rounds, first, before = work.KINDS, 0, {}, None
    values = {name: array("q") for name in MOST_GROWTH}  # not Python's integers, whose memory would count as growth
    started = time.monotonic()
    while more(rounds, time.monotonic() - started):
        drawn = not rounds % draw_every
        with tempfile.TemporaryDirectory() as folder:
            found = work.round_of_work(Path(folder), device, kinds if drawn else kinds[:-1])
        first = first or found
        if other := [name for name, value in found.items() if value != first[name]]:
            return [f"round {rounds + 1} has other numbers than the first: {', '.join(other)}"]
        rounds += 1
        last = measured()
        for name, value in last.items():
            values[name].append(value)
        print(json.dumps({"round": rounds, **last}), file=log, flush=True)
        if trace and rounds == 2:
            tracemalloc.start(trace)
            before = tracemalloc.take_snapshot()
    if before:
        for line in tracemalloc.take_snapshot().compare_to(before, "traceback")[:12]:
            print(line, *line.traceback.format()[-6:], sep="\n")
    count = rounds - rounds // 4
    if count < SHORTEST:
        return [f"only {count} rounds after the warm-up; a line needs {SHORTEST}"]
    counted = {name: one[-count:] for name, one in values.items()}
    seconds = time.monotonic() - started
    rises = ", ".join(f"{name} {growth(one):+.1f}" for name, one in counted.items())
    print(f"{rounds} rounds in {seconds:.0f} s, of which {count} count; last: {last}; growth: {rises}")
    return grown(counted)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, help="how long to work (default 60)")
    parser.add_argument("--rounds", type=int, help="how many rounds to work, in place of minutes")
    parser.add_argument("--device", default="cpu", choices=("cpu", "reference"))
    parser.add_argument(
        "--draw-every", type=int, default=1, help="rounds from one with pictures to the next (default 1)"
    )
    parser.add_argument("--log", help="file for one line of JSON per round")
    parser.add_argument(
        "--trace", type=int, default=0, metavar="N", help="show what grew most, with N frames of its origin"
    )
    options = parser.parse_args()

    def more(rounds, seconds):
        return rounds < options.rounds if options.rounds else seconds < 60 * options.minutes

    with open(options.log or os.devnull, "w") as log:
        wrong = soak(options.device, more, options.draw_every, log, options.trace)
    print("\n".join(wrong or ["flat"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
