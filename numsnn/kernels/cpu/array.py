"""Memory of the CPU: NumPy arrays that begin at a cache line. `reference.array` documents the functions."""

from math import prod

import numpy as np

from ..reference.array import copy, each_input, fill, put, to_host
from .run.launch import aligned

__all__ = ["copy", "empty", "feed", "fill", "from_host", "put", "to_host", "zeros"]


def empty(shape, dtype):
    """See `reference.array.empty`."""
    return aligned(prod(shape), dtype).reshape(shape)


def zeros(shape, dtype):
    """See `reference.array.zeros`."""
    array = empty(shape, dtype)
    fill(array, 0)
    return array


def from_host(x, dtype):
    """See `reference.array.from_host`."""
    array = empty(x.shape if isinstance(x, np.ndarray) else np.shape(x), dtype)
    array[...] = x
    return array


def feed(batches, dtype):
    """See `reference.array.feed`."""
    for x, y in batches:
        yield each_input(x, lambda _, array: from_host(array, dtype)), y
