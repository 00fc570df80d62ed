"""Readouts and labels that the tests of losses share."""

import numpy as np

from numsnn.losses import TimeToFirstSpike

T, N, K = 4, 3, 5
LABELS = np.array([1, 4, 0])


def readout(dtype=np.float64, loss=None):
    """Random numbers of either sign, or probabilities if the loss wants spikes."""
    z = np.random.default_rng(0).normal(0, 1.5, (T, N, K))
    return (1 / (1 + np.exp(-z)) if isinstance(loss, TimeToFirstSpike) else z).astype(dtype)
