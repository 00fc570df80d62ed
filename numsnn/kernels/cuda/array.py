"""Arrays on the GPU: copies from and to the host, filling, copying, and the transfer of batches during training."""

from collections import defaultdict
from itertools import cycle
from math import prod

import numpy as np

from ..reference.array import each_input
from .run.api import cuda
from .run.compile import kernel
from .run.launch import launch_flat
from .run.memory import DeviceArray, empty
from .run.stream import copy_stream, work_stream

__all__ = ["copy", "empty", "feed", "fill", "from_host", "put", "to_host", "zeros"]


def from_host(x, dtype):
    """See `reference.array.from_host`."""
    array = empty(np.shape(x), dtype)
    put(x, array)
    return array


def put(x, array):
    """See `reference.array.put`."""
    if array.size:
        flat = np.ascontiguousarray(x, array.dtype).reshape(-1)  # Numba mistakes strides of 0 for missing axes
        array.reshape(-1).handle.copy_to_device(flat, stream=work_stream())


def to_host(x):
    """See `reference.array.to_host`. A host array is copied."""
    if isinstance(x, np.ndarray):
        return np.array(x)
    host = np.empty(x.shape, x.dtype)
    if x.size:
        x.handle.copy_to_host(host, stream=work_stream())
        work_stream().synchronize()
    return host


@kernel
def _fill_elements(x, value, count):
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        x[k] = value


def fill(x, value):
    """See `reference.array.fill`."""
    launch_flat(_fill_elements, x.size, x.reshape(-1), x.dtype.type(value))


def zeros(shape, dtype):
    """See `reference.array.zeros`."""
    array = empty(shape, dtype)
    fill(array, 0)
    return array


@kernel
def _copy_elements(x, y, count):
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[k] = x[k]


def copy(x, y):
    """See `reference.array.copy`."""
    launch_flat(_copy_elements, x.size, x.reshape(-1), y.reshape(-1))


class _Slot:
    """Memory for one batch: in pinned memory of the host, which the GPU can read by itself, and on the GPU."""

    def __init__(self):
        self.host = self.device = None
        self.arrived, self.used = cuda.event(), cuda.event()

    def send(self, x, dtype):
        """Start to copy x to the GPU while kernels run. `arrive` must be called before a kernel reads the copy."""
        dtype, size = np.dtype(dtype), prod(x.shape)
        if self.host is None or self.host.nbytes < size * dtype.itemsize:
            self.host = cuda.pinned_array(size * dtype.itemsize, np.uint8)
            self.device = empty((size * dtype.itemsize,), np.uint8)
        else:
            self.arrived.synchronize()  # wait until the batch before has left the pinned memory
        host = self.host[: size * dtype.itemsize].view(dtype).reshape(x.shape)
        host[...] = x
        batch = DeviceArray(self.device.base, 0, x.shape, dtype)
        self.used.record(work_stream())  # the copy waits for the last kernel that reads the batch before
        self.used.wait(copy_stream())
        batch.handle.copy_to_device(host, stream=copy_stream())
        self.arrived.record(copy_stream())
        return batch

    def arrive(self):
        """Make all kernels that are launched from now on wait until the batch has arrived."""
        self.arrived.wait(work_stream())


def feed(batches, dtype):
    """See `reference.array.feed`. While kernels use one batch, the next one is copied."""
    slots: tuple[defaultdict, defaultdict] = defaultdict(_Slot), defaultdict(_Slot)  # one slot per input
    ahead = None
    try:
        for (x, y), slot in zip(batches, cycle(slots)):
            coming = slot, each_input(x, lambda name, array, slot=slot: slot[name].send(array, dtype)), y
            if ahead is not None:
                yield _arrived(*ahead)
            ahead = coming
        if ahead is not None:
            yield _arrived(*ahead)
    finally:  # the memory of the slots will be used for other arrays, so that no copy may still be running
        for slot in slots:
            _arrived(slot, None, None)


def _arrived(slot, x, y):
    for one in slot.values():
        one.arrive()
    return x, y
