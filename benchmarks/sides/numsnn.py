"""numsnn itself."""

import sys
from importlib import metadata

import numsnn
from numsnn.bench import network, passes
from numsnn.bench.workloads import Workload


def load(threads, device):
    numsnn.set_num_threads(threads)
    Side.device = device
    if device == "cuda":
        load_device()
    versions = {name: metadata.version(name) for name in ("numba", "numpy", "scipy")}
    return {"numsnn": numsnn.__version__} | versions | {"python": sys.version.split()[0]}


def load_device():
    """Have the meter of devices, which needs one."""
    global Meter
    numsnn.kernels.for_device("cuda")
    from numsnn.bench import device as Meter


def use(precision):
    Side.route = precision


class Side(network.Network):
    device, route = "cpu", "auto"

    @staticmethod
    def cannot(workload, what):
        return None

    def __init__(self, workload, arrays):
        super().__init__(Workload.from_dict(workload), arrays, Side.device, Side.route)


class Passes(passes.Passes):
    def __init__(self, case, arrays):
        super().__init__(passes.Case(**case), arrays)
