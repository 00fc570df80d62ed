"""Dropout: all steps use one mask, which depends on seed and position only."""

import math

import numpy as np
import pytest
from bounds import REALS, agree
from targets import ALL, COMPILED, fewer, reference


def drop(k, x, p, seed, real=np.float32):
    """y of one target, in memory that held NaN."""
    y = np.full(x.shape, np.nan, real)
    k.dropout(x, p, seed, y)
    return y


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("steps", "features"), [(1, 1), (4, 97), (41, 3)])
@pytest.mark.parametrize("seed", [0, 12345, 2**63 + 5])
@COMPILED
def test_is_the_reference(small_tiles, k, steps, features, seed, real):
    """The same mask; a division against a product with a rounded reciprocal is three roundings."""
    x = np.random.default_rng(1).normal(size=(steps, features)).astype(real)
    got, want = (drop(target, x, 0.3, seed, real) for target in (k, reference))
    assert np.array_equal(got == 0, want == 0)
    agree(got, want, 3, want)


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


@ALL
def test_is_its_own_transpose(k):
    """<dy, A x> = <A dy, x>: the backward pass is the same call."""
    x, dy = np.random.default_rng(3).normal(size=(2, 4, 97))
    forward, backward = (drop(k, a, 0.5, 9, np.float64) for a in (x, dy))
    agree((dy * forward).sum(), (backward * x).sum(), x.size, np.abs(dy * forward).sum())


@ALL
def test_spikes(k):
    spikes = (np.random.default_rng(4).random((4, 97)) < 0.4).astype(np.uint8)
    want = drop(reference, spikes.astype(np.float32), 0.3, 11)
    agree(drop(k, spikes, 0.3, 11), want, 3, want)
