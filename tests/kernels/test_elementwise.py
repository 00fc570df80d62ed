"""Joins, copies along time and channels, and delays."""

import itertools
import math

import numpy as np
import pytest
from bounds import REALS, agree
from targets import ALL, REFERENCE, reference

STEPS_FEATURES = pytest.mark.parametrize(("steps", "features"), [(1, 1), (4, 97), (41, 3)])


@REFERENCE
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("shape", [(1,), (3, 5, 7), (2, 1, 3, 4, 2)])
def test_add(small_tiles, k, shape, real):
    a, b = np.random.default_rng(1).normal(size=(2, *shape)).astype(real)
    y = np.full_like(a, np.nan)
    k.add(a, b, y)
    assert np.array_equal(y, a + b)  # one rounding, the same everywhere


@REFERENCE
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


@REFERENCE
@pytest.mark.parametrize("real", REALS)
@STEPS_FEATURES
def test_repeat(small_tiles, k, steps, features, real):
    x = np.random.default_rng(3).normal(size=features).astype(real)
    y = np.full((steps, features), np.nan, real)
    k.repeat(x, y)
    assert np.array_equal(y, np.stack([x] * steps))


@REFERENCE
@pytest.mark.parametrize("real", REALS)
@STEPS_FEATURES
def test_sum_steps(small_tiles, k, steps, features, real):
    dy = np.random.default_rng(4).normal(size=(steps, features)).astype(real)
    dx = np.full(features, np.nan, real)
    k.sum_steps(dy, dx)
    want = np.array([math.fsum(column) for column in dy.T.tolist()], real)
    agree(dx, want, steps, np.abs(dy).sum(0))


@REFERENCE
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("shape", [(1,), (3, 5, 7), (2, 1, 3, 4, 2)])
def test_relu(small_tiles, k, shape, real):
    """Of the two one-sided derivatives at 0, the left one is taken. The gradient may be written over dy."""
    x, dy = np.random.default_rng(5).normal(size=(2, *shape)).astype(real)
    x.reshape(-1)[::3] = 0
    y, dx = np.full_like(x, np.nan), np.full_like(x, np.nan)
    k.relu_forward(x, y)
    k.relu_backward(dy, y, dx)
    assert y.reshape(-1).tolist() == [max(number, 0.0) for number in x.reshape(-1).tolist()]
    numbers = zip(dy.reshape(-1).tolist(), x.reshape(-1).tolist(), strict=True)
    assert dx.reshape(-1).tolist() == [slope if number > 0 else 0.0 for slope, number in numbers]
    k.relu_backward(dy, y, dy)
    assert np.array_equal(dy, dx)


@ALL
def test_relu_hides_no_nan(k):
    x = np.array([np.nan, -1, np.inf, -np.inf], np.float32)
    y = np.zeros_like(x)
    k.relu_forward(x, y)
    np.testing.assert_array_equal(y, [np.nan, 0, np.inf, 0])


# --- joins of spikes ----------------------------------------------------------------------------------------

JOINS = {"and": lambda a, s: a and s, "iand": lambda a, s: (not a) and s}
"""What they are on spikes."""


def join(k, name, a, s, dtype):
    y = np.full(a.shape, 9, dtype)
    getattr(k, f"{name}_forward")(a, s, y)
    return y


@REFERENCE
@pytest.mark.parametrize("dtype", [np.uint8, *REALS])
@pytest.mark.parametrize("name", JOINS)
def test_joins_of_spikes_are_logic(k, name, dtype):
    pairs = list(itertools.product((0, 1), (0, 1)))
    a, s = np.array(pairs, np.uint8).T.copy()
    assert join(k, name, a, s, dtype).tolist() == [int(JOINS[name](a, s)) for a, s in pairs]


@REFERENCE
@pytest.mark.parametrize("name", JOINS)
def test_joins_of_numbers(small_tiles, k, name):
    """Products, one or two roundings each; a spike and a number next to each other as well."""
    rng = np.random.default_rng(5)
    numbers = rng.random((3, 5, 7)).astype(np.float32)
    spikes = (rng.random(numbers.shape) < 0.5).astype(np.uint8)
    for a, s in ((numbers, spikes), (spikes, numbers), (numbers, numbers[::-1].copy())):
        y = join(k, name, a, s, np.float32)
        left = a.astype(np.float32) if name == "and" else 1 - a.astype(np.float32)
        assert np.array_equal(y, left * s.astype(np.float32))


# --- channels put together ----------------------------------------------------------------------------------


@REFERENCE
def test_concat_and_split(small_tiles, k):
    """Parts of several dtypes in one array, and each of them back."""
    rng = np.random.default_rng(8)
    parts = rng.normal(size=(23, 3)).astype(np.float32), (rng.random((23, 31)) < 0.5).astype(np.uint8)
    y, back = np.full((23, 34), np.nan, np.float32), np.full((23, 31), np.nan, np.float32)
    for part, first in zip(parts, (0, 3), strict=True):
        k.concat(part, first, y)
    assert np.array_equal(y, np.concatenate(parts, axis=1, dtype=np.float32))
    k.split(y, 3, back)
    assert np.array_equal(back, parts[1])


@REFERENCE
def test_concat_keeps_spikes(small_tiles, k):
    a, b = (np.random.default_rng(9).random((2, 23, 5)) < 0.5).astype(np.uint8)
    y = np.full((23, 10), 9, np.uint8)
    k.concat(a, 0, y)
    k.concat(b, 5, y)
    assert np.array_equal(y, np.concatenate([a, b], axis=1))


# --- delays -------------------------------------------------------------------------------------------------

DELAYS = {"none": [0, 0, 0], "one": [1, 1, 1], "each its own": [0, 2, 5], "beyond the end": [7, 4, 9]}


def delayed(k, x, steps, past):
    """y, with past as it is left, in memory that held other numbers."""
    y, past = np.full_like(x, 9), past.copy()
    k.delay_forward(x, np.array(steps), past, y)
    return y, past


def delayed_naively(x, steps, past):
    """Put the past and the sequence in a row, and take one number after the other from it."""
    line = [*past.tolist(), *x.tolist()]
    y = np.zeros_like(x)
    for t, m, c in np.ndindex(x.shape):
        at = len(past) + t - steps[c]
        if at >= 0:
            y[t, m, c] = line[at][m][c]
    return y, np.array(line[len(x) :]).reshape(past.shape)


@REFERENCE
@pytest.mark.parametrize("dtype", [np.uint8, *REALS])
@pytest.mark.parametrize("reach", [0, 2, 9])
@pytest.mark.parametrize("name", DELAYS)
def test_delay(small_tiles, k, name, reach, dtype):
    """Copies: to the bit, from nothing, from a past, and from a past longer than the sequence."""
    rng = np.random.default_rng(10)
    real = np.float32 if dtype == np.uint8 else dtype
    x, past = rng.integers(0, 2, (5, 11, 3)).astype(dtype), rng.integers(0, 2, (reach, 11, 3)).astype(real)
    if dtype != np.uint8:
        x += rng.normal(size=x.shape).astype(dtype)
    y, left = delayed(k, x, DELAYS[name], past)
    want, want_left = delayed_naively(x, DELAYS[name], past)
    assert y.dtype == dtype and np.array_equal(y, want)
    assert left.dtype == real and np.array_equal(left, want_left.astype(real))


@REFERENCE
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", DELAYS)
def test_delay_backward_is_the_adjoint(small_tiles, k, name, real):
    """Both only move numbers: where x is a one, dx collects the dy that it went to, to the bit."""
    steps, dy = DELAYS[name], np.random.default_rng(11).normal(size=(5, 4, 3)).astype(real)
    dx = np.full_like(dy, np.nan)
    k.delay_backward(dy, np.array(steps), dx)
    for at in np.ndindex(dy.shape):
        x = np.zeros_like(dy)
        x[at] = 1
        y, _ = delayed(reference, x, steps, np.zeros((0, 4, 3), real))
        assert dx[at] == (dy * y).sum()
