"""Memory of the CPU target: NumPy arrays that begin at a cache line; `reference.array` is the text it equals."""

from math import prod

import numpy as np

from ..reference.array import to_host
from .launch import aligned

__all__ = ["empty", "from_host", "to_host", "zeros"]


def empty(shape, dtype):
    """See `reference.array.empty`."""
    return aligned(prod(shape), dtype).reshape(shape)


def zeros(shape, dtype):
    """See `reference.array.zeros`."""
    array = empty(shape, dtype)
    array[...] = 0
    return array


def from_host(x, dtype):
    """See `reference.array.from_host`."""
    array = empty(np.shape(x), dtype)
    array[...] = x
    return array
