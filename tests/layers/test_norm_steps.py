"""BNTT and TEBN: which of their numbers depend on the step and which do not."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING

T, C = 3, 6
SHAPE = (T, 4, 5, 2, C)
ROWS = 40
"""Numbers a step and channel; 120 in all."""

CLOSE = 4 * T * ROWS * np.finfo(np.float64).eps
"""Sums of the rows, a few of them on the way to every number, all of which are of order 1."""


def draw(seed=0, shape=SHAPE):
    """Steps and channels with means and deviations of their own."""
    rng = np.random.default_rng(seed)
    free = (T, *[1] * (len(shape) - 2), C)
    return rng.normal(rng.normal(0, 1, free), rng.uniform(0.5, 2, free), shape)


def built(layer, device="reference", shape=SHAPE):
    """Return the layer built in float64, with random parameters."""
    layer.to(device, "float64").build(shape)
    rng = np.random.default_rng(9)
    for _, p in layer.parameters():
        p.value += rng.normal(0, 0.3, p.value.shape)
    return layer


# --- BNTT -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
def test_every_step_is_a_batch_normalisation_of_its_own(device, bias, step, assert_close):
    """T batch normalisations, each given one step, have the same outputs, gradients and running statistics."""
    layer = built(snn.BNTT(C, T, eps=1e-3, momentum=0.3, bias=bias), device)
    x, dy = draw(), draw(2)
    found = step(layer, x, dy)
    for t in range(T):
        one = snn.BatchNorm(C, eps=1e-3, momentum=0.3).to(device, "float64").build((1, *SHAPE[1:]))
        one.gamma.value[...] = layer.gamma.value[t]
        one.beta.value[...] = layer.beta.value[t]
        want = step(one, x[t : t + 1], dy[t : t + 1])
        got = {name.replace("bntt", "batchnorm"): value[t] for name, value in found.items()}
        want = {name: value[0] if name in ("y", "dx") else value for name, value in want.items()}
        if not bias:
            del want["d batchnorm.beta"]
        assert_close(got, want)


def test_inference_uses_the_running_statistics_of_the_step(device):
    layer = built(snn.BNTT(C, T, bias=True), device)
    for seed in range(2):
        layer.forward(draw(seed), TRAINING)
    x = draw(5)
    mean, var = layer.running["mean"], layer.running["var"]
    assert mean.shape == var.shape == (T, C) and not np.allclose(mean[0], mean[1])
    at = (slice(None), None, None, None)
    want = layer.gamma.value[at] * (x - mean[at]) / np.sqrt(var[at] + 1e-5) + layer.beta.value[at]
    np.testing.assert_allclose(layer(x), want, rtol=CLOSE, atol=CLOSE)


def test_without_bias_as_in_the_paper():
    layer = snn.BNTT(C, T).to("reference").build(SHAPE)
    assert layer.state().keys() == {"bntt.gamma", "bntt.mean", "bntt.var"}
    assert [name for name, _ in layer.parameters()] == ["bntt.gamma"]
    y = layer(draw().astype(np.float32), training=True)
    np.testing.assert_allclose(y.mean((1, 2, 3)), np.zeros((T, C)), atol=1e-5)
    np.testing.assert_allclose(y.var((1, 2, 3)), np.ones((T, C)), rtol=1e-3)


# --- TEBN -----------------------------------------------------------------------------------------------------------


def test_batch_normalisation_and_a_scale_a_step(device, step, assert_close):
    """p[t] times what a `BatchNorm` over all steps gives; its gradient, and that of p, follow from that."""
    layer, plain = built(snn.TEBN(C, T, eps=1e-3), device), built(snn.BatchNorm(C, eps=1e-3), device)
    plain.gamma.value[...], plain.beta.value[...] = layer.gamma.value, layer.beta.value
    p = layer.p.value[:, None, None, None, None]
    x, dy = draw(), draw(2)
    found, want = step(layer, x, dy), step(plain, x, p * dy)
    assert found.pop("d tebn.p").shape == (T,)
    found = {name.replace("tebn", "batchnorm"): value for name, value in found.items()}
    normalised = want["y"]
    want["y"] = p * normalised
    assert_close(found, want)
    np.testing.assert_allclose(layer.p.grad, (dy * normalised).sum((1, 2, 3, 4)), rtol=0, atol=C * CLOSE * ROWS)


def test_statistics_are_those_of_all_steps(device):
    layer, x = snn.TEBN(C, T, momentum=1.0).to(device, "float64").build(SHAPE), draw()
    layer.forward(x, TRAINING)
    np.testing.assert_allclose(layer.running["mean"], x.mean((0, 1, 2, 3)), rtol=CLOSE, atol=CLOSE)
    np.testing.assert_allclose(layer.running["var"], x.var((0, 1, 2, 3)), rtol=CLOSE)
    np.testing.assert_allclose(layer(x), layer(x, training=True), rtol=CLOSE, atol=CLOSE)


def test_scales_start_at_one_and_do_not_decay():
    layer = snn.TEBN(C, T).to("reference").build(SHAPE)
    assert (layer.p.value == 1).all()
    assert {name: p.group for name, p in layer.parameters()} == dict.fromkeys(
        ("tebn.gamma", "tebn.beta", "tebn.p"), "norm"
    )


# --- both -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [snn.BNTT, snn.TEBN])
def test_features_sequences_and_pictures_alike(device, make):
    x = draw()
    layer = built(make(C, T), device)
    pictures = layer(x, training=True)
    for shape in ((T, 4, 10, C), (T, ROWS, C)):
        np.testing.assert_array_equal(layer(x.reshape(shape), training=True), pictures.reshape(shape))


@pytest.mark.parametrize("make", [snn.BNTT, snn.TEBN])
def test_steps_beyond_the_last_are_refused(make):
    """A stream that is fed all steps at once is what it seems; there is nothing to go on with."""
    layer, x = built(make(C, T)), draw()
    mode = snn.Mode(carried={})
    np.testing.assert_array_equal(layer.forward(x, mode).copy(), layer.forward(x))
    kind = make.__name__
    message = rf"^{kind.lower()} \({kind}\): there are parameters for 3 steps; got step 4$"
    with pytest.raises(ValueError, match=message):
        layer.forward(x, mode)
