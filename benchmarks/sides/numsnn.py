"""numsnn itself."""

import sys
from importlib import metadata

import numsnn
from numsnn.bench import network, passes
from numsnn.bench.workloads import Workload


def load(threads):
    numsnn.set_num_threads(threads)
    versions = {name: metadata.version(name) for name in ("numba", "numpy", "scipy")}
    return {"numsnn": numsnn.__version__} | versions | {"python": sys.version.split()[0]}


class Side(network.Network):
    @staticmethod
    def cannot(workload, what):
        return None

    def __init__(self, workload, arrays):
        super().__init__(Workload.from_dict(workload), arrays)


class Passes(passes.Passes):
    def __init__(self, case, arrays):
        super().__init__(passes.Case(**case), arrays)
