"""Sums and copies along time."""

import math

import numpy as np
import pytest
from bounds import REALS, agree

from numsnn.kernels import cpu, reference

BOTH = pytest.mark.parametrize("k", [reference, cpu], ids=lambda k: k.name)
STEPS_FEATURES = pytest.mark.parametrize(("steps", "features"), [(1, 1), (4, 97), (41, 3)])


@BOTH
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("shape", [(1,), (3, 5, 7), (2, 1, 3, 4, 2)])
def test_add(small_tiles, k, shape, real):
    a, b = np.random.default_rng(1).normal(size=(2, *shape)).astype(real)
    y = np.full_like(a, np.nan)
    k.add(a, b, y)
    assert np.array_equal(y, a + b)  # one rounding, the same everywhere


@BOTH
def test_add_spikes(small_tiles, k):
    """Into spikes' own type, as counts, and next to numbers."""
    rng = np.random.default_rng(2)
    a, b = (rng.random((2, 3, 5, 7)) < 0.4).astype(np.uint8)
    x = rng.normal(size=a.shape).astype(np.float32)
    counts, sums, mixed = np.full_like(a, 9), np.full_like(x, np.nan), np.full_like(x, np.nan)
    k.add(a, b, counts)
    k.add(a, b, sums)
    k.add(a, x, mixed)
    assert set(np.unique(counts)) == {0, 1, 2}
    assert np.array_equal(counts, a + b) and np.array_equal(sums, a + b)
    assert np.array_equal(mixed, a.astype(np.float32) + x)


@BOTH
@pytest.mark.parametrize("real", REALS)
@STEPS_FEATURES
def test_repeat(small_tiles, k, steps, features, real):
    x = np.random.default_rng(3).normal(size=features).astype(real)
    y = np.full((steps, features), np.nan, real)
    k.repeat(x, y)
    assert np.array_equal(y, np.stack([x] * steps))


@BOTH
@pytest.mark.parametrize("real", REALS)
@STEPS_FEATURES
def test_sum_steps(small_tiles, k, steps, features, real):
    dy = np.random.default_rng(4).normal(size=(steps, features)).astype(real)
    dx = np.full(features, np.nan, real)
    k.sum_steps(dy, dx)
    want = np.array([math.fsum(column) for column in dy.T.tolist()], real)
    agree(dx, want, steps, np.abs(dy).sum(0))
