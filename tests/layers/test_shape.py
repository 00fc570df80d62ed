"""Flatten and Dropout."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING


def test_flatten_puts_channels_innermost():
    x = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.float32).reshape(2, 3, 4, 5, 6)
    y = snn.Flatten().to("reference")(x)
    assert y.shape == (2, 3, 120)
    assert y[1, 2, (3 * 5 + 4) * 6 + 5] == x[1, 2, 3, 4, 5]
    np.testing.assert_array_equal(y.ravel(), x.ravel())


def test_flatten_copies_nothing(step):
    layer, x = snn.Flatten().to("reference"), np.ones((2, 3, 4, 5, 6), np.float32)
    dy = np.ones((2, 3, 120), np.float32)
    assert np.shares_memory(layer.forward(x, TRAINING), x)
    assert np.shares_memory(layer.backward(dy), dy)


SHAPE = (3, 40, 50)
"""2,000 features of all samples together: a share of p = 0.3 is met to 0.3 * 0.7 / 2000 = (1 %)^2, five of them."""


def masked(layer, seed=0, x=None):
    x = np.ones(SHAPE, np.float32) if x is None else x
    return layer.forward(x, snn.Mode(training=True, store=True, seed=seed)).copy()


def test_dropout_drops_a_share_and_scales_the_rest(device):
    y = masked(snn.Dropout(0.3).to(device))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    assert abs((y[0] == 0).mean() - 0.3) < 5 * 0.01025


def test_dropout_has_one_mask_for_all_steps(device):
    y = masked(snn.Dropout(0.3).to(device))
    np.testing.assert_array_equal(y, [y[0]] * 3)
    assert len({tuple(row) for row in y[0]}) == 40, "samples share a mask"


def test_dropout_masks_the_gradient_as_it_masked_the_input(device):
    layer = snn.Dropout(0.3).to(device)
    x, dy = np.random.default_rng(0).uniform(1, 2, (2, *SHAPE)).astype(np.float32)
    y = masked(layer, 5, x)
    dx = layer.backward(dy)
    np.testing.assert_array_equal(dx == 0, y == 0)
    np.testing.assert_allclose(dx[dx != 0], dy[dx != 0] / np.float32(0.7), rtol=2 * np.finfo(np.float32).eps)


def test_dropout_is_a_function_of_the_seed():
    layer = snn.Dropout(0.3).to("reference")
    first = masked(layer, 1)
    assert np.array_equal(masked(layer, 1), first)
    assert np.array_equal(masked(snn.Dropout(0.3).to("reference"), 1), first)
    assert not np.array_equal(masked(layer, 2), first)
    assert not np.array_equal(masked(layer, 2**64 - 1), first)


def test_dropout_masks_of_two_seeds_are_independent():
    """Both drop 9 %: 0.09 * 0.91 / 2000 = (0.64 %)^2."""
    layer = snn.Dropout(0.3).to("reference")
    both = (masked(layer, 1)[0] == 0) & (masked(layer, 2)[0] == 0)
    assert abs(both.mean() - 0.09) < 5 * 0.0064


def test_layers_of_one_network_drop_different_features():
    net = snn.Sequential(snn.Dropout(0.5), snn.LIF(v_threshold=1.5), snn.Dropout(0.5)).to("reference")
    net.forward(np.ones(SHAPE, np.float32), snn.Mode(training=True, store=True, seed=1))
    first, second = (layer.output[0] > 0 for layer in (net.layers[0], net.layers[2]))
    assert first.mean() > 0.4 and second.any()
    assert (first & ~second).any(), "the second layer dropped nothing that the first one had kept"


def test_dropout_masks_do_not_depend_on_the_target():
    np.testing.assert_array_equal(masked(snn.Dropout(0.3).to("cpu"), 3), masked(snn.Dropout(0.3).to("reference"), 3))


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_dropout_that_drops_nothing(p, training):
    layer, x = snn.Dropout(p).to("reference"), np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    assert layer.forward(x, snn.Mode(training=training, store=True)) is x
    assert layer.backward(x) is x
    assert layer.backward(x, need_dx=False) is None
