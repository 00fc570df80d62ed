"""Dropout with one mask for all time steps."""

import numpy as np


def uniform(seed, index):
    """C1, C2: the output of SplitMix64 for each index as a number in [0, 1), as in `kernels.equations.uniform`."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + (index.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))  # C1
    return (z >> np.uint64(40)) / 16777216.0  # C2


def dropout(x, p, seed, y):
    """C3: y = x mask / (1 - p), where mask[f] = uniform(seed, f) >= p.

    x and y, the output, are ``[T, F]``, where F is the number of samples times features. The backward pass calls the
    same function for dy with the same seed, because the operation is linear and its own transpose.
    """
    mask = uniform(seed, np.arange(x.shape[1])) >= p
    y[...] = np.where(mask, x.astype(y.dtype) / y.dtype.type(1 - p), 0)
