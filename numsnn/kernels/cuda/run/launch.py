"""Launches kernels in the stream of all kernels."""

import threading
from math import prod

import numpy as np

from ....errors import DeviceError
from .api import SIMULATED
from .memory import DeviceArray, empty
from .stream import work_stream

WARP = 32

BLOCK = 256
"""Threads per block in kernels whose threads do not share memory."""

MOST_BLOCKS = 1 << 20
"""Largest number of blocks per launch. With more elements, each thread takes several, in strides of the whole grid."""


def launch(kernel, grid, block, *arguments) -> None:
    """Launch a kernel, and return at once.

    Args:
        kernel: kernel that `compile.kernel` has compiled.
        grid, block: extents of the grid and of a block, each a number or a tuple of up to three numbers.
        arguments: `DeviceArray`s, NumPy scalars, whole numbers, booleans and tuples of these.

    Raises:
        DeviceError: an array is in the host's memory.
    """
    kernel[grid, block, work_stream()](*(_argument(argument) for argument in arguments))


def _argument(x):
    if isinstance(x, DeviceArray):
        return x.handle
    if isinstance(x, np.ndarray):
        raise DeviceError(f"an array of shape {x.shape} is in the host's memory where a kernel needs it on 'cuda'")
    return x


def launch_flat(kernel, count: int, *arguments) -> None:
    """Launch a kernel ``f(..., count)``, whose threads take the elements ``grid(1), grid(1) + gridsize(1), ...`` below
    count."""
    if count:
        block = min(BLOCK, ceil_div(count, WARP) * WARP) if not SIMULATED else min(BLOCK, count)
        launch(kernel, min(MOST_BLOCKS, ceil_div(count, block)), block, *arguments, count)


def ceil_div(a: int, b: int) -> int:
    """Return a / b, rounded up."""
    return -(-a // b)


class _Scratch(threading.local):
    """Work arrays that a thread keeps and uses again, by purpose.

    Kernels run one after another, so that a kernel may overwrite what the one before it has read.
    """

    def __init__(self):
        self.arrays = {}

    def get(self, purpose, shape, dtype) -> DeviceArray:
        """An uninitialised array. It is valid until this thread asks for an array for the same purpose again."""
        size, key = prod(shape), (purpose, np.dtype(dtype))
        flat = self.arrays.get(key)
        if flat is None or flat.size < size:
            flat = self.arrays[key] = empty((size,), dtype)
        return flat[:size].reshape(shape)


scratch = _Scratch()
