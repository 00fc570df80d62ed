"""One side of `pair.py`, in a process of its own: python pair_side.py [--quick]

The numsnn that it measures is the one that PYTHONPATH leads to. Commands and answers are those of `benchmarks.process`.
"""

import gc
import statistics
import sys
import time
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numsnn

# An editable install of one checkout would lend its modules to another one that lacks them.
sys.meta_path[:] = [one for one in sys.meta_path if not getattr(one, "__module__", "").startswith("__editable__")]

PACKAGE = "numsnn.measure" if find_spec("numsnn.measure") else "numsnn.bench"
HOST = "host" if find_spec(f"{PACKAGE}.host") else "measure"

NEURONS = "neurons"
"""Stands for the neuron kernels among the names of workloads."""


class Side:
    """What a side does when it is asked.

    Args:
        quick: use tiny shapes, which show that everything works and measure nothing.
    """

    def __init__(self, quick: bool):
        self.quick, self.functions = quick, {}
        self.workloads = import_module(f"{PACKAGE}.workloads").workloads(quick)

    def hello(self):
        """Which numsnn this is, on what machine, and the names of what it can measure."""
        return {
            "folder": str(Path(numsnn.__file__).parent),
            "version": numsnn.__version__,
            "versions": {name: version(name) for name in ("numba", "llvmlite", "numpy")},
            "threads": numsnn.get_num_threads(),
            "machine": import_module(f"{PACKAGE}.{HOST}").machine(),
            "names": [*self.workloads, NEURONS],
        }

    def load(self, name):
        """Make a workload ready: run all of its passes twice, so that everything is compiled. Answers with the seconds
        that the second run of all passes took."""
        self.functions = {}
        gc.collect()
        if name == NEURONS:
            self.functions = import_module(f"{PACKAGE}.neurons").steps(self.quick)
        else:
            network = import_module(f"{PACKAGE}.network")
            workload, arrays = network.prepare(self.workloads[name])
            subject = network.Network(workload, arrays)
            passes = {"training step": subject.train, "inference": subject.infer}
            self.functions = passes if workload.training else {"inference": subject.infer}
        self.measure(1)
        return {"seconds": sum(self.measure(1)["seconds"].values())}

    def measure(self, count):
        """Run the passes `count` times, one after the other: name of the pass -> median of its seconds."""
        times = {name: [] for name in self.functions}
        for _ in range(count):
            for name, function in self.functions.items():
                start = time.perf_counter()
                function()
                times[name].append(time.perf_counter() - start)
        return {"seconds": {name: statistics.median(values) for name, values in times.items()}}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))  # numsnn is imported already and stays what it is
    from benchmarks.process import answer

    answer(Side, "--quick" in sys.argv[1:])
