"""The network that numsnn builds from a workload, and what it reports of its own computations."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.measure import network
from numsnn.measure.workloads import draw, vgg, workloads

QUICK = workloads(quick=True)


@pytest.fixture(scope="module")
def prepared():
    """Every tiny workload with its arrays, by name."""
    return {name: network.prepare(workload) for name, workload in QUICK.items()}


@pytest.mark.parametrize("name", QUICK)
def test_a_step_and_a_pass(prepared, name):
    workload, arrays = prepared[name]
    subject = network.Network(workload, arrays)
    subject.train()
    gradients = [p.grad.copy() for _, p in subject.net.parameters()]
    assert any(g.any() for g in gradients) and all(np.isfinite(g).all() for g in gradients)
    values = [p.value for _, p in subject.net.parameters()]
    for k, value in enumerate(values):
        np.testing.assert_array_equal(value, arrays[f"p{k}"])
    subject.infer()
    assert subject.folded.output.shape[:2] == workload.shape[:2]


@pytest.mark.parametrize("name", QUICK)
def test_outcome_is_the_gradient_of_the_projection(prepared, name):
    workload, arrays = prepared[name]
    subject = network.Network(workload, arrays)
    shape = (*workload.shape[:2], workload.classes)
    g = np.random.default_rng(0).standard_normal(shape, np.float32)
    found, twice = subject.outcome(True, g), subject.outcome(True, 2 * g)
    assert found["z"].shape == shape
    for key in (key for key in found if key[0] == "p"):
        np.testing.assert_allclose(twice[key], 2 * found[key], rtol=1e-4, atol=1e-5 * np.abs(found[key]).max())
    assert all(found[key].dtype == np.uint8 for key in found if key[0] == "s")
    again = subject.outcome(False)
    assert not [key for key in again if key[0] == "p"]


def test_inference_has_the_batch_statistics(prepared):
    """The running statistics are those of the batch itself, so that both modes agree but for rounding."""
    subject = network.Network(*prepared["vgg"])
    g = np.zeros((*QUICK["vgg"].shape[:2], 10), np.float32)
    training, inference = subject.outcome(True, g), subject.outcome(False)
    np.testing.assert_array_equal(training["s0"], inference["s0"])
    assert training["s0"].any()


def test_potentials_belong_to_the_spikes(prepared):
    workload, arrays = prepared["small"]
    subject = network.Network(workload, arrays)
    g = np.zeros((*workload.shape[:2], 10), np.float32)
    for training in (True, False):
        found = subject.outcome(training, g)
        for k in (0, 1):
            np.testing.assert_array_equal(subject.potentials(k, training) >= 1.0, found[f"s{k}"] == 1)


def test_rates_are_set(prepared):
    workload, arrays = prepared["vgg-20%"]
    assert network.Network(workload, arrays).rates() == pytest.approx([0.2] * 6, abs=0.01)


def test_repeat_and_every_step_compute_the_same(prepared):
    once, every = (network.Network(*prepared[name]) for name in ("small", "small-every-step"))
    assert isinstance(once.net.layers[0], snn.Repeat) and len(once.net.layers[0].layers) == 2
    assert len(every.net.layers[0].layers) == 0
    g = np.random.default_rng(0).standard_normal((*QUICK["small"].shape[:2], 10), np.float32)
    a, b = once.outcome(True, g), every.outcome(True, g)
    np.testing.assert_array_equal(a["s1"], b["s1"])
    for key in (key for key in a if key[0] == "p"):
        assert np.linalg.norm(a[key] - b[key]) <= 1e-4 * np.linalg.norm(b[key]), key


def test_the_neurons_are_those_of_the_description():
    workload = vgg(steps=1, samples=1, width=1 / 8, size=8, surrogate="triangle", detach=False)
    net = network.build(workload)
    neuron = next(layer for layer in net.walk() if isinstance(layer, snn.LIF))
    assert neuron.decay_input and not neuron.detach_reset
    assert neuron.surrogate.family == "triangle" and neuron.surrogate.width == 1.0
    assert len(draw(workload)) == 2 + len(net.build(workload.shape).parameters())
