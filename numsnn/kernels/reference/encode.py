"""Encoding by random spikes."""

import numpy as np

from .dropout import uniform


def poisson(x, indices, first, seed, s):
    """C4: s[t, n, f] = 1 where uniform(seed, 2^40 indices[n] + F (first + t) + f) < x[n, f], else 0.

    A random number depends on the sample's index, the step and the feature. It does not depend on the batch or on T.

    Args:
        x: ``[N, F]``, probabilities of a spike.
        indices: ``[N]`` int64, index of each sample in the dataset, below 2^24.
        first: number of the first step.
        seed: seed of the random numbers.
        s: output, ``[T, N, F]``, uint8.
    """
    steps, _, features = s.shape
    sample = indices.astype(np.uint64) << np.uint64(40)
    place = features * first + np.arange(steps * features).reshape(steps, 1, features)
    s[...] = uniform(seed, sample[None, :, None] + place.astype(np.uint64)) < x
