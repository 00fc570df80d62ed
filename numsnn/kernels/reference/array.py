"""Memory of the reference target: NumPy arrays."""

import numpy as np


def empty(shape, dtype):
    """An uninitialised C-contiguous array."""
    return np.empty(shape, dtype)


def zeros(shape, dtype):
    """A C-contiguous array of zeros."""
    return np.zeros(shape, dtype)


def from_host(x, dtype):
    """A C-contiguous copy of the host array x as dtype."""
    return np.array(x, dtype=dtype, order="C")


def put(x, array):
    """Copy the host array x into an array of the target of the same shape."""
    array[...] = x


def to_host(x):
    """A NumPy copy of x."""
    return np.array(x)


def copy(x, y):
    """y = x, of one shape, as y's dtype."""
    y[...] = x


def fill(x, value):
    """Set every element of x to one number."""
    x[...] = value


def feed(batches, dtype):
    """Bring batches to the target, one after the other.

    Args:
        batches: pairs (x, y) of host arrays.
        dtype: x's on the target.

    Yields:
        x on the target and y; x may be written over once the next pair is asked for.
    """
    for x, y in batches:
        yield from_host(x, dtype), y
