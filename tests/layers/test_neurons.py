"""IF, PLIF, ALIF, CubaLIF, their recurrent versions, refractory time, and LI: gradients, equations, arguments."""

import inspect
import re

import numpy as np
import pytest
from own_neurons import KLIF, QIF

import numsnn as snn

NEURONS = {
    "IF": (snn.IF, {}),
    "PLIF": (snn.PLIF, {}),
    "LIF, refractory": (snn.LIF, {"refractory": 2, "learn_tau": True}),
    "ALIF": (snn.ALIF, {"tau_adaptation": 4.0, "learn_adaptation": "channel", "learn_tau": "channel"}),
    "ALIF, per layer": (snn.ALIF, {"tau_adaptation": 4.0, "strength": 0.5, "learn_adaptation": True}),
    "CubaLIF": (snn.CubaLIF, {"learn_tau_synapse": True, "decay_input": True, "learn_tau": True}),
    "RecurrentLIF": (snn.RecurrentLIF, {"learn_threshold": True, "refractory": 1}),
    "RecurrentALIF": (snn.RecurrentALIF, {"learn_adaptation": True, "learn_tau": True}),
    "RecurrentCubaLIF": (snn.RecurrentCubaLIF, {"learn_tau_synapse": "channel", "pda": snn.PDA(divergence=0.1)}),
    "QIF": (QIF, {"learn": {"k": "channel", "c": "layer"}, "learn_threshold": True}),
    "KLIF": (KLIF, {"learn": ("k", "beta"), "pda": snn.PDA(divergence=0.1)}),
}
RESETS = [0.0, -0.2, None, "none"]


COMPILED = [("ALIF", None), ("CubaLIF", 0.0), ("RecurrentALIF", "none"), ("QIF", None), ("KLIF", 0.0)]


def current(steps=5, samples=3, features=6):
    return np.random.default_rng(0).normal(0.5, 1, (steps, samples, features)).astype(np.float32)


def network(name, v_reset, family="gaussian"):
    cls, options = NEURONS[name]
    neuron = cls(v_reset=v_reset, surrogate=snn.PSG(family), **options)
    return snn.Sequential(snn.Linear(6, 5), neuron, snn.Linear(5, 4), snn.LI(learn_tau=True, decay_input=True))


@pytest.mark.parametrize("v_reset", RESETS)
@pytest.mark.parametrize("name", NEURONS)
def test_gradients(name, v_reset):
    report = snn.check_gradients(network(name, v_reset), current(), np.arange(3), device="reference")
    assert report.ok, str(report)
    learned = {row.name.split(".")[-1] for row in report.rows}
    expected = {
        "PLIF": {"logit_beta"},
        "ALIF": {"logit_rho", "log_strength"},
        "CubaLIF": {"logit_gamma"},
        "RecurrentLIF": {"lateral", "log_threshold"},
        "QIF": {"k", "c", "log_threshold"},
        "KLIF": {"log_k", "logit_beta"},
    }.get(name, set())
    assert learned >= expected | {"log_width"}


@pytest.mark.parametrize(("name", "v_reset"), COMPILED)
def test_gradients_of_the_compiled_kernels(name, v_reset):
    report = snn.check_gradients(network(name, v_reset), current(), np.arange(3), device="cpu")
    assert report.ok, str(report)


@pytest.mark.parametrize("family", ["triangle", "rectangle"])
def test_gradients_with_kinks_and_refractory_time(family):
    report = snn.check_gradients(network("RecurrentLIF", 0.0, family), current(), np.arange(3), device="reference")
    assert report.ok, str(report)


def test_if_sums_up():
    net = snn.IF(v_threshold=10.0, record="u")
    net(np.ones((4, 1, 2), np.float32))
    np.testing.assert_array_equal(net.recorded["u"][:, 0, 0], [1, 2, 3, 4])


def test_no_reset_keeps_the_potential():
    neuron = snn.LIF(beta=1.0, v_reset="none", record=("u", "v"))
    spikes = neuron(np.full((4, 1, 1), 0.6, np.float32))
    assert spikes.ravel().tolist() == [0, 1, 1, 1]
    np.testing.assert_array_equal(neuron.recorded["v"], neuron.recorded["u"])


def test_refractory_time_is_whole_steps():
    spikes = snn.LIF(refractory=3)(np.full((10, 1, 1), 5.0, np.float32))
    assert spikes.ravel().tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0]


def test_adaptation_raises_the_threshold():
    """A current that makes a LIF fire at every step: the adapting neuron fires less and less often."""
    x = np.full((200, 1, 1), 1.2, np.float32)
    neuron = snn.ALIF(tau_adaptation=20.0, strength=2.0, record=("a",))
    spikes = neuron(x).ravel()
    assert snn.LIF()(x).mean() == 1 and spikes[0] == 1
    assert 0 < spikes[100:].mean() < spikes[:20].mean()
    a, expected = neuron.recorded["a"].ravel(), 0.0
    for t in range(200):
        expected = 0.95 * expected + 0.05 * spikes[t]
        assert a[t] == pytest.approx(expected, abs=1e-5)


def test_synaptic_current():
    neuron = snn.CubaLIF(tau_synapse=4.0, v_threshold=100.0, record=("j",))
    x = np.zeros((5, 1, 1), np.float32)
    x[0] = 1
    neuron(x)
    np.testing.assert_allclose(neuron.recorded["j"].ravel(), 0.75 ** np.arange(5), rtol=1e-6)


def test_lateral_weights_carry_spikes_of_the_step_before():
    neuron = snn.RecurrentLIF(record="u")
    neuron.build((3, 1, 2))
    neuron.lateral.value[...] = [[0, 0.25], [0, 0]]
    x = np.zeros((3, 1, 2), np.float32)
    x[0, 0, 0] = 1  # the first neuron fires at step 1, the second feels it at step 2
    neuron(x)
    np.testing.assert_allclose(neuron.recorded["u"][:, 0], [[1, 0], [0, 0.25], [0, 0.125]])


def test_integrator_is_a_leaky_sum():
    x = np.random.default_rng(0).normal(size=(6, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(snn.LI(beta=1.0)(x), np.cumsum(x, axis=0), rtol=1e-5, atol=1e-6)
    constant = snn.LI(tau=3.0, decay_input=True)(np.ones((60, 1, 1), np.float32))
    assert constant[-1].item() == pytest.approx(1, abs=1e-5)


def test_one_value_a_channel():
    taus = np.array([2.0, 4.0, 8.0])
    neuron = snn.ALIF(tau=taus, tau_adaptation=taus, strength=[1.0, 2.0, 3.0], v_threshold=[1.0, 2.0, 3.0])
    assert neuron(current(features=3)).shape == (5, 3, 3)
    with pytest.raises(snn.ShapeError, match="there is one leak per channel"):
        snn.LIF(tau=taus)(current(features=4))
    with pytest.raises(snn.ShapeError, match="there is one adaptation per channel"):
        snn.ALIF(tau_adaptation=taus)(current(features=4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: snn.LIF(refractory=-1), "LIF: refractory must be a whole number of at least 0; got -1"),
        (lambda: snn.ALIF(strength=0), "ALIF: strength must be positive; got 0"),
        (lambda: snn.ALIF(tau_adaptation=0.5), r"ALIF: tau_adaptation must be at least 1 \(steps\); got 0.5"),
        (lambda: snn.CubaLIF(tau_synapse=3.0, gamma_synapse=0.5), "not both; got tau_synapse=3.0, gamma_synapse=0.5"),
        (lambda: snn.CubaLIF(gamma_synapse=1.5), r"CubaLIF: gamma_synapse must lie in \[0, 1\]; got 1.5"),
        (lambda: snn.IF(v_reset="sometimes"), "v_reset must be one number, None"),
        (lambda: snn.LIF(record="a"), "LIF: record takes 'u', 'v', 's'; got 'a'"),
        (lambda: snn.ALIF(v_reset=None, record="v"), "'v' cannot be recorded with a soft reset"),
        (lambda: snn.LI(tau=2.0, beta=0.5), "LI: give tau or beta, not both"),
        (lambda: snn.LI(record="s"), "LI: record must be one of 'u', 'v'; got 's'"),
        (lambda: snn.ALIF(learn_adaptation="all"), "learn_adaptation must be False, True, 'layer' or 'channel'"),
        (lambda: snn.IF(tau=2.0), "tau"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_recurrent_layers_take_features_only():
    with pytest.raises(snn.ShapeError, match=r"RecurrentLIF\): input must be \[T, N, C\]; got \(2, 1, 4, 4, 3\)"):
        snn.RecurrentLIF()(np.zeros((2, 1, 4, 4, 3), np.float32))


@pytest.mark.parametrize("name", NEURONS)
def test_description_and_state_round_trip(name):
    net = network(name, 0.0).build((5, 3, 6), seed=1)
    again = snn.Layer.from_description(net.description()).build((5, 3, 6), seed=2)
    assert repr(again) == repr(net)
    again.load_state(net.state())
    np.testing.assert_array_equal(again(current()), net(current()))


@pytest.mark.parametrize("kind", ["IF", "LIF", "PLIF", "ALIF", "CubaLIF", "RecurrentALIF", "RecurrentCubaLIF", "LI"])
def test_help_explains_every_argument(kind):
    neuron = getattr(snn, kind)
    names = set(inspect.signature(neuron).parameters)
    section = inspect.getdoc(neuron).partition("Args:\n")[2].partition("\n\n")[0]
    explained = re.findall(r"^    (\w+): ", section, re.MULTILINE)
    assert sorted(explained) == sorted(names - ({"beta"} if kind == "PLIF" else set()))
    assert names >= {"v_init", "record"}


def test_help_of_a_neuron_of_ones_own():
    class Slow(snn.LIF):
        """A slow neuron.

        Args:
            tau: time constant; 20 steps.
            options: as for `LIF`, except beta.

        Raises:
            ValueError: never.
        """

    text = inspect.getdoc(Slow)
    assert text.startswith("A slow neuron.\n\nArgs:\n    tau: time constant; 20 steps.\n    decay_input: whether")
    assert text.endswith("Default: the class's name and a number.\n\nRaises:\n    ValueError: never.")
    assert "beta: leak factor" not in text and text.count("    tau: ") == 1


def test_what_was_not_recorded_is_named(refuses):
    neuron = snn.LIF(record=("u", "s"))
    neuron(np.ones((2, 1, 3), np.float32))
    with pytest.raises(KeyError, match=r"'uu' was not recorded; .*the last pass recorded 'u', 's'. Did you mean 'u'?"):
        neuron.recorded["uu"]
    with pytest.raises(KeyError, match="the last pass recorded nothing"):
        snn.LI().recorded["v"]
