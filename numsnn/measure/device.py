"""Times and memory of work on a CUDA device, under the same names as in `host`."""

import gc
from importlib import metadata

import numpy as np

from ..kernels.cuda.array import empty, fill
from ..kernels.cuda.run.api import SIMULATED, device_info
from ..kernels.cuda.run.api import cuda as api
from ..kernels.cuda.run.memory import store
from ..kernels.cuda.run.stream import work_stream
from . import host

WRITTEN = 256 << 20
"""Bytes that are overwritten between calls if the cache is to be emptied: more than the cache of any device."""


def seconds(step, count: int, cold: bool = False) -> list[float]:
    """Seconds of every call on the device, from event to event; the time in which the device waits for the host counts.

    Args:
        step: starts work.
        count: number of calls.
        cold: whether the device's cache is emptied before every call. Default False.
    """
    if SIMULATED:
        return host.seconds(step, count)
    flush = empty((WRITTEN,), np.uint8) if cold else None
    marks = [(api.event(), api.event()) for _ in range(count)]
    for start, end in marks:
        if cold:
            fill(flush, 0)
        start.record(work_stream())
        step()
        end.record(work_stream())
    work_stream().synchronize()
    return [start.elapsed_time(end) / 1e3 for start, end in marks]


def resident() -> int:
    """Bytes of the device's memory that numsnn's arrays use now."""
    return store.used


def peak() -> int:
    """The largest number of bytes since the process began or since `forget_peak`."""
    return store.peak


def forget_peak() -> None:
    """Give unused memory back to the device, and reset `peak`."""
    gc.collect()
    store.release()
    store.peak = store.used


def machine() -> dict:
    """The machine, device and versions that a result has to name."""
    return host.machine() | {"device": device_info()["name"], "driver": driver(), "versions": versions()}


def driver() -> str | None:
    """The newest CUDA version that the driver supports; None in the simulator."""
    return None if SIMULATED else ".".join(map(str, api.cudadrv.driver.driver.get_version()))


PACKAGES = "numba", "numba-cuda", "cuda-bindings", "nvidia-cuda-nvrtc", "nvidia-cublas", "nvmath-python", "numpy"


def versions() -> dict[str, str]:
    """Versions of every installed package that compiles or computes."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
