"""Dropout: all steps use one mask, which depends on seed and position only."""

import math

import numpy as np
from bounds import agree
from targets import ALL, REFERENCE, fewer, reference


def drop(k, x, p, seed, real=np.float32):
    """y of one target, in memory that held NaN."""
    y = np.full(x.shape, np.nan, real)
    k.dropout(x, p, seed, y)
    return y


@ALL
def test_mask(k):
    """Constant in time, of the asked share within five standard deviations, another one for another seed, and
    what is kept is scaled so that the mean stays."""
    p, features = 0.3, fewer(k, 20_000)
    y = drop(k, np.ones((3, features), np.float32), p, seed=7)
    assert (y == y[0]).all()
    agree(np.unique(y), np.array([0, 1 / (1 - p)], np.float32), 3, 1)
    share = (y[0] == 0).mean()
    deviation = math.sqrt(p * (1 - p) / features)
    assert abs(share - p) < 5 * deviation
    other = drop(k, np.ones((3, features), np.float32), p, seed=8)
    both = ((y[0] == 0) & (other[0] == 0)).mean()
    assert abs(both - p * p) < 5 * deviation


@ALL
def test_without_dropping_nothing_changes(k):
    x = np.random.default_rng(2).normal(size=(4, 97)).astype(np.float32)
    assert np.array_equal(drop(k, x, 0.0, seed=3), x)


@REFERENCE
def test_spikes(k):
    spikes = (np.random.default_rng(4).random((4, 97)) < 0.4).astype(np.uint8)
    want = drop(reference, spikes.astype(np.float32), 0.3, 11)
    agree(drop(k, spikes, 0.3, 11), want, 3, want)
