"""How kernels find their way in pictures ``[B, H, W, C]``, and a launch whose threads share pixels and channels out.

Arrays come flat, and indices are uint64: those are not counted from the end of an array, which costs instructions.
Pixels are counted in 32 bits: 2^31 of them hold 8 GiB of numbers already with one channel.
"""

import numpy as np

from .compile import device
from .launch import MOST_BLOCKS, WARP, ceil_div, launch

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
def inside(position, extent):
    """0 <= position < extent, in one comparison."""
    return np.uint32(position) < np.uint32(extent)


def launch_pixels(kernel, pixels: int, channels: int, *arguments, most: int = WARP) -> None:
    """Start a kernel ``f(..., pixels)`` whose threads take every ``gridDim.x blockDim.y``-th pixel, and of it every
    ``blockDim.x``-th channel, blockDim.x being `most` at most."""
    if pixels and channels:
        across = min(most, channels, THREADS)
        down = min(THREADS // across, pixels)
        launch(kernel, min(MOST_BLOCKS, ceil_div(pixels, down)), (across, down), *arguments, pixels)
