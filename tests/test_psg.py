"""PSG: the families compared with the table of the method, the gradient of the width, its effect and its bounds."""

import math
import re

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING
from numsnn.optim import SGD, Adam
from numsnn.psg import FAMILIES

DENSITY = {
    "rectangle": lambda z: 1.0 if abs(z) <= 0.5 else 0.0,
    "triangle": lambda z: max(0.0, 1 - abs(z)),
    "logistic": lambda z: 1 / (1 + math.exp(-z)) * (1 - 1 / (1 + math.exp(-z))),
    "arctan": lambda z: 1 / (math.pi * (1 + z * z)),
    "gaussian": lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    "laplace": lambda z: math.exp(-abs(z)) / 2,
    "fast_sigmoid": lambda z: 1 / (2 * (1 + abs(z)) ** 2),
    "parabola": lambda z: 0.75 * max(0.0, 1 - z * z),
}
"""The table of docs/method.md, S2 to S8, and a family of a user's own, see tests/conftest.py."""

BOUNDED = {"rectangle": 0.5, "triangle": 1.0, "parabola": 1.0}


def test_families_are_those_of_the_method():
    assert [*FAMILIES, "parabola"] == list(DENSITY)


@pytest.mark.parametrize("family", DENSITY)
def test_reach(family):
    """The edge of the support, or where the density is down to 1 % of its peak."""
    phi, reach = DENSITY[family], FAMILIES[family].reach
    assert snn.Surrogate(family, 3.0).reach == reach
    if family in BOUNDED:
        assert reach == BOUNDED[family]
        assert phi(0.999 * reach) > 0 and phi(1.001 * reach) == 0
    else:
        assert phi(reach) == pytest.approx(0.01 * phi(0), rel=1e-13)


@pytest.mark.parametrize("family", DENSITY)
def test_breaks(family):
    """The density or its slope jumps at every break, by 1/4 or more, and nowhere else within reach."""
    phi, h = DENSITY[family], 1e-6

    def jump(z):
        values = phi(z + h) - phi(z - h)
        slopes = (phi(z + 2 * h) - phi(z + h) - phi(z - h) + phi(z - 2 * h)) / h
        return max(abs(values), abs(slopes))

    breaks = FAMILIES[family].breaks
    assert breaks == tuple(sorted(breaks))
    assert all(jump(z) > 0.25 for z in breaks)
    elsewhere = [z for z in np.linspace(-12, 12, 4801) if all(abs(z - b) > 3 * h for b in breaks)]
    assert len(elsewhere) >= 4801 - len(breaks)
    assert max(map(jump, elsewhere)) < 1e-4


# --- settings -------------------------------------------------------------------------------------------------------

NAMES = "{FAMILIES}"  # those that there are when the test runs: other tests register some of their own


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: snn.Surrogate("gausian"),
            f"Surrogate: family must be one of {NAMES}; got 'gausian'. Did you mean 'gaussian'?",
        ),
        (lambda: snn.PSG("xyz"), f"PSG: family must be one of {NAMES}; got 'xyz'"),
        (lambda: snn.PSG(None), f"PSG: family must be one of {NAMES}; got None"),
        (lambda: snn.Surrogate(width=0.0), "Surrogate: width must be positive; got 0.0"),
        (lambda: snn.Surrogate(width="1"), "Surrogate: width must be a finite number; got '1'"),
        (lambda: snn.PSG(width=-1), "PSG: width must be positive; got -1"),
        (lambda: snn.PSG(width=math.inf), "PSG: width must be a finite number; got inf"),
        (lambda: snn.PSG(per="neuron"), "PSG: per must be one of 'layer', 'channel'; got 'neuron'"),
        (lambda: snn.PSG(lr=0), "PSG: lr must be positive; got 0"),
        (
            lambda: snn.PSG(rule="windows"),
            "PSG: rule must be one of 'gradient', 'window'; got 'windows'. Did you mean 'window'?",
        ),
        (lambda: snn.PSG(share=0), "PSG: share must lie in (0, 1); got 0"),
        (lambda: snn.PSG(share=1.0), "PSG: share must lie in (0, 1); got 1.0"),
        (lambda: snn.PSG(bounds=(0.0, 5.0)), "PSG: lower bound must be positive; got 0.0"),
        (lambda: snn.PSG(bounds=(0.1, -5.0)), "PSG: upper bound must be positive; got -5.0"),
        (lambda: snn.PSG(width=30.0, bounds=(0.05, 20)), "PSG: width must lie within bounds (0.05, 20.0); got 30.0"),
        (lambda: snn.PSG(bounds=(2.0, 3.0)), "PSG: width must lie within bounds (2.0, 3.0); got 1.0"),
        (lambda: snn.PSG(bounds=(3.0, 0.5)), "PSG: width must lie within bounds (3.0, 0.5); got 1.0"),
    ],
)
def test_settings_that_are_refused(make, message):
    message = message.replace(NAMES, ", ".join(map(repr, FAMILIES)))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize("bounds", [(0.1, 1.0, 2.0), 5.0])
def test_bounds_are_a_pair(bounds):
    with pytest.raises(ValueError, match=r"^PSG: bounds must be "):
        snn.PSG(bounds=bounds)


def test_width_may_lie_on_a_bound():
    bounds = (0.05, 20)
    assert snn.PSG(width=0.05, bounds=bounds).width == 0.05 and snn.PSG(width=20, bounds=bounds).width == 20.0


def test_what_a_neuron_layer_makes_of_its_surrogate():
    assert snn.LIF().surrogate.description() == snn.PSG("triangle").description()
    fixed = snn.LIF(surrogate="arctan").surrogate
    assert type(fixed) is snn.Surrogate and (fixed.family, fixed.width, fixed.learned) == ("arctan", 1.0, False)
    shared = snn.PSG("laplace")
    assert snn.LIF(surrogate=shared).surrogate is shared


def test_repr():
    assert repr(snn.PSG()) == "PSG()"
    assert repr(snn.PSG("arctan", 2.0, per="channel")) == "PSG(family='arctan', width=2.0, per='channel')"
    assert repr(snn.Surrogate("laplace")) == "Surrogate(family='laplace')"


# --- the width ------------------------------------------------------------------------------------------------------

T, N, C = 3, 6, 4


def neurons(surrogate, dtype="float32", shape=(T, N, C)):
    return snn.LIF(surrogate=surrogate).to("reference", dtype).build(shape)


def width_of(layer):
    (name, parameter), *rest = layer.parameters()
    assert name == "lif.log_width" and not rest
    return parameter


@pytest.mark.parametrize("per", ["layer", "channel"])
def test_width_is_trained_as_its_logarithm(per):
    surrogate = snn.PSG("gaussian", 0.7, per=per, lr=0.3, bounds=(0.1, 3))
    p = width_of(neurons(surrogate, "float64"))
    np.testing.assert_array_equal(p.value, np.full(1 if per == "layer" else C, np.log(0.7)))
    assert (p.group, p.lr, p.bounds) == ("width", 0.3, (math.log(0.1), math.log(3)))


@pytest.mark.parametrize("per", ["layer", "channel"])
@pytest.mark.parametrize("family", DENSITY)
def test_gradient_of_the_width(family, per):
    """Section 2 for a single step, where q is the gradient from above: dL/d alpha = - sum q phi_alpha(x) x / alpha, and
    alpha times that for log alpha."""
    alpha = 0.7
    layer = neurons(snn.PSG(family, alpha, per=per), "float64", (1, N, C))
    rng = np.random.default_rng(0)
    i, q = rng.normal(1, 0.5, (1, N, C)), rng.normal(0, 1, (1, N, C))
    layer.forward(i, TRAINING)
    layer.backward(q)
    x = i - 1.0
    phi = np.vectorize(DENSITY[family])(x / alpha) / alpha
    want = alpha * -(q * phi * x / alpha).sum((0, 1))
    want = want.sum(keepdims=True) if per == "layer" else want
    assert np.abs(want).min() > 1e-3
    np.testing.assert_allclose(width_of(layer).grad, want, rtol=1e-12)


def test_a_fixed_width_is_no_parameter():
    layer = neurons(snn.Surrogate("triangle", 0.7))
    assert layer.parameters() == [] and layer.state() == {}
    np.testing.assert_array_equal(layer.width.refresh(), np.full(C, 0.7, np.float32))


def classify(net, x, y, optimizer, steps):
    """A few training steps; the widths after each."""
    loss, seen = snn.losses.RateCrossEntropy(), []
    for _ in range(steps):
        z = net.forward(x, TRAINING)
        _, dz = loss(z, y, net.kernels)
        net.backward(dz, need_dx=False)
        optimizer.step(net.kernels, net.parameters())
        seen.append(net.layers[1].width.refresh().copy())
    return np.array(seen)


def network(surrogate, hidden=16):
    net = snn.Sequential(snn.Linear(5, hidden), snn.LIF(surrogate=surrogate), snn.Linear(hidden, 3))
    return net.to("reference").build((T, 12, 5))


def batch():
    rng = np.random.default_rng(0)
    return rng.normal(0.3, 1, (T, 12, 5)).astype(np.float32), np.arange(12) % 3


@pytest.mark.parametrize("per", ["layer", "channel"])
def test_training_moves_the_width(per):
    widths = classify(network(snn.PSG("triangle", per=per, bounds=(0.05, 20))), *batch(), Adam(1e-3), 10)
    assert (np.abs(widths[-1] - 1) > 1e-3).all()
    assert len(set(widths[-1])) == (1 if per == "layer" else 16)


def test_training_leaves_a_fixed_width_alone():
    widths = classify(network("triangle"), *batch(), Adam(1e-3), 3)
    np.testing.assert_array_equal(widths, np.ones((3, 16)))


@pytest.mark.parametrize("direction", [1, -1])
def test_width_stays_within_bounds(direction):
    """Even large steps exceed a bound by a rounding of the logarithm and one of the exponential at most."""
    low, high = 0.5, 1.75
    layer = neurons(snn.PSG(bounds=(low, high), lr=10.0))
    p = width_of(layer)
    optimizer = SGD(0.1, momentum=0.0)
    eps = float(np.finfo(np.float32).eps)
    for _ in range(3):
        p.grad[...] = direction
        optimizer.step(layer.kernels, layer.parameters())
        width = layer.width.refresh()
        assert ((low * (1 - 2 * eps) <= width) & (width <= high * (1 + 2 * eps))).all()
    np.testing.assert_allclose(width, low if direction == 1 else high, rtol=2 * eps)


@pytest.mark.parametrize("family", snn.psg.FAMILIES)
@pytest.mark.parametrize("threshold", [1.0, 0.3])
def test_by_default_no_surrogate_gets_steeper_than_its_threshold(family, threshold):
    """A start outside is brought inside by the first update."""
    psg = snn.PSG(family, width=1e-3)
    low, high = psg.bounds_at(threshold)
    assert DENSITY[family](0.0) / low == pytest.approx(1 / threshold) and high == 20 * threshold
    assert psg.bounds_at(threshold, recurrent=True) == (low / 2, high)
    layer = snn.LIF(v_threshold=threshold, surrogate=psg).to("reference", "float64").build((T, N, C))
    assert layer.width.refresh()[0] == pytest.approx(1e-3)
    SGD(0.1, momentum=0.0).step(layer.kernels, layer.parameters())
    np.testing.assert_allclose(layer.width.refresh(), low)
    recurrent = snn.RecurrentLIF(v_threshold=threshold, surrogate=psg).to("reference", "float64").build((T, N, C))
    SGD(0.1, momentum=0.0).step(recurrent.kernels, recurrent.parameters())
    np.testing.assert_allclose(recurrent.width.refresh(), low / 2)
    assert snn.PSG(family, bounds=(0.2, 3)).bounds_at(threshold) == (0.2, 3)


@pytest.mark.parametrize("training", [False, True])
def test_no_forward_pass_sees_the_width(training):
    """The forward pass does not see the family either: spikes are those of the step function."""
    x, _ = batch()
    readouts = [network(s)(x, training) for s in ("triangle", snn.Surrogate("gaussian", 5.0), snn.PSG("laplace", 0.1))]
    assert readouts[0].any()
    np.testing.assert_array_equal(readouts[1], readouts[0])
    np.testing.assert_array_equal(readouts[2], readouts[0])
    net = network(snn.PSG())
    dict(net.parameters())["lif1.log_width"].value[...] = 2.0
    np.testing.assert_array_equal(net(x, training), readouts[0])
