"""Pooling: reference against loops over scalars, compiled kernels against reference."""

import naive
import numpy as np
import pytest
from bounds import agree
from entries_products import WINDOWS
from targets import ALL, REFERENCE, reference

from numsnn.kernels.types import Window


def draw(name, real):
    """x and dy of a case, and its window."""
    shape, *window = WINDOWS[name]
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape).astype(real)
    return x, rng.normal(size=naive.output_shape(shape, *window, shape[3])).astype(real), Window(*window)


def total(k, x, dy, window, divisor):
    """y and dx of one target, in memory that held NaN."""
    y, dx = np.full_like(dy, np.nan), np.full(x.shape, np.nan, dy.dtype)
    k.sum_pool2d_forward(x, window, divisor, y)
    k.sum_pool2d_backward(dy, window, divisor, dx)
    return y, dx


def average(k, x, dy, window):
    """y and dx of average pooling."""
    return total(k, x, dy, window, window[0][0] * window[0][1])


def maximum(k, x, dy, window):
    """y, index and dx of one target, in memory that held other numbers."""
    y, index = np.full(dy.shape, 99, x.dtype), np.full(dy.shape, 99, np.int16)
    dx = np.full(x.shape, np.nan, dy.dtype)
    k.max_pool2d_forward(x, window, y, index)
    k.max_pool2d_backward(dy, index, window, dx)
    return y, index, dx


def assert_averages_agree(got, want, x, dy, window):
    """One rounding a tap, and three for the division or for the product with a rounded reciprocal."""
    ops = window[0][0] * window[0][1] + 3
    scales = average(reference, np.abs(x).astype(np.float64), np.abs(dy).astype(np.float64), window)
    for array, oracle, scale in zip(got, want, scales, strict=True):
        agree(array, oracle, ops, scale)


@pytest.mark.parametrize("name", WINDOWS)
def test_reference_average(name):
    x, dy, window = draw(name, np.float64)
    area = window[0][0] * window[0][1]
    want_y = np.array(naive.sum_pool2d_forward(x, *window, area))
    want_dx = np.array(naive.sum_pool2d_backward(dy, x.shape, *window, area))
    assert_averages_agree(average(reference, x, dy, window), (want_y, want_dx), x, dy, window)


@pytest.mark.parametrize("name", WINDOWS)
def test_reference_maximum(name):
    """Maxima are picked, not computed: they agree to the bit, and gradients to the order of their sums."""
    x, dy, window = draw(name, np.float64)
    y, index, dx = maximum(reference, x, dy, window)
    want_y, want_index = map(np.array, naive.max_pool2d_forward(x, *window))
    assert np.array_equal(y, want_y) and np.array_equal(index, want_index)
    windows = window[0][0] * window[0][1]
    want_dx = np.array(naive.max_pool2d_backward(dy, index, x.shape, *window))
    agree(dx, want_dx, windows, naive.max_pool2d_backward(np.abs(dy), index, x.shape, *window))


@pytest.mark.parametrize("name", WINDOWS)
@REFERENCE
def test_spikes(small_tiles, k, name):
    """Spikes pool to rates, or to spikes; most windows are ties."""
    x, dy, window = draw(name, np.float32)
    spikes = (x > 0.3).astype(np.uint8)
    want = average(reference, spikes.astype(np.float32), dy, window)
    assert_averages_agree(average(k, spikes, dy, window), want, spikes, dy, window)
    y, index, _ = maximum(k, spikes, dy, window)
    want_y, want_index = map(np.array, naive.max_pool2d_forward(spikes, *window))
    assert y.dtype == np.uint8 and np.array_equal(y, want_y) and np.array_equal(index, want_index)


@ALL
def test_of_equals_the_first_inside_the_picture_wins(k):
    """Equal numbers all below zero: neither a later one nor a padded zero is picked."""
    x, dy = np.full((1, 3, 3, 1), -2.0, np.float32), np.ones((1, 2, 2, 1), np.float32)
    y, index, dx = maximum(k, x, dy, Window((3, 3), (2, 2), (1, 1)))
    assert (y == -2).all()
    assert index[0, :, :, 0].tolist() == [[4, 3], [1, 0]]
    assert dx[0, :, :, 0].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("name", WINDOWS)
@ALL
def test_sums_of_spikes_are_counts(small_tiles, k, name):
    """Nothing is rounded, forwards and backwards."""
    x, dy, window = draw(name, np.float32)
    spikes, slopes = (x > 0.3).astype(np.uint8), np.round(dy)
    y, dx = total(k, spikes, slopes, window, 1)
    assert np.array_equal(y, naive.sum_pool2d_forward(spikes, *window, 1))
    assert np.array_equal(dx, naive.sum_pool2d_backward(slopes, x.shape, *window, 1))


@ALL
def test_average_counts_padded_zeros(k):
    x, dy = np.ones((1, 2, 2, 1), np.float32), np.full((1, 2, 2, 1), 4, np.float32)
    y, dx = average(k, x, dy, Window((2, 2), (2, 2), (1, 1)))
    assert (y == 0.25).all() and (dx == 1).all()
