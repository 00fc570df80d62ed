"""The processes of the sides, and how they take turns."""

import os
import time

from numsnn.measure.host import repetitions

from ..common import REPOSITORY
from ..process import Asked

WORKER = ("-m", "benchmarks.peers.worker")
"""Arguments of the interpreter that starts a side."""

PAUSE = 0.05
"""Seconds between two turns, so that the threads of the side that ran before fall asleep."""

TURN = 0.3
"""Seconds that a turn lasts at least: a shorter run is repeated."""

WARM = 2
"""Runs of each side before the first run that counts."""


class Worker(Asked):
    """A side of the comparison in a process of its own.

    Args:
        side: name of a module in `sides`.
        python: the interpreter that has its library.
        threads: number of threads to compute with.
        program: what the interpreter runs.
        device: "cpu" or "cuda".
    """

    def __init__(self, side, python, threads, program=WORKER, device="cpu"):
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "NUMSNN_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            "KMP_BLOCKTIME": "0",
            "MKL_NUM_THREADS": str(threads),
            "JAX_PLATFORMS": device,
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
        }
        super().__init__(side, [python, *program, side, str(threads), device], environment, REPOSITORY)


def alternate(workers, what, budget, least=3, most=25, pause=PAUSE):
    """Let workers run `what` in turns; returns side -> seconds of every run that counts.

    Args:
        workers: side -> worker, each with its subject built.
        what: name of the run.
        budget: seconds that all sides together should take; each side has at least `least` turns even so.
        least, most: bounds of the number of turns per side.
        pause: seconds between turns.
    """
    first = {}
    for side, worker in workers.items():
        first[side] = min(worker.ask("time", what=what, count=WARM)["seconds"])
    counts = {side: repetitions(one, TURN, 1, 50) for side, one in first.items()}
    turns = repetitions(sum(first[side] * counts[side] for side in workers), budget, least, most)
    found = {side: [] for side in workers}
    for _ in range(turns):
        for side, worker in workers.items():
            time.sleep(pause)
            found[side] += worker.ask("time", what=what, count=counts[side])["seconds"]
    return found
