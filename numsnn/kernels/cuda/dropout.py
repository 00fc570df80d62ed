"""Dropout with one mask for all time steps, as a CUDA kernel. `reference.dropout` documents it."""

import math

import numpy as np

from .inline.chance import uniform_bits
from .run.api import cuda
from .run.compile import kernel
from .run.launch import launch_flat


@kernel
def _drop_features(x, least, factor, seed, y, count):
    # The mask is drawn once per feature, in a register, and applied to all steps.
    real = y.dtype.type
    for f in range(cuda.grid(1), count, cuda.gridsize(1)):
        kept = factor if uniform_bits(seed, np.uint64(f)) >= least else real(0)
        for t in range(y.shape[0]):
            y[t, f] = real(x[t, f]) * kept


def dropout(x, p, seed, y):
    """See `reference.dropout.dropout`.

    Random numbers are compared as whole numbers of 24 bits. This gives the same mask and needs no float64.
    """
    least = np.uint64(math.ceil(p * 2**24))
    launch_flat(_drop_features, y.shape[1], x, least, y.dtype.type(1 / (1 - p)), np.uint64(seed), y)
