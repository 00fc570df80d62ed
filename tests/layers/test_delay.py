"""Delays: the step at which each value arrives, the dtype of spikes, and streams, in which nothing is lost."""

import numpy as np
import pytest

import numsnn as snn

SHAPE = (6, 2, 3, 4)
DELAYS = [0, 1, 2, (0, 1, 5, 9)]


def delayed(x, steps):
    y = np.zeros_like(x)
    for c, s in enumerate(np.broadcast_to(steps, x.shape[-1:])):
        y[s:, ..., c] = x[: max(len(x) - s, 0), ..., c]
    return y


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("steps", DELAYS)
def test_delay(device, steps, dtype):
    x = np.random.default_rng(0).integers(0, 2, SHAPE).astype(dtype)
    y = snn.Delay(steps).to(device)(x)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, delayed(x, steps))


@pytest.mark.parametrize("steps", DELAYS)
def test_gradient_comes_as_much_earlier(grid, device, step, steps):
    x, dy = grid(SHAPE), grid(SHAPE, 1)
    found = step(snn.Delay(steps).to(device).build(SHAPE), x, dy)
    np.testing.assert_array_equal(found["dx"], delayed(dy[::-1], steps)[::-1])


@pytest.mark.parametrize("pieces", [(1,) * 6, (2, 4), (5, 1)], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("steps", DELAYS)
def test_a_sequence_in_pieces(device, steps, dtype, pieces):
    """A pass that is carried on from the one before brings what was still under way."""
    x = np.random.default_rng(0).integers(0, 2, SHAPE).astype(dtype)
    layer, mode = snn.Delay(steps).to(device), snn.Mode(carried={})
    parts = np.split(x, np.cumsum(pieces)[:-1])
    y = np.concatenate([layer.forward(part, mode).copy() for part in parts])
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, delayed(x, steps))


def test_the_channels_may_be_said(device):
    x = np.ones((3, 2, 4), np.float32)
    np.testing.assert_array_equal(snn.Delay(1, channels=4).to(device)(x), delayed(x, 1))


def test_delays_may_be_a_numpy_array():
    layer = snn.Delay(np.array([1, 0]))
    assert layer.steps == (1, 0) and repr(layer) == "Delay((1, 0))"
