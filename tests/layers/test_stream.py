"""Streams: one step at a time gives the same output as the whole sequence at once.

Matrix products of different sizes may round differently, so readouts agree up to a few roundings. One spike more or
less would change them a thousand times as much.
"""

import numpy as np
import pytest
from own_neurons import KLIF, QIF

import numsnn as snn


def assert_same(first, second):
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-5 * np.abs(second).max())


KINDS = {
    "LIF": lambda: snn.LIF(pda=True, v_reset=None),
    "IF": lambda: snn.IF(v_reset="none", v_threshold=3.0),
    "refractory": lambda: snn.LIF(refractory=2),
    "ALIF": lambda: snn.ALIF(tau_adaptation=5.0),
    "CubaLIF": lambda: snn.CubaLIF(decay_input=True),
    "RecurrentALIF": lambda: snn.RecurrentALIF(v_reset=None, pda=True),
    "RecurrentCubaLIF": lambda: snn.RecurrentCubaLIF(refractory=1),
    "QIF": lambda: QIF(k=0.1, pda=True),
    "KLIF": KLIF,
}


def sequence(steps=12, samples=3, features=6):
    return np.random.default_rng(0).normal(0.5, 2, (steps, samples, features)).astype(np.float32)


def network(kind):
    """Return a network that has tracked PDA corrections over fewer steps than the stream has."""
    net = snn.Sequential(snn.Linear(6, 8), KINDS[kind](), snn.Linear(8, 4), snn.LI(tau=5.0))
    x = sequence(steps=5)
    net.build(x.shape)
    for _ in range(3):
        net.forward(x, snn.layers.TRAINING)
    return net


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_equal_the_whole(kind, device):
    net, x = network(kind).to(device), sequence()
    whole = net(x)
    assert np.abs(whole).max() > 0
    stream = net.stream()
    assert_same(np.stack([stream.step(frame) for frame in x]), whole)
    assert stream.steps == len(x)
    stream.reset()
    assert_same(np.concatenate([stream.feed(x[:5]), stream.feed(x[5:])]), whole)


def test_a_picture_is_given_again_and_again():
    net = snn.models.from_string("4c3-p2-6c3", (8, 8, 1), 5, steps=6)
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype(np.float32)
    whole = net(x)
    stream = net.stream()
    assert_same(np.stack([stream.step(x) for _ in range(6)]), whole)


def test_streams_do_not_disturb_each_other_or_the_network():
    net, x = network("LIF"), sequence()
    whole = net(x)
    one, other = net.stream(), net.stream()
    for t in range(len(x)):
        assert_same(one.step(x[t]), whole[t])
        other.step(x[len(x) - 1 - t])
        net(x[:3])
    assert_same(net(x), whole)


def test_memory_does_not_grow():
    net = network("RecurrentCubaLIF")
    stream = net.stream()
    frame = sequence(1)[0]
    stream.step(frame)
    sizes = {name: array.nbytes for name, array in stream.state().items()}
    for _ in range(50):
        stream.step(frame)
    assert {name: array.nbytes for name, array in stream.state().items()} == sizes


def test_errors():
    stream = network("LIF").stream()
    stream.step(sequence(1)[0])
    with pytest.raises(snn.ShapeError, match=r"the stream has 3 samples; got 2\. Call reset\(\)"):
        stream.step(sequence(1, samples=2)[0])
    with pytest.raises(ValueError, match="every number must be finite"):
        stream.step(np.full((3, 6), np.nan, np.float32))
    with pytest.raises(snn.ShapeError, match=r"input must be \[T, N, 6\]"):
        stream.step(np.zeros((3, 5), np.float32))
    stream.reset()
    stream.step(sequence(1, samples=2)[0])
