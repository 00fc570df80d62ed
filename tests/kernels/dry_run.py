"""Dry runs of the CUDA device: nothing is allocated, copied or started, and the kernels that a real run would compile
are recorded. Use this module in a separate process, because it replaces parts of Numba."""

from types import SimpleNamespace

import numpy as np
from numba import cuda, types
from numba.cuda import dispatcher
from numba.np.numpy_support import from_dtype

LAUNCHES = {}
"""Maps (kernel, types of its arguments) to the names of the functions that started it, in the order of first starts."""

CALLERS = []
"""Stack of names of functions; a caller appends the name of a function while that function runs."""

DEVICE = SimpleNamespace(
    compute_capability=(9, 0), name=b"a stand-in", MULTIPROCESSOR_COUNT=132, MAX_SHARED_MEMORY_PER_BLOCK=49152
)


class Memory:
    """Replaces Numba's arrays in device memory."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, np.dtype(dtype)

    def __getitem__(self, part):
        return self

    def view(self, dtype):
        return Memory(self.shape, dtype)

    def reshape(self, shape):
        return Memory(shape, self.dtype)

    def copy_to_device(self, x, stream=None):
        pass

    def copy_to_host(self, x, stream=None):
        x[...] = 0


class Stream:
    """Replaces streams and events."""

    handle = SimpleNamespace(value=0)

    def nothing(self, *arguments):
        pass

    record = wait = synchronize = nothing


def type_of(x):
    """Return the type for which Numba compiles an argument."""
    if isinstance(x, Memory):
        return types.Array(from_dtype(x.dtype), len(x.shape), "C")
    if isinstance(x, bool | np.bool_):
        return types.boolean
    if isinstance(x, int):
        return types.int64
    if isinstance(x, np.generic):
        return from_dtype(x.dtype)
    if isinstance(x, float):
        return types.float64
    if isinstance(x, tuple):
        return types.Tuple([type_of(part) for part in x])
    raise TypeError(f"a kernel was given {type(x).__name__}")


def note_launches():
    """Turn all further calls into dry runs."""
    cuda.stream = cuda.event = lambda *arguments, **named: Stream()
    cuda.pinned_array, cuda.device_array = np.zeros, Memory
    cuda.get_current_device = dispatcher.get_current_device = lambda: DEVICE
    dispatcher.CUDADispatcher.__getitem__ = _configured


def _configured(kernel, configuration):
    def start(*arguments):
        callers = LAUNCHES.setdefault((kernel, tuple(map(type_of, arguments))), [])
        if CALLERS and CALLERS[-1] not in callers:
            callers.append(CALLERS[-1])

    return start
