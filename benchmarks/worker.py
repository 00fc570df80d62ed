"""One side of a comparison, in a process and an interpreter of its own: python worker.py SIDE THREADS

Every line that comes in is a JSON object with the name of a command under "do"; every line that goes out is the answer,
{"error": ...} where it failed. Between commands the process sleeps, so that sides may take turns on the same cores.
Arrays travel in .npz files.
"""

import gc
import json
import os
import sys
import traceback
from importlib import import_module

import numpy as np

from numsnn.bench import measure


class Server:
    """What a worker does for its driver.

    Args:
        side: name of a module in `sides`.
        threads: to compute with.
    """

    def __init__(self, side, threads):
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        self.module = import_module(f"sides.{side}")
        self.versions = self.module.load(threads)
        self.subject = self.before = None

    def hello(self):
        """Who is there."""
        return {"versions": self.versions, "machine": measure.machine()}

    def cannot(self, workload, what):
        """Why this side cannot do something, or None."""
        return {"reason": self.module.Side.cannot(workload, what)}

    def build(self, workload, arrays, kind="Side"):
        """Make a workload's network, or another subject, ready to run."""
        self.subject = None
        gc.collect()
        self.before = measure.resident()
        measure.forget_peak()
        with np.load(arrays) as stored:
            self.subject = getattr(self.module, kind)(workload, dict(stored))
        return {}

    def drop(self):
        """Forget the subject."""
        self.subject = None
        gc.collect()
        return {}

    def time(self, what, count):
        """Seconds of each of so many runs."""
        return {"seconds": measure.seconds(getattr(self.subject, what), count)}

    def memory(self):
        """Bytes: what was resident before the subject was built, and the most since."""
        return {"before": self.before, "peak": measure.peak()}

    def outcome(self, out, **arguments):
        """Write what a run computes to a file."""
        if arguments.get("g") is not None:
            arguments["g"] = np.load(arguments["g"])
        np.savez(out, **self.subject.outcome(**arguments))
        return {}

    def call(self, function, out, workload, arguments):
        """numsnn's own side: call a function of `numsnn.bench.network`, or a method of the network, for a result."""
        from numsnn.bench import network
        from numsnn.bench.workloads import Workload

        if function == "prepare":
            workload, arrays = network.prepare(Workload.from_dict(workload), **arguments)
            np.savez(out, **arrays)
            return {"workload": workload.to_dict()}
        if function == "potentials":
            np.savez(out, u=self.subject.potentials(**arguments))
            return {}
        return {"rates": self.subject.rates()}


def serve(server, requests, answers):
    """Answer until there is nothing more to read."""
    for line in requests:
        request = json.loads(line)
        try:
            answer = getattr(server, request.pop("do"))(**request)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    serve(Server(sys.argv[1], int(sys.argv[2])), sys.stdin, answers)


if __name__ == "__main__":
    main()
