"""Layers declare whether they carry a state; streams and truncated BPTT refuse layers without the declaration."""

import re

import numpy as np
import pytest

import numsnn as snn
from numsnn import layers

SHAPE = (6, 4, 3)


class Sum(snn.Layer):
    """A running sum, whose author has not thought of streams."""

    def compute(self, x, mode):
        self.kept = () if mode.store else None
        return np.cumsum(x, 0)

    def propagate(self, dy, need_dx):
        return np.cumsum(dy[::-1], 0)[::-1]


class CarriedSum(Sum):
    """The same, done right."""

    carries = True

    def compute(self, x, mode):
        self.kept = () if mode.store else None
        state, first = self.carried_state(mode, x.shape[1:], len(x))
        y = np.cumsum(x, 0)
        if state is not None:
            assert first % 2 == 0 or len(x) == 1
            y = y + state
            state[...] = y[-1]
        return y


class Forgetful(Sum):
    """Declares a memory, and does not keep it."""

    carries = True


class Square(snn.Layer):
    """A layer that has no memory, and says so."""

    carries = False

    def compute(self, x, mode):
        return x * x


def draw():
    return np.random.default_rng(0).normal(0.5, 1, SHAPE).astype(np.float32)


def network(layer):
    return snn.Sequential(snn.Linear(3, 5), snn.Residual(layer), snn.Linear(5, 2)).build(SHAPE)


UNDECLARED = (
    "residual1.branch.sum1 (Sum) does not say whether it carries something from step to step; "
    "declare carries = True in its class and use self.carried_state, or carries = False"
)


def test_a_layer_that_does_not_say_is_refused():
    net = network(Sum())
    with pytest.raises(TypeError, match=f"^{re.escape('sequential.stream: ' + UNDECLARED)}$"):
        net.stream()
    with pytest.raises(TypeError, match=f"^{re.escape('Trainer: truncate: ' + UNDECLARED)}$"):
        snn.Trainer(net, truncate=2)
    with pytest.raises(TypeError, match=f"^{re.escape('a pass that is carried on: ' + UNDECLARED)}$"):
        net.forward(draw(), snn.Mode(carried={}))
    assert np.isfinite(net(draw())).all()
    snn.Trainer(net)


def test_a_layer_alone_that_does_not_say():
    with pytest.raises(TypeError, match=r"^sum\.stream: sum \(Sum\) does not say"):
        Sum().stream()


def test_a_layer_that_breaks_its_word_is_refused():
    stream = network(Forgetful()).stream()
    message = "residual1.branch.forgetful1 (Forgetful) declares carries = True, but its compute does not call "
    with pytest.raises(TypeError, match=f"^{re.escape(message)}self.carried_state$"):
        stream.step(draw()[0])


@pytest.mark.parametrize("make", [CarriedSum, Square])
def test_layers_that_say_go_step_by_step(make):
    net, x = network(make()), draw()
    whole = net(x)
    stream = net.stream()
    np.testing.assert_allclose(np.stack([stream.step(frame) for frame in x]), whole, rtol=1e-5, atol=1e-5)
    stream.reset()
    np.testing.assert_allclose(np.concatenate([stream.feed(x[:4]), stream.feed(x[4:])]), whole, rtol=1e-5, atol=1e-5)


def test_truncated_training_with_a_memory_of_one_s_own():
    data = snn.data.Dataset(draw().swapaxes(0, 1).copy(), np.arange(4) % 2, timed=True)
    trainer = snn.Trainer(network(CarriedSum()), truncate=2, batch_size=2)
    assert np.isfinite(trainer.fit(data, epochs=1, progress=False)[0]["train_loss"])


BUILT_IN = [
    kind
    for name in layers.__all__
    if isinstance(kind := getattr(layers, name), type) and issubclass(kind, snn.Layer) and not kind.container
]


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.__name__)
def test_every_layer_of_the_package_says(kind):
    if kind is not snn.Layer:
        assert kind.carries in (True, False)
    else:
        assert kind.carries is None
