"""Positions in pictures ``[B, H, W, C]`` for kernels, and a launch that divides pixels and channels among threads.

Integer arithmetic takes as much time in these kernels as memory does. Arrays are therefore flat and have uint64
indices, for which Numba does not test whether an index is negative. Numbers of pixels are at most `MOST_PIXELS` and are
divided in 32 bits. Loops over channels use `while`, because a range with a step divides to find its length.
"""

from functools import cache

import numpy as np

from ....errors import DeviceError
from ..run.compile import device
from ..run.launch import WARP, ceil_div, launch

THREADS = 256
"""Largest number of threads per block."""

MOST_PIXELS = 2**31
"""Largest number of pixels per launch, those of all pictures together."""


def check_pixels(pixels: int) -> None:
    """Refuse more than `MOST_PIXELS` pixels.

    Raises:
        DeviceError: there are more.
    """
    if pixels > MOST_PIXELS:
        raise DeviceError(
            f"device 'cuda': a kernel takes at most {MOST_PIXELS} pixels, those of all samples and steps together; "
            f"got {pixels}; use fewer samples or fewer steps"
        )


def flat(x):
    """A view of x with a single axis."""
    return x.reshape(-1)


@device
def pixel_at(m, high, wide):
    """The image, row and column of pixel m, in pictures of `high` rows and `wide` columns."""
    line = np.uint32(np.uint32(m) // np.uint32(wide))
    return np.int32(line // np.uint32(high)), np.int32(line % np.uint32(high)), np.int32(np.uint32(m) % np.uint32(wide))


@device
def divide(a, b):
    """Return a // b for whole numbers from 0 to 2^31."""
    return np.int64(np.uint32(a) // np.uint32(b))


@device
def windows(position, size, stride, padding, extent):
    """The filter windows that contain a position, along one axis: the first one, and the one after the last.

    There are `extent` windows of `size` positions, which are `stride` apart.
    """
    first = divide(max(0, position + padding - size + stride), stride)
    return first, min(extent, divide(position + padding, stride) + 1)


@cache
def tap_finder(dilated):
    """The device function that returns the tap at a distance from the corner of its filter, along one axis, or -1 if no
    tap is there. Without a dilation every distance is a tap, and nothing is divided."""

    @device
    def tap_of(distance, dilation):
        if not dilated:
            return np.int64(distance)
        tap = divide(distance, dilation)
        return tap if tap * dilation == distance else np.int64(-1)

    return tap_of


@device
def inside(position, extent):
    """Whether 0 <= position < extent, by one comparison."""
    return np.uint32(position) < np.uint32(extent)


def launch_pixels(kernel, pixels: int, channels: int, *arguments, most: int = WARP) -> None:
    """Launch a kernel ``f(..., pixels)`` over pixels and channels.

    A thread takes pixel ``blockIdx.x blockDim.y + threadIdx.y``, if it exists, and every ``blockDim.x``-th of its
    channels. blockDim.x is at most `most`.

    Raises:
        DeviceError: there are more than `MOST_PIXELS` pixels.
    """
    check_pixels(pixels)
    if pixels and channels:
        across = min(most, channels, THREADS)
        down = min(THREADS // across, pixels)
        launch(kernel, ceil_div(pixels, down), (across, down), *arguments, pixels)
