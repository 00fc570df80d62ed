"""Imports Numba's CUDA support, and finds out whether it can be used.

All other modules take `cuda` from here, so that a successor of numba-cuda changes this file only.
"""

import os
import sys
import threading
from importlib.util import find_spec

import numpy as np

from ....errors import DeviceError

INSTALL = "pip install 'numsnn[cuda]'"


def _import():
    """Numba's modules `cuda` and `cuda.extending`."""
    if find_spec("numba_cuda") is None:
        raise DeviceError(f"device 'cuda': numba-cuda is not installed; install it: {INSTALL}")
    from numba import cuda
    from numba.cuda import extending

    return cuda, extending


cuda, extending = _import()

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") == "1"
"""Whether kernels run in Numba's simulator, in Python and thread by thread, for tests without a GPU."""

if SIMULATED:
    from numba.cuda.simulator.kernel import _get_kernel_context

    class _Shared:
        """Shared memory of the running kernel. An array is identified by the source line that asks for it.

        The lock is needed because the simulator itself can give two threads that ask at the same time two different
        arrays. Alignment is ignored.
        """

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
        """The module `cuda` for kernels and the functions they call. It finds the running kernel, if there is one.

        The simulator itself puts this into the globals of a function while one thread runs the function. When that
        thread returns, it is missing for the other threads.
        """

        def __init__(self, module):
            self._module = module

        def __getattr__(self, name):
            kernel = _get_kernel_context()
            if name == "shared":
                return _Shared(kernel.shared)
            return getattr(kernel if hasattr(kernel, name) else self._module, name)

    cuda = _Simulated(cuda)

cuda.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # the grid of a sum over a few channels is small on purpose

LEAST_CAPABILITY = (7, 5)
"""Compute capability of the oldest devices that CUDA 13 compiles for (Turing)."""


def intrinsic(function):
    """Numba's decorator `intrinsic` for CUDA, for functions that write LLVM instructions."""
    return extending.intrinsic(function)


def require_device() -> None:
    """Check that there is a GPU that numsnn can use.

    Raises:
        DeviceError: there is no driver or no GPU, or the GPU is too old for CUDA 13.
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
    """The name, compute capability, multiprocessors and memory (bytes free, bytes in total) of the current GPU."""
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
