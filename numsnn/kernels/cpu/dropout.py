"""Dropout with one mask for all time steps, compiled. `reference.dropout` documents it."""

import numpy as np

from .. import equations as eq
from ..compile import kernel
from .run.launch import TILE_ELEMENTS, count_tiles, launch


@kernel
def _dropout_tiles(x, p, inverse, seed, y, size, lo, hi):
    # The mask is drawn once per feature, in a register, and applied to all steps.
    steps, features = x.shape
    for f in range(lo * size, min(features, hi * size)):
        factor = inverse if eq.uniform(seed, np.uint64(f)) >= p else type(inverse)(0)
        for t in range(steps):
            y[t, f] = x[t, f] * factor


def dropout(x, p, seed, y):
    """See `reference.dropout.dropout`."""
    steps, features = x.shape
    size = max(1, TILE_ELEMENTS // steps)
    inverse = y.dtype.type(1 / (1 - p))
    launch(_dropout_tiles, count_tiles(features, size), x, p, inverse, np.uint64(seed), y, size)
