"""Visible masks: which layers use them, how they go through layers, and that they do not change any gradient."""

from dataclasses import replace

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING
from numsnn.layers.needed import Source, behind
from numsnn.layers.plan import plan_of
from numsnn.layers.route import Routed

SHAPE = (3, 4, 8, 8, 2)
WIDTH = 0.2


def lif(make=snn.LIF, **options):
    return make(**({"surrogate": snn.PSG("triangle", WIDTH)} | options))


def conv(inputs, outputs, stride=1, **options):
    return snn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, **options)


def head(*layers, channels=4, pixels=64):
    """A network of pictures: a block, the layers, and a readout."""
    first = conv(2, 4), snn.BatchNorm(4)
    return snn.Sequential(*first, *layers, snn.Flatten(), snn.Linear(channels * pixels, 3))


def block(before, after, stride=1):
    return conv(before, after, stride), snn.BatchNorm(after)


def learned(make=snn.LIF, **options):
    surrogate = snn.PSG("rectangle", 2 * WIDTH, per="channel")
    return make(surrogate=surrogate, learn_threshold="channel", learn_tau="channel", **options)


# name -> network and how many of its layers compute gradients of inputs at visible elements alone
NETS = {
    "in a row": (lambda: head(lif(), *block(4, 4), lif()), 2),
    "a stride": (lambda: head(lif(), *block(4, 6, 2), lif(), channels=6, pixels=16), 2),
    "behind average pooling": (lambda: head(lif(), snn.AvgPool2d(2), *block(4, 4), lif(), pixels=16), 2),
    "behind overlapping windows": (lambda: head(lif(), snn.AvgPool2d(3, 2, 1), *block(4, 4), lif(), pixels=16), 2),
    "behind max pooling": (lambda: head(lif(), snn.MaxPool2d(2), *block(4, 4), lif(), pixels=16), 2),
    "behind dropout and a penalty": (
        lambda: head(lif(), snn.Dropout(0.3), snn.RateBand(0.1, 0.12), *block(4, 4), lif()),
        2,
    ),
    "around a branch": (lambda: head(lif(), snn.Residual(*block(4, 4), lif(), *block(4, 4)), lif()), 3),
    "around a branch that changes the shape": (
        lambda: head(
            lif(),
            snn.Residual(*block(4, 6, 2), lif(), *block(6, 6), shortcut=snn.Sequential(*block(4, 6, 2))),
            lif(),
            channels=6,
            pixels=16,
        ),
        4,
    ),
    "behind joined spikes": (lambda: head(lif(), snn.Residual(*block(4, 4), lif()), *block(4, 4), lif()), 3),
    "behind spikes that both fire": (
        lambda: head(lif(), snn.Residual(*block(4, 4), lif(), join="and"), *block(4, 4), lif()),
        3,
    ),
    "behind one that fires alone": (
        lambda: head(lif(), snn.Residual(*block(4, 4), lif(), join="iand"), *block(4, 4), lif()),
        3,
    ),
    "behind a join with a neuron that sees everything": (
        lambda: head(lif(), snn.Residual(*block(4, 4), lif(surrogate="arctan")), *block(4, 4), lif()),
        2,
    ),
    "behind branches side by side": (
        lambda: head(lif(), snn.Concat(None, snn.Sequential(*block(4, 2), lif())), *block(6, 4), lif()),
        3,
    ),
    "behind branches, one of them currents": (
        lambda: head(lif(), snn.Concat(None, snn.Sequential(*block(4, 2))), *block(6, 4), lif()),
        2,
    ),
    "a learned neuron, hard reset": (lambda: head(learned(), *block(4, 4), learned(pda=True)), 2),
    "a learned neuron, soft reset": (lambda: head(learned(v_reset=None), *block(4, 4), learned(v_reset=None)), 2),
    "a learned neuron, no reset": (lambda: head(learned(v_reset="none"), *block(4, 4), learned()), 2),
    "a reset that is a constant": (lambda: head(learned(detach_reset=True), *block(4, 4), learned()), 2),
    "a scaled input": (lambda: head(learned(decay_input=True), *block(4, 4), learned()), 2),
    "a loss on the potential": (lambda: head(lif(pda=snn.PDA(0.3, divergence=0.1)), *block(4, 4), lif()), 2),
    "neurons that are more": (lambda: head(lif(snn.ALIF), *block(4, 4), lif(refractory=1)), 0),
    "families without an end": (lambda: head(lif(surrogate="arctan"), *block(4, 4), lif()), 1),
    "groups": (lambda: head(lif(), *[conv(4, 4, groups=2), snn.BatchNorm(4)], lif()), 1),
    "currents in between": (lambda: head(lif(), snn.BatchNorm(4), *block(4, 4), lif()), 1),
    "nested": (
        lambda: head(snn.Sequential(lif(), snn.Sequential(snn.AvgPool2d(2))), *block(4, 4), lif(), pixels=16),
        2,
    ),
}


def built(make, device="cpu", dtype="float64", route="events"):
    return snn.set_route(make().to(device, dtype).build(SHAPE, seed=3), route)


def draw(dtype="float64"):
    return np.random.default_rng(1).normal(0.3, 1, SHAPE).astype(dtype)


def step(net, x, mode=TRAINING):
    """The gradients of all parameters, after a step whose loss no sum is blind to."""
    z = net.forward(x, mode)
    net.backward(np.random.default_rng(2).normal(size=z.shape).astype(x.dtype), need_dx=False)
    return {name: p.grad.copy() for name, p in net.parameters()}


def blind(net):
    """Nobody asks where gradients matter."""
    plan_of(net).asked.clear()
    return net


def masked(net):
    """The layers with weights that were told where gradients of their inputs matter."""
    return [layer for layer in net.walk() if isinstance(layer, Routed) and layer.needed is not None]


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("name", NETS)
def test_no_gradient_differs(device, name):
    """Spikes and relaxed spikes; the masks leave out something, and not all."""
    make, expected = NETS[name]
    for mode in (TRAINING, replace(TRAINING, relaxed=True)):
        net, everywhere = built(make, device), blind(built(make, device))
        got, want = step(net, draw(), mode), step(everywhere, draw(), mode)
        assert len(masked(net)) == expected and not masked(everywhere)
        assert all(0 < layer.needed.mean() < 0.9 for layer in masked(net))
        if device == "cpu":
            assert sum(layer.routes.get("input") == "events" for layer in masked(net)) == expected
        largest = max(np.abs(grad).max() for grad in want.values())
        for key, grad in want.items():
            np.testing.assert_allclose(got[key], grad, rtol=1e-9, atol=1e-12 * largest, err_msg=key)


@pytest.mark.parametrize("name", ["around a branch that changes the shape", "a learned neuron, soft reset"])
def test_against_finite_differences(monkeypatch, name):
    """The check makes a network of its own, whose masks are looked at on the way."""
    asked, propagate = [], snn.Conv2d.propagate

    def spy(layer, dy, need_dx):
        asked.append(layer.needed is not None)
        return propagate(layer, dy, need_dx)

    monkeypatch.setattr(snn.Conv2d, "propagate", spy)
    net = snn.set_route(NETS[name][0](), "events")
    report = snn.check_gradients(net, draw("float32")[:, :2], np.arange(2) % 3)
    assert report.ok, report
    assert any(asked)


# --- what is handed down -----------------------------------------------------------------------------------------


class Given(Source):
    """A mask from nowhere."""

    def __init__(self, mask):
        self.given = mask

    def evaluate(self, known):
        return self.given


def handed_on(layer, before):
    """What a layer makes of the mask of its input, after a stored pass."""
    source = behind(layer, None if before is None else Given(before), [])
    return None if source is None else source.mask({})


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: snn.AvgPool2d(2),
        lambda: snn.AvgPool2d(3, 2, 1),
        lambda: snn.AvgPool2d((2, 3), (3, 1)),
        lambda: snn.MaxPool2d(2),
        lambda: snn.MaxPool2d(3, 2, 1),
        lambda: snn.Flatten(),
        lambda: snn.Dropout(0.4),
        lambda: snn.SpikePenalty(0.1, "l2"),
        lambda: snn.Residual(snn.Dropout(0.4)),
        lambda: snn.Concat(None, snn.Dropout(0.4)),
        lambda: snn.Sequential(snn.MaxPool2d(2), snn.Flatten()),
    ],
)
def test_what_nobody_looks_at_changes_nothing_that_somebody_does(make, device):
    rng = np.random.default_rng(4)
    layer = make().to(device).build(SHAPE)
    x, before = draw("float32"), (rng.random(SHAPE) < 0.1).astype(np.uint8)
    y = layer.forward(x, TRAINING)
    visible = handed_on(layer, before)
    assert visible.shape == y.shape and visible.dtype == np.uint8
    assert 0 < visible.mean() < 0.9 and set(np.unique(visible)) == {0, 1}
    dy = rng.normal(size=y.shape).astype(np.float32)
    want = layer.backward(dy).copy()
    got = layer.backward(np.where(visible, dy, 99).astype(np.float32))
    assert np.array_equal(got[before == 1], want[before == 1])
    assert not np.array_equal(got, want)
    assert handed_on(layer, None) is None


@pytest.mark.parametrize(
    "layer",
    [
        conv(2, 2),
        snn.BatchNorm(2),
        snn.Delay(1, channels=2),
        snn.GlobalAvgPool2d(),
        snn.LI(),
        snn.Residual(conv(2, 2)),
        snn.Concat(None, conv(2, 2)),
        snn.ConvTranspose2d(2, 2, 3, padding=1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_who_looks_everywhere(layer):
    layer.forward(draw("float32"), TRAINING)
    assert handed_on(layer, np.zeros(SHAPE, np.uint8)) is None


class Between(snn.Layer):
    """A layer of one's own, which passes everything on."""

    carries = False

    def compute(self, x, mode):
        self.kept = () if mode.store else None
        return x

    def propagate(self, dy, need_dx):
        return dy


class Declared(Between):
    """The same, which says so."""

    passes = "same"


@pytest.mark.parametrize(("between", "expected"), [(Between, 1), (Declared, 2)])
def test_layers_of_one_s_own(between, expected):
    """What does not say how masks go through it needs everything; what says gets the same gradients."""
    net = built(lambda: head(lif(), between(), *block(4, 4), lif()))
    want = step(blind(built(lambda: head(lif(), between(), *block(4, 4), lif()))), draw())
    got = step(net, draw())
    assert len(masked(net)) == expected
    for key, grad in want.items():
        np.testing.assert_allclose(got[key], grad, rtol=1e-9, atol=1e-12 * np.abs(grad).max())


def test_repeated_pictures():
    """Inside, a neuron is asked; its spikes are summed over the steps on the way back, and no mask leaves."""
    net = snn.Sequential(snn.Repeat(3, conv(2, 4), lif(), conv(4, 4), lif()), conv(4, 4), lif(), snn.Flatten())
    snn.set_route(net, "events").build(SHAPE[1:])
    z = net.forward(draw("float32")[0], TRAINING)
    net.backward(np.ones_like(z), need_dx=False)
    assert [layer.path for layer in masked(net)] == ["repeat1.conv2d2"]


def test_inspection_computes_everything():
    net = built(NETS["in a row"][0])
    step(net, draw(), replace(TRAINING, inspect=True))
    assert not masked(net)


# --- who asks ------------------------------------------------------------------------------------------------------


def shares(net):
    """The visible share of every neuron that found it out."""
    step(net, draw("float32"))
    return [n.visible_share is not None for n in net.walk() if isinstance(n, snn.LIF)]


@pytest.mark.parametrize(
    ("width", "route", "asked"),
    [
        (0.05, "auto", [True, True]),
        (2.0, "auto", [False, False]),
        (0.3, "auto", [False, True]),
        (5.0, "events", [True, True]),
        (0.05, "dense", [False, False]),
    ],
)
def test_the_width_decides(width, route, asked):
    """A convolution that Winograd's way makes fast leaves out more than one it does not."""
    assert shares(wide(width, route)) == asked


def wide(width=0.5, route="auto", dtype="float32"):
    """A convolution that Winograd's way is for, and one that it is not."""
    neurons = [lif(surrogate=snn.PSG("triangle", width)) for _ in range(2)]
    net = snn.Sequential(conv(2, 64), neurons[0], conv(64, 64), neurons[1], conv(64, 64, stride=2))
    return built(lambda: net, route=route, dtype=dtype)


def test_pooled_spikes_are_made_of_several():
    """One neuron near its threshold is enough for a pooled value to need its gradient."""

    def net(size):
        neuron = lif(surrogate=snn.Surrogate("triangle", 0.3))
        layers = conv(2, 64), neuron, snn.AvgPool2d(size), conv(64, 64, stride=2)
        return built(lambda: snn.Sequential(*layers), route="auto", dtype="float32")

    assert shares(net(1)) == [True]
    assert shares(net(2)) == [False]


def test_alone_a_neuron_is_not_asked():
    layer = lif().build(SHAPE)
    layer.forward(draw("float32"), TRAINING)
    assert layer.visible() is None
    net = head(lif(), *block(4, 4), lif())
    net.layers[2].forward(draw("float32"), TRAINING)  # who reads it has no weights yet
    assert net.layers[2].visible() is None


# --- memory, threads, resuming ------------------------------------------------------------------------------------


def test_gradients_stay_in_the_pool():
    net = built(NETS["behind joined spikes"][0], dtype="float32")
    for _ in range(2):
        step(net, draw("float32"))
    made = plan_of(net).pool.made
    step(net, draw("float32"))
    assert plan_of(net).pool.made == made
    assert plan_of(net).pool.made == blind_pool()


def blind_pool():
    net = blind(built(NETS["behind joined spikes"][0], dtype="float32"))
    step(net, draw("float32"))
    return plan_of(net).pool.made


@pytest.mark.parametrize("name", ["behind joined spikes", "behind average pooling"])
def test_threads_change_no_bit(threads, name):
    found = []
    for count in (1, 2, 3):
        threads(count)
        found.append(step(built(NETS[name][0], dtype="float32"), draw("float32")))
    for other in found[1:]:
        assert all(np.array_equal(found[0][key], other[key]) for key in other)


def test_a_network_that_is_loaded_leaves_out_the_same():
    """What is asked for is a function of the parameters, not of what came before."""
    net, x = wide(), draw("float32")
    for width, expected in ((2.0, 0), (0.3, 1), (0.05, 2)):
        for layer in net.walk():
            if isinstance(layer, snn.LIF):
                layer.width.parameter.value[...] = np.log(width)
        loaded = wide()
        loaded.load_state(net.state())
        got, want = step(loaded, x), step(net, x)
        assert [layer.path for layer in masked(loaded)] == [layer.path for layer in masked(net)]
        assert all(np.array_equal(got[key], want[key]) for key in want)
        assert len(masked(net)) == expected
