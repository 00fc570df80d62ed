"""The one place that imports Numba's CUDA target, and that finds out whether it can be used.

Everything else of this package takes `cuda` from here: a successor of numba-cuda is a change of this file.
"""

import os
import sys
import threading
from importlib.util import find_spec

import numpy as np

from ....errors import DeviceError

INSTALL = "pip install 'numsnn[cuda]'"


def _import():
    """Numba's CUDA target, and what emits instructions of one's own."""
    if find_spec("numba_cuda") is None:
        raise DeviceError(f"device 'cuda': numba-cuda is not installed; install it: {INSTALL}")
    from numba import cuda
    from numba.cuda import extending

    return cuda, extending


cuda, extending = _import()

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") == "1"
"""Whether kernels run in Python, thread by thread: Numba's simulator, for tests without a GPU."""

if SIMULATED:
    from numba.cuda.simulator.kernel import _get_kernel_context

    class _Shared:
        """Shared memory of the kernel at work, known by the line that asks for it. Two of the simulator's own threads
        that ask at once may be given one piece each. It knows no alignment."""

        _lock = threading.Lock()

        def __init__(self, shared):
            self._pieces = shared._allocations

        def array(self, shape, dtype, alignment=None):
            frame = sys._getframe(1)
            place = frame.f_code.co_filename, frame.f_lineno
            with self._lock:
                if place not in self._pieces:
                    self._pieces[place] = np.empty(shape, dtype)
                return self._pieces[place]

    class _Simulated:
        """What kernels and the functions they call know as `cuda`: of the kernel at work, if there is one. By itself
        the simulator puts it into every function's globals for as long as one of its threads is in there, and takes it
        away from the others."""

        def __init__(self, module):
            self._module = module

        def __getattr__(self, name):
            kernel = _get_kernel_context()
            if name == "shared":
                return _Shared(kernel.shared)
            return getattr(kernel if hasattr(kernel, name) else self._module, name)

    cuda = _Simulated(cuda)

cuda.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # a sum over a handful of channels is a small grid, and meant to be

LEAST_CAPABILITY = (7, 5)
"""Compute capability of the oldest devices that CUDA 13 compiles for (Turing)."""


def intrinsic(function):
    """Numba's `intrinsic` for the CUDA target: a function that writes LLVM instructions."""
    return extending.intrinsic(function)


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
