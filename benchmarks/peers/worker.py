"""One side of a comparison, in a process and an interpreter of its own:

    python -m benchmarks.peers.worker SIDE THREADS [DEVICE]

Commands and answers are those of `benchmarks.process`. Arrays travel in .npz files.
"""

import gc
import os
import sys
from importlib import import_module

import numpy as np

from numsnn.measure import host

from ..process import answer


class Server:
    """What a worker does for its driver.

    Args:
        side: name of a module in `sides`.
        threads: number of threads to compute with.
        device: "cpu" or "cuda"; on "cuda" the side's own `Meter` measures time and memory.
    """

    def __init__(self, side, threads, device="cpu"):
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        self.module = import_module(f"benchmarks.peers.sides.{side}")
        self.versions = self.module.load(threads, device)
        self.device, self.meter = device, host if device == "cpu" else self.module.Meter
        self.subject = self.before = None

    def hello(self):
        """The versions of the side's libraries."""
        return {"versions": self.versions}

    def cannot(self, workload, what):
        """Why this side cannot do something, or None."""
        return {"reason": self.module.Side.cannot(workload, what)}

    def use(self, precision):
        """From now on build with this precision of products, one of `sides.PRECISIONS`."""
        self.module.use(precision)
        return {}

    def build(self, workload, arrays=None, kind="Side", seed=0, **options):
        """Make a workload's network, or another subject with its options, ready to run. The numbers of a network are
        read from a file, or drawn here."""
        self.subject = None
        gc.collect()
        self.meter.forget_peak()
        self.before = self.meter.resident()
        if arrays is not None:
            with np.load(arrays) as stored:
                found = dict(stored)
        else:
            found = self._drawn(workload, seed) if kind == "Side" else {}
        self.subject = getattr(self.module, kind)(workload, found, **options)
        return {}

    def _drawn(self, workload, seed):
        from numsnn.measure.workloads import Workload, draw, plain_statistics

        workload = Workload.from_dict(workload)
        return draw(workload, seed) | plain_statistics(workload)

    def drop(self):
        """Forget the subject."""
        self.subject = None
        gc.collect()
        if self.device != "cpu":
            self.meter.forget_peak()
        return {}

    def time(self, what, count):
        """Seconds of each of `count` runs."""
        return {"seconds": self.meter.seconds(getattr(self.subject, what), count)}

    def epoch(self):
        """Train for one more epoch: seconds, mean loss, and accuracy on the test part."""
        return self.subject.epoch()

    def memory(self):
        """Bytes: what was resident before the subject was built, and the most since."""
        return {"before": self.before, "peak": self.meter.peak()}

    def outcome(self, out, **arguments):
        """Write what a run computes to a file."""
        if arguments.get("g") is not None:
            arguments["g"] = np.load(arguments["g"])
        np.savez(out, **self.subject.outcome(**arguments))
        return {}

    # --- commands for numsnn's side alone ---

    def prepare(self, workload, out, seed):
        """Draw a workload's numbers; answers with the workload, its thresholds set."""
        from numsnn.measure import network
        from numsnn.measure.workloads import Workload

        workload, arrays = network.prepare(Workload.from_dict(workload), seed, self.device)
        np.savez(out, **arrays)
        return {"workload": workload.to_dict()}

    def potentials(self, out, k, training):
        """Write the potentials of one layer of neurons to a file."""
        np.savez(out, u=self.subject.potentials(k, training))
        return {}

    def product(self):
        """Operations per second of a large matrix product."""
        return {"rate": host.product_rate()}

    def take(self, route):
        """Request a route for all passes of a layer."""
        self.subject.take(route)
        return {}

    def machine(self):
        """The machine that this side runs on."""
        return {"machine": getattr(self.meter, "machine", host.machine)()}

    def routes(self):
        """How convolutions and matrix products were computed, by layer or by pass."""
        return {"routes": self.subject.routes()}

    def rates(self):
        """Share of spikes of every layer."""
        return {"rates": self.subject.rates()}

    def neurons(self, quick):
        """Rates of the neuron kernel and of a copy."""
        from numsnn.measure import neurons

        turns = 1 if quick else 15
        return {"neurons": neurons.bandwidths(quick, turns, self.device, self.meter.seconds)}


if __name__ == "__main__":
    answer(Server, sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
