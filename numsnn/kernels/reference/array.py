"""Memory of the reference kernels: NumPy arrays."""

import numpy as np


def empty(shape, dtype):
    """An uninitialised C-contiguous array."""
    return np.empty(shape, dtype)


def zeros(shape, dtype):
    """A C-contiguous array of zeros."""
    return np.zeros(shape, dtype)


def from_host(x, dtype):
    """A C-contiguous copy of the host array x on the device, converted to dtype."""
    return np.array(x, dtype=dtype, order="C")


def put(x, array):
    """Copy the host array x to an array of the device that has the same shape."""
    array[...] = x


def to_host(x):
    """A copy of the device's array x as a NumPy array."""
    return np.array(x)


def copy(x, y):
    """Copy x to y, which has the same shape, and convert it to the dtype of y."""
    y[...] = x


def fill(x, value):
    """Set every element of x to one number."""
    x[...] = value


def feed(batches, dtype):
    """Copy batches to the device, one after the other.

    Args:
        batches: pairs (x, y) of host arrays. x may be a dict of arrays, one for each input of a network.
        dtype: dtype of x on the device.

    Yields:
        pairs of x on the device and y. The memory of x may be overwritten when the next pair is requested.
    """
    for x, y in batches:
        yield each_input(x, lambda _, array: from_host(array, dtype)), y


def each_input(x, change):
    """Return change(name, array) for every array of a dict x, by name; for an array x return change(None, x)."""
    return {name: change(name, array) for name, array in x.items()} if isinstance(x, dict) else change(None, x)
