"""Losses: values against sums written out, gradients against differences, then compiled kernels."""

import math

import numpy as np
import pytest
from bounds import REALS, agree, is_gradient

from numsnn.kernels import cpu, reference

BOTH = pytest.mark.parametrize("k", [reference, cpu], ids=lambda k: k.name)
STEPS, SAMPLES, CLASSES = 3, 5, 4
LABELS = np.array([0, 3, 1, 0, 2], np.int64)
"""The first and the last class among them."""

LOSSES = {
    "rate": ("rate_cross_entropy", (0.0,)),
    "rate, smoothed": ("rate_cross_entropy", (0.1,)),
    "temporal": ("temporal_cross_entropy", (0.0, 0.0, 0.0)),
    "temporal, smoothed and pulled": ("temporal_cross_entropy", (0.1, 0.3, 0.8)),
    "temporal, only pulled": ("temporal_cross_entropy", (0.0, 1.0, -0.4)),
    "count": ("spike_count_mse", (0.8, 0.2)),
    "count, all or nothing": ("spike_count_mse", (1.0, 0.0)),
}


def readout(real):
    return np.random.default_rng(1).normal(0, 2, (STEPS, SAMPLES, CLASSES)).astype(real)


def run(k, name, z, real=None, labels=LABELS):
    """loss and dz of one target, in memory that held NaN."""
    function, settings = LOSSES[name]
    loss, dz = np.full(z.shape[1], np.nan, real or z.dtype), np.full(z.shape, np.nan, real or z.dtype)
    getattr(k, function)(z, labels, *settings, loss, dz)
    return loss, dz


def cross_entropy(logits, label, smoothing):
    """Minus the expected log-probability under (1 - a) onehot + a / K."""
    log_total = math.log(math.fsum(math.exp(z) for z in logits))
    weights = [smoothing / len(logits) + (1 - smoothing) * (k == label) for k in range(len(logits))]
    return math.fsum(w * (log_total - z) for w, z in zip(weights, logits, strict=True))


def written_out(name, z, n):
    """The loss of sample n in scalars."""
    function, settings = LOSSES[name]
    steps, _, classes = z.shape
    rates = [math.fsum(z[:, n, k]) / steps for k in range(classes)]
    if function == "rate_cross_entropy":
        return cross_entropy(rates, LABELS[n], *settings)
    if function == "spike_count_mse":
        wanted = [settings[0] if k == LABELS[n] else settings[1] for k in range(classes)]
        return math.fsum((rate - want) ** 2 for rate, want in zip(rates, wanted, strict=True)) / classes
    smoothing, regulariser, target = settings
    entropy = math.fsum(cross_entropy(z[t, n], LABELS[n], smoothing) for t in range(steps)) / steps
    distance = math.fsum((value - target) ** 2 for value in z[:, n].ravel()) / (steps * classes)
    return (1 - regulariser) * entropy + regulariser * distance


def assert_agree(got, want, z):
    """Forty operations at most lie between readout and result. A logarithm of a probability errs by the
    largest readout's rounding, a probability by that times itself, a squared distance by its own size's."""
    largest = np.abs(z).max() + 2
    agree(got[0], want[0], 40, largest**2)
    agree(got[1], want[1], 40, largest / (z.shape[0] * z.shape[1]))


@pytest.mark.parametrize("name", LOSSES)
def test_reference_value(name):
    z = readout(np.float64)
    loss, _ = run(reference, name, z)
    agree(loss, np.array([written_out(name, z, n) for n in range(SAMPLES)]), 40, np.abs(z).max() ** 2)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient(name):
    """dz is the gradient of the mean over samples."""
    z = readout(np.float64)
    _, dz = run(reference, name, z)
    is_gradient(dz, lambda: run(reference, name, z)[0].mean(), z)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", LOSSES)
def test_cpu_is_the_reference(name, real):
    z = readout(real)
    assert_agree(run(cpu, name, z), run(reference, name, z), z)


@BOTH
@pytest.mark.parametrize("name", LOSSES)
def test_spikes_as_readout(k, name):
    """uint8 spikes are the same numbers."""
    spikes = (readout(np.float32) > 1).astype(np.uint8)
    assert 0.05 < spikes.mean() < 0.6
    numbers = spikes.astype(np.float32)
    assert_agree(run(k, name, spikes, np.float32), run(reference, name, numbers), numbers)


@BOTH
@pytest.mark.parametrize("name", ["rate", "rate, smoothed", "temporal"])
def test_class_gradients_cancel(k, name):
    """Probabilities and labels both sum to 1."""
    _, dz = run(k, name, readout(np.float64))
    agree(dz.sum(2), np.zeros((STEPS, SAMPLES)), 40, np.abs(dz).sum(2))


@BOTH
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", [name for name in LOSSES if "count" not in name])
def test_extreme_readout_stays_finite(k, name, real):
    """Logits of 1e4 either way: certain and right, certain and wrong."""
    z = np.full((STEPS, SAMPLES, CLASSES), -1e4, real)
    z[:, :, 0] = 1e4
    loss, dz = run(k, name, z)
    assert np.isfinite(loss).all() and np.isfinite(dz).all()
    if LOSSES[name][1][0] == 0 and "pulled" not in name:
        assert loss.tolist() == [0 if label == 0 else 2e4 for label in LABELS]
        wrong = np.abs(dz).sum((0, 2)) > 0
        assert wrong.tolist() == [label != 0 for label in LABELS]


@BOTH
@pytest.mark.parametrize("name", [name for name in LOSSES if "count" not in name])
def test_one_class_one_sample_one_step(k, name):
    """Nothing to tell apart: no cross-entropy, only the pull."""
    _, (_, *pull) = LOSSES[name]
    loss, dz = run(k, name, np.full((1, 1, 1), 0.3), labels=np.zeros(1, np.int64))
    strength, target = pull or (0, 0)
    agree(loss, np.array([strength * (0.3 - target) ** 2]), 8, 1)
    agree(dz, np.full((1, 1, 1), 2 * strength * (0.3 - target)), 8, 1)
