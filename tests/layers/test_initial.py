"""Initial potentials: what the first step starts from, their gradient, sequences in parts, copies and errors."""

import copy

import numpy as np
import pytest
from own_neurons import KLIF

import numsnn as snn
from numsnn.layers import TRAINING, Mode

STARTS = (0.5, -0.25, 0.75, 0.0)

NEURONS = {
    "LIF": lambda **options: snn.LIF(learn_tau="channel", learn_threshold=True, **options),
    "scaled": lambda **options: snn.PLIF(v_reset=None, **options),
    "IF": lambda **options: snn.IF(v_reset="none", **options),
    "refractory": lambda **options: snn.LIF(refractory=1, **options),
    "ALIF": lambda **options: snn.ALIF(v_reset=None, learn_adaptation=True, **options),
    "CubaLIF": lambda **options: snn.CubaLIF(learn_tau_synapse=True, **options),
    "RecurrentLIF": lambda **options: snn.RecurrentLIF(v_reset=None, **options),
    "RecurrentCubaLIF": lambda **options: snn.RecurrentCubaLIF(refractory=1, **options),
    "with PDA": lambda **options: snn.LIF(pda=snn.PDA(divergence=0.3), **options),
    "own": lambda **options: KLIF(learn=("k", "beta"), surrogate=snn.PSG("logistic"), **options),
    "LI": lambda **options: snn.LI(learn_tau=True, **options),
}


def draw(shape=(5, 6, 4), seed=0):
    return np.random.default_rng(seed).normal(0.4, 1.0, shape)


def network(kind, **options):
    return snn.Sequential(snn.Linear(4, 4), NEURONS[kind](**options), snn.Linear(4, 3))


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("v_init", [0.5, STARTS])
def test_the_first_step_starts_from_it(device, v_init):
    """u[1] = beta v_init + i, for a silent neuron and for one that fires in the second step."""
    neuron = snn.LIF(beta=0.5, v_init=v_init, record=("u", "s")).to(device)
    x = np.zeros((3, 2, 4), np.float32)
    x[1, 1] = 2.0
    neuron(x)
    u = np.zeros((3, 2, 4))
    u[0] = 0.5 * np.broadcast_to(v_init, 4)
    u[1] = 0.5 * u[0] + x[1]
    u[2, 0] = 0.5 * u[1, 0]  # row 1 fired and is reset to 0
    np.testing.assert_array_equal(neuron.recorded["u"], u)
    assert neuron.recorded["s"].sum(axis=(0, 2)).tolist() == [0, 4]


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_the_integrator_starts_from_it(device):
    readout = snn.LI(beta=0.5, v_init=STARTS, record="v").to(device)
    y = readout(np.ones((2, 3, 4), np.float32))
    np.testing.assert_array_equal(y[0], np.broadcast_to(0.5 * np.array(STARTS) + 1, (3, 4)))
    np.testing.assert_array_equal(y[1], 0.5 * y[0] + 1)
    np.testing.assert_array_equal(readout.recorded["v"], y)


def test_pictures_have_one_per_channel():
    neuron = snn.LIF(beta=0.5, v_init=(0.5, -0.5), record="u")
    neuron(np.zeros((1, 2, 3, 3, 2), np.float32))
    np.testing.assert_array_equal(neuron.recorded["u"], np.broadcast_to([0.25, -0.25], (1, 2, 3, 3, 2)))


@pytest.mark.parametrize("learn", ["layer", "channel"])
@pytest.mark.parametrize("kind", NEURONS)
def test_gradients(kind, learn):
    """On the reference, with which the compiled kernels are compared below."""
    net = network(kind, v_init=0.4, learn_v_init=learn).to("reference", "float64").build((5, 6, 4), seed=1)
    report = snn.check_gradients(net, draw(), np.arange(6) % 3)
    assert report.ok, f"\n{report}"
    rows = {row.name.split(".")[-1]: row for row in report.rows}
    assert rows["v_init"].shape == ((1,) if learn == "layer" else (4,))


@pytest.mark.parametrize("kind", ["LIF", "ALIF", "RecurrentLIF", "LI", "own"])
def test_the_cpu_computes_the_same_gradients(kind, assert_close, step):
    x, found = draw(), {}
    for device in ("reference", "cpu"):
        net = network(kind, v_init=STARTS, learn_v_init="channel").to(device, "float64").build(x.shape, seed=1)
        found[device] = step(net, x, draw((5, 6, 3), 1))
    name = next(name for name in found["cpu"] if name.endswith("v_init"))
    assert (found["cpu"][name] != 0).any()
    assert_close(found["cpu"], found["reference"])


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF", "RecurrentLIF", "LI", "own"])
def test_steps_equal_the_whole(kind):
    """A stream starts from the initial potentials, and again after reset()."""
    net = network(kind, v_init=STARTS, learn_v_init="channel").to(dtype="float64").build((5, 6, 4), seed=1)
    x = draw()
    whole = net(x)
    stream = net.stream()
    for _ in range(2):
        np.testing.assert_allclose(np.stack([stream.step(frame) for frame in x]), whole, rtol=0, atol=1e-12)
        stream.reset()
    rest = network(kind).to(dtype="float64").build((5, 6, 4), seed=1)
    assert not np.allclose(rest(x)[0], whole[0])


@pytest.mark.parametrize("kind", ["LIF", "RecurrentLIF", "LI"])
def test_only_the_first_part_of_a_sequence_has_a_gradient(kind):
    net = network(kind, v_init=0.4, learn_v_init="channel").to(dtype="float64").build((5, 6, 4), seed=1)
    v_init = next(p for name, p in net.parameters() if name.endswith("v_init"))
    x, dy = draw(), draw((5, 6, 3), 1)
    net.forward(x[:3], TRAINING)
    net.backward(dy[:3])
    alone = v_init.grad.copy()
    mode = Mode(training=True, store=True, carried={})
    net.forward(x[:3], mode)
    net.backward(dy[:3])
    np.testing.assert_array_equal(v_init.grad, alone)
    assert alone.all()
    net.forward(x[3:], mode)
    net.backward(dy[3:])
    np.testing.assert_array_equal(v_init.grad, 0)


def test_training_learns_it():
    """Without an input, neurons fire in the first step only if their initial potential lets them."""
    net = snn.Sequential(snn.LIF(v_init=0.5, learn_v_init=True, surrogate=snn.Surrogate("arctan")))
    x = np.zeros((1, 4, 3), np.float32)
    optimizer = snn.optim.Adam(0.1)
    net.build(x.shape)
    assert not net(x).any()
    for _ in range(30):
        net.forward(x, TRAINING)
        net.backward(-np.ones_like(x))
        optimizer.step(net.kernels, net.parameters())
    assert net(x).all()
    assert net.state()["lif1.v_init"][0] >= 2


def test_without_one_a_pass_starts_from_rest():
    neuron = snn.LIF(v_init=0.0)
    neuron.build((2, 3, 4))
    assert neuron.initial is None
    neuron.forward(np.ones((2, 3, 4), np.float32), TRAINING)
    assert neuron.kept.start is None


@pytest.mark.parametrize("kind", ["LIF", "ALIF", "LI"])
def test_a_frozen_neuron_keeps_its_initial_potential(kind):
    net = network(kind, v_init=0.25, learn_v_init=True).to(dtype="float64").build((5, 6, 4), seed=1)
    layer = net.children()[1][1]
    found = []
    for frozen in (False, True):
        layer.initial.parameter.grad[...] = 7
        if frozen:
            layer.freeze()
        y = net.forward(draw(), Mode(training=True, store=True))
        net.backward(np.ones_like(y), need_dx=False)
        found.append((float(layer.initial.parameter.grad[0]), net.children()[0][1].weight.grad.copy()))
    assert found[0][0] not in (0.0, 7.0) and found[1][0] in (0.0, 7.0)  # nothing is computed for a frozen layer
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert layer.initial.parameter not in [p for _, p in net.trainable()]


@pytest.mark.parametrize("kind", ["LIF", "RecurrentCubaLIF", "LI", "own"])
def test_copies_and_descriptions(kind):
    net = network(kind, v_init=STARTS, learn_v_init="channel").build((5, 6, 4), seed=1)
    layer = net.children()[1][1]
    layer.initial.parameter.value += 0.125
    x = draw().astype(np.float32)
    again = snn.Layer.from_description(net.description()).build(x.shape, seed=2)
    again.load_state(net.state())
    for other in (copy.deepcopy(net), again):
        np.testing.assert_array_equal(other(x), net(x))
    assert "v_init=(0.5, -0.25, 0.75, 0.0), learn_v_init='channel'" in repr(layer)
    np.testing.assert_array_equal(net.to(dtype="float64").state()[f"{layer.path}.v_init"], np.array(STARTS) + 0.125)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: snn.LIF(v_init=np.inf), "LIF: v_init must be one finite number or one per channel; got inf"),
        (
            lambda: snn.LI(learn_v_init="neuron"),
            "LI: learn_v_init must be False, True, 'layer' or 'channel'; got 'neuron'",
        ),
        (
            lambda: snn.LIF(v_init=STARTS, learn_v_init=True),
            "LIF: learn_v_init must be 'channel' if there is one start value per channel; got 'layer'",
        ),
        (
            lambda: snn.LIF(v_init=STARTS).build((2, 3, 5)),
            "lif (LIF): input must be [..., 4]: there is one v_init per channel; got (2, 3, 5)",
        ),
    ],
)
def test_errors(refuses, make, message):
    with refuses(ValueError, message):
        make()
