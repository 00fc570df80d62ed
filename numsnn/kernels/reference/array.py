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


def to_host(x):
    """A NumPy copy of x."""
    return np.array(x)
