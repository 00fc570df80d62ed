"""The neurons and the loss in NumPy that the tournament compares with: their gradients, and what they see."""

import numpy as np
import pytest

import numsnn as snn
from benchmarks.method import stepped
from numsnn.layers import INFERENCE, TRAINING

SHAPE = 3, 20, 4
KINDS = [stepped.SteppedLIF, stepped.NormalisedLIF, stepped.TrackedLIF, stepped.QuantisedLIF]


def currents(seed=0):
    return np.random.default_rng(seed).normal(0.6, 1, SHAPE).astype(np.float32)


def network(kind):
    neuron = kind(surrogate=snn.Surrogate("gaussian"))
    return snn.Sequential(snn.Linear(4, 5), neuron, snn.Linear(5, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    net = network(kind)
    net.build(SHAPE)
    for seed in range(3):  # tracked values are no longer those of the start
        net.to("reference").forward(currents(seed), TRAINING)
    report = snn.check_gradients(net, currents(3), np.arange(20) % 3, device="reference")
    assert report.ok, str(report)


def test_without_a_view_it_is_the_neuron_of_numsnn():
    found = []
    for kind in (stepped.SteppedLIF, snn.LIF):
        net = network(kind)
        net.build(SHAPE, 1)
        y = net.to("reference", "float64").forward(currents().astype(np.float64), TRAINING)
        found.append((y.copy(), net.backward(np.ones_like(y))))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_what_is_tracked_has_the_moments_of_the_current():
    neuron = stepped.TrackedLIF(surrogate=snn.Surrogate()).build((3, 4000, 4)).to("reference", "float64")
    x = np.random.default_rng(0).normal(0.6, 1.5, (3, 4000, 4))
    for _ in range(200):
        neuron.forward(x, TRAINING)
    neuron.forward(x, snn.Mode(store=True))
    seen = neuron.kept.seen
    np.testing.assert_allclose(seen.mean(1), np.broadcast_to(x.mean((0, 1)), (3, 4)), atol=1e-3)
    np.testing.assert_allclose(seen.std(1), np.broadcast_to(x.std((0, 1)), (3, 4)), atol=1e-3)


def test_running_statistics_take_the_place_of_the_batch_s():
    neuron = stepped.NormalisedLIF(surrogate=snn.Surrogate()).build(SHAPE).to("reference", "float64")
    for _ in range(300):
        trained = neuron.forward(currents().astype(np.float64), TRAINING).copy()
    assert np.array_equal(neuron.forward(currents().astype(np.float64), INFERENCE), trained)


def test_the_distillation_s_gradient():
    rng, loss = np.random.default_rng(0), stepped.StepDistillation(0.1, 0.7)
    z, y, h = rng.normal(size=(3, 5, 4)), np.arange(5) % 4, 1e-6
    best = z.max(-1).argmax(0)
    assert len(set(best)) > 1
    _, dz = loss(z, y, dtype=np.float64)
    plain = snn.losses.RateCrossEntropy(0.1)(z, y)[0]
    assert (loss(z, y)[0] > plain).all()
    target = np.exp(z - z.max(-1, keepdims=True))
    target = (target / target.sum(-1, keepdims=True))[np.exp(z).max(-1).argmax(0), np.arange(5)]
    confident = (np.exp(z) / np.exp(z).sum(-1, keepdims=True)).max(-1).argmax(0)
    for t, n, k in np.ndindex(z.shape):
        if confident[n] == t:
            continue  # the teacher is a constant, and a difference would move it
        up, down = z.copy(), z.copy()
        up[t, n, k] += h
        down[t, n, k] -= h
        slope = (loss(up, y)[0].mean() - loss(down, y)[0].mean()) / (2 * h)
        assert dz[t, n, k] == pytest.approx(slope, abs=1e-8)
