"""GroupNorm and LayerNorm: the elements of each mean, and the independence of samples and steps."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING

SHAPES = {"features": (3, 2, 6), "sequences": (3, 2, 5, 6), "pictures": (3, 2, 4, 3, 6)}

CLOSE = 8 * 72 * np.finfo(np.float64).eps
"""Sums of at most 72 numbers, a few of them on the way to every number, all of which are of order 1."""


def built(layer, shape, device):
    layer.to(device, "float64").build(shape)
    rng = np.random.default_rng(9)
    for _, p in layer.parameters():
        p.value += rng.normal(0, 0.3, p.value.shape)
    return layer


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_group_of_every_sample_and_step(device, groups, shape):
    """Means 0 and variances var / (var + eps), before scale and shift."""
    layer = built(snn.GroupNorm(groups, 6, eps=0.1), shape, device)
    x = np.random.default_rng(0).normal(1, 2, shape)
    normalised = (layer(x) - layer.beta.value) / layer.gamma.value
    for t, n, g in np.ndindex(3, 2, groups):
        channels = slice(6 // groups * g, 6 // groups * (g + 1))
        part, original = normalised[t, n, ..., channels], x[t, n, ..., channels]
        assert abs(part.mean()) < CLOSE
        np.testing.assert_allclose(part.var(), original.var() / (original.var() + 0.1), rtol=CLOSE)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_layer_normalisation_is_one_group(device, shape, step, assert_same):
    x, dy = np.random.default_rng(0).normal(size=(2, *shape))
    found = step(built(snn.LayerNorm(6), shape, device), x, dy)
    want = step(built(snn.GroupNorm(1, 6), shape, device), x, dy)
    assert_same(found, {name.replace("groupnorm", "layernorm"): value for name, value in want.items()})


def test_samples_and_steps_do_not_meet(device):
    """A batch of one, and a single step, give what they give among others; so does inference."""
    shape = SHAPES["pictures"]
    layer, x = built(snn.GroupNorm(2, 6), shape, device), np.random.default_rng(0).normal(size=shape)
    y = layer(x, training=True)
    np.testing.assert_array_equal(layer(x), y)
    for t, n in np.ndindex(shape[:2]):
        np.testing.assert_allclose(layer(x[t : t + 1, n : n + 1])[0, 0], y[t, n], rtol=CLOSE, atol=CLOSE)


def test_gradient_is_orthogonal_to_what_is_removed(device):
    """Shifting or stretching a group of a sample changes nothing, so dx has neither mean nor projection on x."""
    shape = SHAPES["pictures"]
    layer = built(snn.GroupNorm(2, 6, eps=1e-12), shape, device)
    x, dy = np.random.default_rng(0).normal(size=(2, *shape))
    layer.forward(x, TRAINING)
    dx = layer.backward(dy).reshape(3, 2, 12, 2, 3)
    assert np.abs(dx).max() > 0.1
    products = dx * x.reshape(dx.shape)
    assert (np.abs(dx.sum((2, 4))) <= CLOSE * np.abs(dx).sum((2, 4))).all()
    assert (np.abs(products.sum((2, 4))) <= 1e-11 * np.abs(products).sum((2, 4))).all()


def test_nothing_is_tracked():
    layer = snn.GroupNorm(2, 6).to("reference").build(SHAPES["features"])
    assert layer.statistics() == {} and layer.state().keys() == {"groupnorm.gamma", "groupnorm.beta"}
    assert snn.LayerNorm(6, affine=False).to("reference").build(SHAPES["features"]).state() == {}
    assert repr(snn.LayerNorm(6, affine=False)) == "LayerNorm(6, affine=False)"
