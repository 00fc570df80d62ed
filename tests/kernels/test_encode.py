"""Poisson spikes: equal on every device; they depend on seed, sample, step and feature only."""

import math

import numpy as np
import pytest
from targets import ALL, REFERENCE, fewer

STEPS, SAMPLES, FEATURES = 5, 4, 13


def encode(k, x, indices=None, seed=3, steps=STEPS, first=0):
    """Spikes of one target, in memory that held something else."""
    indices = np.arange(len(x)) if indices is None else np.array(indices)
    s = np.full((steps, *x.shape), 7, np.uint8)
    k.poisson(x, indices.astype(np.int64), first, seed, s)
    return s


def draw(samples=SAMPLES, features=FEATURES, real=np.float32):
    return np.random.default_rng(1).random((samples, features)).astype(real)


def split_mix(seed, index):
    """SplitMix64's output for the index-th state in whole numbers (Steele, Lea and Flood 2014), upper 24 bits."""
    mask = 2**64 - 1
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return ((z ^ (z >> 31)) >> 40) / 2**24


@REFERENCE
@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_every_spike(k, seed):
    x, indices = draw(), [0, 5, 2**24 - 1, 5]
    s = encode(k, x, indices, seed)
    for t, n, f in np.ndindex(s.shape):
        assert s[t, n, f] == (split_mix(seed, 2**40 * indices[n] + FEATURES * t + f) < x[n, f])
    assert 0.3 < s.mean() < 0.7


@REFERENCE
def test_chance_belongs_to_the_sample(k):
    """Any batch, any place in it, any number of steps: the same spikes."""
    x = draw()
    whole = encode(k, x)
    assert np.array_equal(encode(k, x[[2, 0]], [2, 0]), whole[:, [2, 0]])
    assert np.array_equal(encode(k, x, steps=2), whole[:2])
    assert np.array_equal(encode(k, x, steps=2, first=3), whole[3:])
    same = encode(k, np.repeat(x[:1], SAMPLES, axis=0))
    assert len({train.tobytes() for train in same.transpose(1, 0, 2)}) == SAMPLES
    assert not np.array_equal(encode(k, x, seed=4), whole)


@ALL
def test_certain_values(k):
    """0 never fires, 1 always does, and so does what lies beyond."""
    x = np.array([[0, 1, -0.5, 1.5]], np.float32)
    assert (encode(k, x, steps=1000) == [0, 1, 0, 1]).all()
    assert (encode(k, x.astype(np.uint8)[:, :2], steps=10) == [0, 1]).all()


@REFERENCE
def test_rates(k):
    """Five standard deviations of the mean of so many draws; the same from step to step."""
    for p in (0.1, 0.5, 0.9):
        s = encode(k, np.full((fewer(k, 50, 5), 100), p, np.float32), steps=8)
        deviation = math.sqrt(p * (1 - p) / s.size)
        assert abs(s.mean() - p) < 5 * deviation
        both = (s[1:] & s[:-1]).mean()
        assert abs(both - p * p) < 5 * math.sqrt(p * p * (1 - p * p) / s[1:].size) + 2 * deviation
