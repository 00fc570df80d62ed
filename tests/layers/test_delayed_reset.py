"""The delayed reset, which subtracts the threshold one step after the spike and behind the leak. tests/peers compares
it with snnTorch's default."""

import numpy as np
import pytest
from own_neurons import KLIF

import numsnn as snn

NEURONS = {
    "LIF": lambda **options: snn.LIF(learn_tau="channel", learn_threshold="channel", **options),
    "scaled": lambda **options: snn.LIF(decay_input=True, learn_tau=True, learn_threshold=True, **options),
    "IF": lambda **options: snn.IF(learn_threshold=True, **options),
    "ALIF": lambda **options: snn.ALIF(learn_tau=True, learn_threshold=True, learn_adaptation=True, **options),
    "CubaLIF": lambda **options: snn.CubaLIF(learn_tau=True, learn_tau_synapse=True, learn_threshold=True, **options),
    "RecurrentLIF": lambda **options: snn.RecurrentLIF(learn_tau="channel", learn_threshold="channel", **options),
    "RecurrentALIF": lambda **options: snn.RecurrentALIF(
        learn_tau=True, decay_input=True, learn_threshold=True, learn_adaptation="channel", **options
    ),
    "RecurrentCubaLIF": lambda **options: snn.RecurrentCubaLIF(learn_tau=True, learn_tau_synapse=True, **options),
    "with PDA": lambda **options: snn.LIF(learn_tau=True, pda=snn.PDA(divergence=0.3), **options),
}


def draw(shape=(6, 5, 4), seed=0):
    return np.random.default_rng(seed).normal(0.5, 1.2, shape)


def network(kind, **options):
    return snn.Sequential(snn.Linear(4, 8), NEURONS[kind](v_reset="delayed", **options), snn.Linear(8, 3))


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("kind", ["LIF", "CubaLIF", "RecurrentLIF", "ALIF"])
def test_by_hand(kind, device):
    """u[t+1] = u[t] / 2 - s[t] + i[t+1]: the whole threshold is subtracted, where a soft reset subtracts half of it."""
    neuron = {
        "LIF": snn.LIF,
        "CubaLIF": lambda **options: snn.CubaLIF(gamma_synapse=0.0, **options),
        "RecurrentLIF": snn.RecurrentLIF,
        "ALIF": lambda **options: snn.ALIF(strength=1e-9, **options),
    }[kind](beta=0.5, v_reset="delayed", record=("u", "s")).to(device)
    neuron.build((5, 1, 1))
    if neuron.recurrent:
        neuron.lateral.value[...] = 0
    neuron(np.array([1.5, 0.0, 2.0, 0.25, 0.0], np.float32).reshape(5, 1, 1))
    assert neuron.recorded["s"].ravel().tolist() == [1, 0, 1, 0, 0]
    assert neuron.recorded["u"].ravel().tolist() == [1.5, -0.25, 1.875, 0.1875, 0.09375]


@pytest.mark.parametrize("kind", NEURONS)
def test_gradients(kind):
    """On the reference; the compiled kernels are compared with it below and in tests/kernels."""
    net = network(kind).to("reference", "float64").build((6, 5, 4), seed=1)
    report = snn.check_gradients(net, draw(), np.arange(5) % 3)
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("kind", ["LIF", "CubaLIF", "RecurrentALIF"])
def test_the_cpu_computes_the_same(kind, detach, assert_close, step):
    x, found = draw(), {}
    for device in ("reference", "cpu"):
        net = network(kind, detach_reset=detach).to(device, "float64").build(x.shape, seed=1)
        found[device] = step(net, x, draw((6, 5, 3), 1))
    assert_close(found["cpu"], found["reference"])


def test_detaching_changes_the_gradient(step):
    attached, detached = (
        step(
            network("LIF", detach_reset=detach).to("reference", "float64").build((6, 5, 4), seed=1),
            draw(),
            draw((6, 5, 3), 1),
        )
        for detach in (False, True)
    )
    np.testing.assert_array_equal(attached["y"], detached["y"])
    assert not np.allclose(attached["dx"], detached["dx"])


def test_without_a_leak_it_is_the_soft_reset():
    x = draw((9, 5, 4)).astype(np.float32)
    np.testing.assert_array_equal(snn.IF(v_reset="delayed")(x), snn.IF(v_reset=None)(x))
    assert (snn.LIF(v_reset="delayed")(x) != snn.LIF(v_reset=None)(x)).any()


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF", "RecurrentALIF"])
def test_steps_equal_the_whole(kind):
    net = network(kind).to(dtype="float64").build((6, 5, 4), seed=1)
    x = draw()
    stream = net.stream()
    parts = np.concatenate([stream.feed(x[:1]), stream.feed(x[1:4]), stream.feed(x[4:])])
    np.testing.assert_allclose(parts, net(x), rtol=0, atol=1e-12)


def test_it_is_described():
    neuron = snn.LIF(v_reset="delayed")
    assert repr(neuron) == "LIF(tau=2.0, v_reset='delayed', surrogate=PSG())"
    assert repr(snn.Layer.from_description(neuron.description())) == repr(neuron)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: snn.LIF(v_reset="delayed", beta=0.0), "LIF: v_reset='delayed' needs beta > 0 (tau > 1); got beta = 0"),
        (
            lambda: snn.CubaLIF(v_reset="delayed", tau=(1.0, 2.0)),
            "CubaLIF: v_reset='delayed' needs beta > 0 (tau > 1); got beta = 0",
        ),
        (
            lambda: snn.LIF(v_reset="delayed", refractory=2),
            "LIF: v_reset='delayed' acts while the neuron is refractory; use v_reset=None or refractory=0; got "
            "refractory=2",
        ),
        (
            lambda: KLIF(v_reset="delayed"),
            "KLIF: v_reset='delayed' needs the leak of a LIF; use v_reset=None (soft)",
        ),
        (
            lambda: snn.LIF(v_reset="delayed", record="v"),
            "LIF: 'v' cannot be recorded with a delayed reset, which acts in the next step; got 'v'",
        ),
        (
            lambda: snn.LIF(v_reset="later"),
            "LIF: v_reset must be one number, None (soft), 'delayed' or 'none'; got 'later'",
        ),
    ],
)
def test_errors(refuses, make, message):
    with refuses(ValueError, message):
        make()
