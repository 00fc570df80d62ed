"""Starts kernels: the one place that knows how many threads make a block, and in which stream work is done."""

import threading
from math import prod

import numpy as np

from ....errors import DeviceError
from .api import SIMULATED
from .memory import DeviceArray, empty
from .stream import work_stream

WARP = 32

BLOCK = 256
"""Threads of a block whose threads do not work together."""

MOST_BLOCKS = 1 << 20
"""Blocks of a launch at most: beyond it threads take several elements each, in strides of the whole grid."""


def launch(kernel, grid, block, *arguments) -> None:
    """Start a kernel and come back at once.

    Args:
        kernel: compiled by `compile.kernel`.
        grid, block: their extents, a number or a tuple of up to three.
        arguments: `DeviceArray`s, NumPy scalars, whole numbers, truth values and tuples of those.

    Raises:
        DeviceError: an array that is not on the device.
    """
    kernel[grid, block, work_stream()](*(_argument(argument) for argument in arguments))


def _argument(x):
    if isinstance(x, DeviceArray):
        return x.handle
    if isinstance(x, np.ndarray):
        raise DeviceError(f"an array of shape {x.shape} is in the host's memory where a kernel needs it on 'cuda'")
    return x


def launch_flat(kernel, count: int, *arguments) -> None:
    """Start a kernel ``f(..., count)`` whose threads take the elements ``grid(1), grid(1) + gridsize(1), ...`` below
    count."""
    if count:
        block = min(BLOCK, ceil_div(count, WARP) * WARP) if not SIMULATED else min(BLOCK, count)
        launch(kernel, min(MOST_BLOCKS, ceil_div(count, block)), block, *arguments, count)


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


class _Scratch(threading.local):
    """Work arrays a thread keeps and reuses, by purpose. Kernels run one after the other, so that the next one may
    write over what the last one read."""

    def __init__(self):
        self.arrays = {}

    def get(self, purpose, shape, dtype) -> DeviceArray:
        """An uninitialised array; valid until this thread asks for the same purpose again."""
        size, key = prod(shape), (purpose, np.dtype(dtype))
        flat = self.arrays.get(key)
        if flat is None or flat.size < size:
            flat = self.arrays[key] = empty((size,), dtype)
        return flat[:size].reshape(shape)


scratch = _Scratch()
