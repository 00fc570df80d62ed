"""Encoding by chance."""

import numpy as np

from .dropout import uniform


def poisson(x, indices, first, seed, s):
    """C4: s[t, n, f] = 1 where uniform(seed, 2^40 indices[n] + F (first + t) + f) < x[n, f], else 0.

    x ``[N, F]`` holds firing probabilities, s ``[T, N, F]`` is out, uint8; first is the number of its first step. A
    random number belongs to its sample (by the number in indices ``[N]``, int64, below 2^24), step and feature: neither
    the batch nor T changes it.
    """
    steps, _, features = s.shape
    sample = indices.astype(np.uint64) << np.uint64(40)
    place = features * first + np.arange(steps * features).reshape(steps, 1, features)
    s[...] = uniform(seed, sample[None, :, None] + place.astype(np.uint64)) < x
