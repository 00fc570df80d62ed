"""Times and memory of work on a CUDA device: what `measure` is for the host, under the same names."""

import gc
from importlib import metadata

import numpy as np

from ..kernels import cuda
from ..kernels.cuda.api import SIMULATED, device_info
from ..kernels.cuda.api import cuda as api
from ..kernels.cuda.array import store
from ..kernels.cuda.stream import work_stream
from . import host

WRITTEN = 256 << 20
"""Bytes that are written over between calls on request: more than any device's cache."""


def seconds(step, count: int, cold: bool = False) -> list[float]:
    """How long each of so many calls took on the device, from event to event: waiting for the host counts, too.

    Args:
        step: starts work.
        count: of calls.
        cold: whether the device's cache is emptied before each.
    """
    if SIMULATED:
        return host.seconds(step, count)
    flush = cuda.empty((WRITTEN,), np.uint8) if cold else None
    marks = [(api.event(), api.event()) for _ in range(count)]
    for start, end in marks:
        if cold:
            cuda.fill(flush, 0)
        start.record(work_stream())
        step()
        end.record(work_stream())
    work_stream().synchronize()
    return [start.elapsed_time(end) / 1e3 for start, end in marks]


def resident() -> int:
    """Bytes of the device's memory that numsnn's arrays use."""
    return store.used


def peak() -> int:
    """The most there were, since the process began or since `forget_peak`."""
    return store.peak


def forget_peak() -> None:
    """Give back what nobody uses, and let `peak` begin anew."""
    gc.collect()
    store.release()
    store.peak = store.used


def machine() -> dict:
    """What a result has to name to be worth anything."""
    return host.machine() | {"device": device_info()["name"], "driver": driver(), "versions": versions()}


def driver() -> str | None:
    """The newest CUDA version that the driver knows."""
    return None if SIMULATED else ".".join(map(str, api.cudadrv.driver.driver.get_version()))


PACKAGES = "numba", "numba-cuda", "cuda-bindings", "nvidia-cuda-nvrtc", "nvidia-cublas", "nvmath-python", "numpy"


def versions() -> dict[str, str]:
    """Of everything that compiles or computes."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
