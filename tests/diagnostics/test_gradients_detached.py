"""`check_gradients` of networks with detached resets: the spikes in the resets are constants of the gradient and of the
differences (docs/method.md, R4)."""

from dataclasses import replace

import numpy as np
import pytest
from own_neurons import QIF

import numsnn as snn

T, N, K = 5, 4, 3
RELAXED = snn.Mode(training=True, store=True, relaxed=True)
OPTIONS = {"detach_reset": True, "v_threshold": 0.7, "v_init": 0.2, "learn_v_init": True, "learn_threshold": True}

NEURONS = {
    "IF": snn.IF,
    "LIF": lambda **options: snn.LIF(learn_tau="channel", **options),
    "PLIF": snn.PLIF,
    "ALIF": lambda **options: snn.ALIF(learn_tau=True, learn_adaptation="channel", **options),
    "CubaLIF": lambda **options: snn.CubaLIF(learn_tau=True, learn_tau_synapse=True, decay_input=True, **options),
    "RecurrentLIF": snn.RecurrentLIF,
    "RecurrentALIF": lambda **options: snn.RecurrentALIF(learn_adaptation=True, **options),
    "RecurrentCubaLIF": lambda **options: snn.RecurrentCubaLIF(learn_tau_synapse=True, **options),
    "own": lambda **options: QIF(k=0.3, learn=("k", "c"), **options),
}

RESETS = {"zero": 0.0, "number": -0.4, "soft": None, "none": "none", "delayed": "delayed"}


def draw(shape=(T, N, 6), seed=0):
    return np.random.default_rng(seed).normal(0.3, 1, shape).astype(np.float32)


def neurons(kind, surrogate=None, **options):
    return NEURONS[kind](surrogate=surrogate or snn.PSG("logistic", per="channel"), **OPTIONS | options)


def network(layer, device="reference"):
    return snn.Sequential(snn.Linear(6, 8), layer, snn.Linear(8, K)).to(device)


def check(net, device=None, shape=(T, N, 6)):
    return snn.check_gradients(net, draw(shape), np.arange(N) % K, device=device, entries=2)


def assert_checked(report):
    assert report.ok, f"\n{report}"
    assert all(row.checked for row in report.rows)


def allowed():
    for kind in NEURONS:
        for reset in RESETS:
            for refractory in (0, 1):
                unknown = kind == "own" and (refractory or reset == "delayed")
                if not unknown and not (refractory and reset in ("delayed", "none", "zero")):
                    yield kind, reset, refractory


@pytest.mark.parametrize(("kind", "reset", "refractory"), list(allowed()))
def test_the_gradient_with_a_detached_reset_is_that_of_a_function(kind, reset, refractory):
    options = {"refractory": refractory} if refractory else {}
    net = network(neurons(kind, v_reset=RESETS[reset], **options))
    assert_checked(check(net))


def test_detaching_makes_a_difference():
    """Otherwise the tests of this file would prove nothing that those of attached resets do not."""
    x, dz, found = draw().astype(np.float64), np.ones((T, N, K)), []
    for detach in (False, True):
        net = network(neurons("LIF", detach_reset=detach)).to(dtype="float64").build(x.shape)
        net.forward(x, RELAXED)
        found.append(net.backward(dz).copy())
    assert np.abs(found[0] - found[1]).max() > 0.01 * np.abs(found[0]).max()


@pytest.mark.parametrize("kind", ["LIF", "RecurrentALIF", "own"])
def test_replayed_spikes_of_an_unchanged_pass_change_nothing(kind):
    x = draw().astype(np.float64)
    layer = neurons(kind)
    net = network(layer).to(dtype="float64")
    z = net.forward(x, RELAXED).copy()
    spikes, u = layer.spikes().copy(), layer.potentials().copy()
    again = replace(RELAXED, resets={layer.path: spikes})
    assert np.array_equal(net.forward(x, again), z)
    assert np.array_equal(layer.potentials(), u)
    net.forward(1.1 * x, again)
    assert not np.array_equal(layer.spikes(), spikes), "the output of the neuron is not replayed"


def test_compiled_gradients():
    """The gradient is that of the compiled kernels, and the differences are the reference's."""
    assert_checked(check(snn.Sequential(neurons("LIF", v_reset=None))))


def test_graphs_residuals_and_shared_layers():
    part = snn.Sequential(snn.Linear(6, 6), snn.BatchNorm(6), neurons("LIF", pda=snn.PDA(divergence=0.3)))
    net = snn.Graph(
        ("x",),
        {
            "once": (part, "x"),
            "twice": (part, "once"),
            "mixed": (snn.Residual(neurons("IF", v_reset=None), snn.Linear(6, 6)), "twice"),
            "attached": (neurons("CubaLIF", detach_reset=False), "mixed"),
            "frozen": (neurons("RecurrentLIF").freeze(), "attached"),
            "sum": ("add", "once", "frozen"),
            "readout": (snn.Linear(6, K), "sum"),
        },
    ).to("reference")
    report = check(net)
    assert_checked(report)
    assert {"once.linear1.weight", "mixed.branch.if1.log_width", "input"} <= {row.name for row in report.rows}


def test_several_inputs_and_lengths():
    net = snn.Graph(
        ("a", "b"), {"left": (neurons("LIF"), "a"), "sum": ("add", "left", "b"), "out": (snn.Linear(6, K), "sum")}
    ).to("reference")
    x = {"a": draw(), "b": draw(seed=1)}
    report = snn.check_gradients(net, x, np.arange(N) % K, lengths=np.array([5, 1, 3, 4]))
    assert_checked(report)
    assert [row.name for row in report.rows[-2:]] == ["input a", "input b"]


# --- mistakes -------------------------------------------------------------------------------------------------------


class Attached(snn.LIF):
    """Wrong on purpose: its backward pass goes through the spikes in the reset."""

    def propagate(self, dy, need_dx):
        self.detach_reset = False
        dx = super().propagate(dy, need_dx)
        self.detach_reset = True
        return dx


class Detached(snn.LIF):
    """Wrong on purpose: its backward pass leaves out the spikes in the reset."""

    def propagate(self, dy, need_dx):
        self.detach_reset = True
        dx = super().propagate(dy, need_dx)
        self.detach_reset = False
        return dx


@pytest.mark.parametrize("reset", ["zero", "soft", "delayed"])
@pytest.mark.parametrize(("wrong", "detach"), [(Attached, True), (Detached, False)])
def test_a_reset_on_the_wrong_side_is_found(wrong, detach, reset):
    layer = wrong(surrogate=snn.PSG("logistic"), name="wrong", **OPTIONS | {"detach_reset": detach})
    layer.v_reset = RESETS[reset]
    report = check(network(layer))
    assert not report.ok and report.worst > 1e-3
    found = {row.name for row in report.rows if row.known > report.tolerance}
    assert found == {
        "linear1.weight",
        "linear1.bias",
        "wrong.log_threshold",
        "wrong.log_width",
        "wrong.v_init",
        "input",
    }


def test_devices_that_cannot_replay_are_refused():
    net = snn.Sequential(neurons("LIF")).build((T, N, 6))
    with pytest.raises(ValueError, match=r"^lif1: Mode\.resets needs the device 'reference'; got 'cpu'$"):
        net.forward(draw(), replace(RELAXED, resets={"lif1": np.zeros((T, N, 8))}))
