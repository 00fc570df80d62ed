"""The processes of the sides, and how they take turns."""

import json
import os
import subprocess
import tempfile
import time
from contextlib import suppress

from numsnn.measure.host import repetitions

from ..common import REPOSITORY

WORKER = ("-m", "benchmarks.peers.worker")
"""Arguments of the interpreter that starts a side."""

PAUSE = 0.05
"""Seconds between two turns, so that the threads of the side that ran before fall asleep."""

TURN = 0.3
"""Seconds that a turn lasts at least: a shorter run is repeated."""

WARM = 2
"""Runs of each side before the first run that counts."""


class WorkerError(RuntimeError):
    """A worker reported an error, or died."""


class Worker:
    """A side of the comparison in a process of its own.

    Args:
        side: name of a module in `sides`.
        python: the interpreter that has its library.
        threads: number of threads to compute with.
        program: what the interpreter runs.
        device: "cpu" or "cuda".
    """

    def __init__(self, side, python, threads, program=WORKER, device="cpu"):
        self.side = side
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by close
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
        self._process = subprocess.Popen(
            [python, *program, side, str(threads), device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
            cwd=REPOSITORY,
        )

    def ask(self, do, **arguments):
        """Send a command and wait for its answer.

        Raises:
            WorkerError: the command failed, or the process ended.
        """
        try:
            self._process.stdin.write(json.dumps({"do": do} | arguments) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"{self.side} ended during {do!r}: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.side}: {do!r} failed: {answer['error']}")
        return answer

    def _last_words(self):
        self._process.wait()
        self._errors.seek(0)
        return " / ".join(self._errors.read().strip().splitlines()[-3:]) or f"status {self._process.returncode}"

    def close(self):
        """End the process."""
        with suppress(BrokenPipeError):  # it may be gone already
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


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
