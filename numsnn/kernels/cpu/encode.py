"""Encoding by random spikes, compiled. `reference.encode` documents it."""

import numpy as np

from .. import equations as eq
from ..compile import kernel
from .run.launch import count_tiles, launch, rows_per_tile


@kernel
def _poisson_tiles(x, indices, first, seed, s, rows, lo, hi):
    # place is the index of the row's first random number, which depends on the sample and the step only.
    steps, samples, features = s.shape
    for row in range(lo * rows, min(steps * samples, hi * rows)):
        t, n = row // samples, row % samples
        place = (np.uint64(indices[n]) << np.uint64(40)) + np.uint64((first + t) * features)
        for f in range(features):
            s[t, n, f] = eq.uniform(seed, place + np.uint64(f)) < x[n, f]


def poisson(x, indices, first, seed, s):
    """See `reference.encode.poisson`."""
    rows = rows_per_tile(s.shape[2])
    launch(_poisson_tiles, count_tiles(s.shape[0] * s.shape[1], rows), x, indices, first, np.uint64(seed), s, rows)
