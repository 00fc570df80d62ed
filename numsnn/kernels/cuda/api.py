"""The one place that imports Numba's CUDA target, and that finds out whether it can be used.

Everything else of this package takes `cuda` from here: a successor of numba-cuda is a change of this file.
"""

import os
from importlib.util import find_spec

from ...errors import DeviceError

INSTALL = "pip install 'numsnn[cuda]'"


def _import():
    """Numba's CUDA target, and what emits instructions of one's own."""
    if find_spec("numba_cuda") is None:
        raise DeviceError(f"device 'cuda': numba-cuda is not installed; install it: {INSTALL}")
    from numba import cuda
    from numba.cuda.extending import intrinsic

    return cuda, intrinsic


cuda, intrinsic = _import()

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") == "1"
"""Whether kernels run in Python, thread by thread: Numba's simulator, for tests without a GPU."""

LEAST_CAPABILITY = (7, 5)
"""Compute capability of the oldest devices that CUDA 13 compiles for (Turing)."""


def require_device() -> None:
    """Find out whether there is a device to compute on.

    Raises:
        DeviceError: there is no driver, no device, or an older one than CUDA 13 compiles for.
    """
    if SIMULATED:
        return
    if not cuda.is_available():
        error = cuda.cuda_error()
        reason = f"the NVIDIA driver cannot be used ({_one_line(error)})" if error else "there is no CUDA device"
        raise DeviceError(f"device 'cuda': {reason}; use device='cpu'")
    device = cuda.get_current_device()
    if tuple(device.compute_capability) < LEAST_CAPABILITY:
        have, need = (".".join(map(str, version)) for version in (device.compute_capability, LEAST_CAPABILITY))
        raise DeviceError(
            f"device 'cuda': {device_info()['name']} has compute capability {have}; {need} or later is needed"
        )


def _one_line(error):
    return " ".join(str(error).split())


def device_info() -> dict:
    """Name, compute capability, multiprocessors and bytes of memory (free, total) of the device in use."""
    if SIMULATED:
        return {"name": "Numba's CUDA simulator", "capability": (0, 0), "multiprocessors": 1, "memory": (0, 0)}
    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    memory = cuda.current_context().get_memory_info()
    return {
        "name": name,
        "capability": tuple(device.compute_capability),
        "multiprocessors": device.MULTIPROCESSOR_COUNT,
        "memory": (memory.free, memory.total),
    }
