"""How kernels find their way in pictures ``[B, H, W, C]``, and a launch whose threads share pixels and channels out.

Integers cost such kernels as much time as memory does. So arrays come flat, with uint64 as indices, which count from no
array's end; pixels, 2^31 at most, are divided in 32 bits; and channels are gone through by `while`, as a range
with a step divides to count its turns.
"""

import numpy as np

from ..run.compile import device
from ..run.launch import WARP, ceil_div, launch

THREADS = 256
"""Of a block."""


def flat(x):
    """All elements along one axis."""
    return x.reshape(-1)


@device
def cut(m, high, wide):
    """Image, row and column of pixel m."""
    line = np.uint32(np.uint32(m) // np.uint32(wide))
    return np.int32(line // np.uint32(high)), np.int32(line % np.uint32(high)), np.int32(np.uint32(m) % np.uint32(wide))


@device
def divide(a, b):
    """a // b of numbers from 0 to 2^31."""
    return np.int64(np.uint32(a) // np.uint32(b))


@device
def windows(position, size, stride, padding, extent):
    """The windows that hold a position, of `extent` that lie a stride apart: the first, and the one after the last."""
    first = divide(max(0, position + padding - size + stride), stride)
    return first, min(extent, divide(position + padding, stride) + 1)


@device
def inside(position, extent):
    """0 <= position < extent, in one comparison."""
    return np.uint32(position) < np.uint32(extent)


def launch_pixels(kernel, pixels: int, channels: int, *arguments, most: int = WARP) -> None:
    """Start a kernel ``f(..., pixels)`` whose threads take pixel ``blockIdx.x blockDim.y + threadIdx.y``, if it is
    there, and of its channels every ``blockDim.x``-th, blockDim.x being `most` at most."""
    if pixels and channels:
        across = min(most, channels, THREADS)
        down = min(THREADS // across, pixels)
        launch(kernel, ceil_div(pixels, down), (across, down), *arguments, pixels)
