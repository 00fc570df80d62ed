"""BatchNorm: statistics in training and at inference, and the effect of rounding on the agreement of devices."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING

SHAPE = (3, 4, 5, 2, 6)
AXES = (0, 1, 2, 3)

CLOSE = 4 * 120 * np.finfo(np.float64).eps
"""Sums of the 120 rows, a few of them on the way to every number, all of which are of order 1."""


def draw(seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return rng.normal(rng.normal(0, 1, 6), rng.uniform(0.5, 2, 6), SHAPE).astype(dtype)


def norm(device="reference", dtype="float64", **options):
    layer = snn.BatchNorm(6, **options).to(device, dtype).build(SHAPE)
    if layer.affine:
        rng = np.random.default_rng(9)
        layer.gamma.value[...], layer.beta.value[...] = rng.normal(1, 0.3, 6), rng.normal(0, 0.5, 6)
    return layer


@pytest.mark.parametrize("v_threshold", [1.0, 0.4])
def test_training_normalises_every_channel(device, v_threshold):
    layer, x = norm(device, v_threshold=v_threshold, eps=0.1), draw()
    y = layer(x, training=True)
    np.testing.assert_allclose(y.mean(AXES), layer.beta.value, rtol=0, atol=CLOSE)
    want = (v_threshold * layer.gamma.value) ** 2 * x.var(AXES) / (x.var(AXES) + 0.1)
    np.testing.assert_allclose(y.var(AXES), want, rtol=CLOSE)


def test_running_statistics(device):
    """Means start at 0 and variances at 1; each pass takes in the share `momentum` of the batch's (biased) ones."""
    layer = norm(device, momentum=0.3)
    mean, var = np.zeros(6), np.ones(6)
    for seed in range(3):
        x = draw(seed)
        layer.forward(x, TRAINING)
        mean, var = 0.7 * mean + 0.3 * x.mean(AXES), 0.7 * var + 0.3 * x.var(AXES)
        np.testing.assert_allclose(layer.running["mean"], mean, rtol=CLOSE, atol=CLOSE)
        np.testing.assert_allclose(layer.running["var"], var, rtol=CLOSE)


def test_inference_uses_the_running_ones(device):
    layer, x = norm(device, v_threshold=0.4, eps=0.1), draw(1)
    layer.forward(draw(0), TRAINING)
    running = {name: value.copy() for name, value in layer.running.items()}
    want = 0.4 * layer.gamma.value * (x - running["mean"]) / np.sqrt(running["var"] + 0.1) + layer.beta.value
    np.testing.assert_allclose(layer(x), want, rtol=CLOSE, atol=CLOSE)
    assert all(np.array_equal(layer.running[name], value) for name, value in running.items())


def test_gradient_with_running_statistics(device):
    """They are constants: dx is dy times the factor, and nothing is taken off it."""
    layer, x, dy = norm(device, eps=0.1), draw(), draw(2)
    layer.forward(x, snn.Mode(store=True))
    np.testing.assert_allclose(layer.backward(dy), dy * layer.gamma.value / np.sqrt(1.1), rtol=CLOSE)


def test_gradient_with_the_batch_s_statistics_is_orthogonal_to_what_they_remove(device):
    """Shifting or stretching a channel changes nothing, so dx has neither mean nor projection on x (up to eps)."""
    layer, x, dy = norm(device, eps=1e-12), draw(), draw(2)
    layer.forward(x, TRAINING)
    dx = layer.backward(dy)
    assert np.abs(dx).max() > 0.1
    assert (np.abs(dx.sum(AXES)) <= CLOSE * np.abs(dx).sum(AXES)).all()
    assert (np.abs((dx * x).sum(AXES)) <= 1e-11 * np.abs(dx * x).sum(AXES)).all()


def test_without_affine():
    layer = norm(affine=False)
    assert layer.parameters() == []
    assert layer.state().keys() == {"batchnorm.mean", "batchnorm.var"}
    y = layer(draw(), training=True)
    np.testing.assert_allclose(y.mean(AXES), np.zeros(6), rtol=0, atol=CLOSE)


def test_one_number_a_channel_becomes_beta(device):
    layer = norm(device)
    x = np.random.default_rng(0).normal(0, 1, (1, 1, 1, 1, 6))
    y = layer(x, training=True)
    np.testing.assert_array_equal(y[0, 0, 0, 0], layer.beta.value)


def test_features_and_pictures_alike(device):
    """Channels are normalised over all other axes, whichever these are."""
    layer, x = norm(device), draw()
    pictures = layer(x, training=True)
    rows = layer(x.reshape(3, -1, 6), training=True)
    np.testing.assert_array_equal(pictures.reshape(rows.shape), rows)


def test_targets_agree_in_float32(step):
    """A sum of m rows errs by m eps of its absolute terms. The mean's error reaches everything that x - mean reaches,
    relative to |x|; the variance's, relative to the variance, everything that is divided by its root. A gradient meets
    at most three such sums, and a handful of single roundings."""
    x, dy = draw(dtype="float32"), draw(2, "float32")
    layers = norm("reference", "float32"), norm("cpu", "float32")
    want, got = (step(layer, x, dy) for layer in layers)
    gamma, beta = np.abs(layers[0].gamma.value), np.abs(layers[0].beta.value)
    inverse = 1 / x.std(AXES)
    z = (np.abs(x) + np.abs(x).mean(AXES)) * inverse
    of_variance = 1 + (x**2).mean(AXES) / x.var(AXES)
    centred = np.abs(dy) + np.abs(dy).mean(AXES) + z * (np.abs(dy) * z).mean(AXES)
    scales = {
        "y": gamma * z * of_variance + beta,
        "dx": gamma * inverse * centred * of_variance,
        "d batchnorm.gamma": (np.abs(dy) * z).sum(AXES) * of_variance,
        "d batchnorm.beta": np.abs(dy).sum(AXES),
        "batchnorm.mean": np.abs(x).mean(AXES),
        "batchnorm.var": (x**2).mean(AXES) + 1,
    }
    assert got.keys() == want.keys() == scales.keys()
    bound = 4 * 120 * float(np.finfo(np.float32).eps)
    for name, scale in scales.items():
        distance = np.abs(got[name].astype(float) - want[name])
        assert (distance <= bound * scale).all(), f"{name}: {(distance / scale).max():.1e} of {bound:.1e}"
