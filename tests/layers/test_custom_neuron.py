"""Custom neurons: requirements on the declaration, and the behaviour of the resulting layer."""

import copy
import pickle
import textwrap

import numpy as np
import pytest
from neuron_options import WithAdaptation
from own_neurons import KLIF, QIF

import numsnn as snn
from numsnn.layers import TRAINING


def no_change(i, v, states, values):
    return v + i, states


def no_change_back(du, dstates, i, v, states, values):
    return du, du, dstates, (0.0,) * len(values)


def define(**members):
    """A subclass with these members in the place of good ones."""
    good = {"values": {"a": snn.Value(1.0)}, "step": no_change, "step_back": no_change_back}
    members = {name: value for name, value in {**good, **members}.items() if value is not None}
    return type(f"Defined{len(snn.CustomNeuron.__subclasses__())}", (snn.CustomNeuron,), members)


WRONG = {
    "no step": ({"step": None}, r"needs a function step of 4 arguments; see snn.CustomNeuron"),
    "no way back": ({"step_back": None}, r"needs a function step_back of 6 arguments"),
    "arguments": ({"step": lambda i, v: v}, r"\.step must take 4 arguments"),
    "values": ({"values": {"a": 1.0}}, r"\.values must be a dict from names to snn.Value; got {'a': 1.0}"),
    "too many": (
        {"values": {f"a{n}": snn.Value() for n in range(9)}},
        "1 to 8 values and at most 4 .*; got 9 and 0",
    ),
    "name": ({"values": {"v_reset": snn.Value()}}, "the name 'v_reset' is taken by neurons"),
    "state": ({"states": ("v_reset",)}, "the name 'v_reset' is taken by neurons"),
    "identifier": ({"values": {"a b": snn.Value()}}, "the name 'a b' is not a valid Python identifier"),
    "returned": ({"step": lambda i, v, states, values: v + i}, r"\.step must return \(u, states\) with 0 states"),
    "returned back": (
        {"step_back": lambda du, dstates, i, v, states, values: (du, du, (), ())},
        r"\.step_back must return \(di, dv, dstates, dvalues\) with 0 states and 1 values in tuples; got \(1.0, 1.0",
    ),
}


@pytest.mark.parametrize(("members", "message"), WRONG.values(), ids=WRONG)
def test_a_declaration_that_is_not_complete_is_refused(members, message):
    with pytest.raises(TypeError, match=message) as caught:
        define(**members)
    assert "\n" not in str(caught.value)


def test_no_value_takes_the_place_of_what_a_neuron_stores():
    """Whatever a neuron has stored after a pass may not be overwritten by the start value of a value."""
    neuron = define(states=("w",), step=lambda i, v, states, values: (v + i, states))(pda=True).to("reference")
    neuron.forward(np.zeros((2, 1, 1), np.float32), TRAINING)
    stored = set(vars(neuron)) - {"a"}
    assert {"width", "threshold", "learned", "tracker", "plan", "kept", "path"} <= stored
    for name in stored:
        with pytest.raises(TypeError, match=f"the name '{name}' is taken by neurons"):
            define(values={name: snn.Value()})


def test_what_would_not_be_used_is_refused():
    for name in ("step", "density", "fire"):
        with pytest.raises(TypeError, match=rf"Mine\.{name} would not be used: .*snn\.CustomNeuron"):
            type("Mine", (snn.LIF,), {name: lambda self: None})
    with pytest.raises(TypeError, match="CustomNeuron is a base"):
        snn.CustomNeuron()


BAD_ARGUMENTS = {
    "unknown": ({"kk": 1.0}, TypeError, r"KLIF takes no argument 'kk'\. Did you mean 'k'\?"),
    "not positive": ({"k": -1.0}, ValueError, r"KLIF: k must be positive; got -1.0"),
    "not in the unit interval": ({"beta": 1.5}, ValueError, r"KLIF: beta must lie between 0 and 1; got 1.5"),
    "learned at the edge": ({"beta": 1.0, "learn": "beta"}, ValueError, r"beta must lie between 0 and 1; got 1.0"),
    "learn": ({"learn": ("kk",)}, ValueError, r"KLIF: learn must be one of 'beta', 'k'; got 'kk'"),
    "granularity": ({"learn": {"k": "neuron"}}, ValueError, r"learn must be False, True, 'layer' or 'channel'"),
    "refractory": ({"refractory": 1}, TypeError, r"KLIF takes no argument 'refractory'"),
    "record": ({"record": "j"}, ValueError, r"KLIF: record takes 'u', 'v', 's'; got 'j'"),
}


@pytest.mark.parametrize(("arguments", "error", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_arguments_that_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        KLIF(**arguments)


def test_the_constructor_is_described():
    neuron = KLIF(k=2.0, learn=("beta",), v_reset=None, surrogate=snn.PSG("arctan"))
    assert repr(neuron).startswith("KLIF(k=2.0, learn=('beta',), v_reset=None")
    again = snn.Layer.from_description(neuron.description())
    assert repr(again) == repr(neuron)
    assert again.learned == {"beta": "layer", "k": False}


def test_values_by_channel_need_the_channels():
    with pytest.raises(snn.ShapeError, match=r"\[\.\.\., 3\]: there is one beta per channel"):
        KLIF(beta=(0.5, 0.4, 0.3)).build((2, 2, 4))


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_firing_is_the_equations(device):
    """Loops over numbers, for a quadratic neuron with a soft reset."""
    x = np.random.default_rng(0).normal(0.4, 1, (7, 3, 5)).astype(np.float32)
    neuron = QIF(k=0.3, c=0.4, v_reset=None, record=("u", "v")).to(device)
    spikes = neuron(x)
    v = np.zeros((3, 5))
    for t in range(7):
        u = v + 0.3 * v * (v - 0.4) + x[t]
        np.testing.assert_allclose(neuron.recorded["u"][t], u, rtol=1e-5, atol=1e-5)
        assert np.array_equal(spikes[t], u >= 1)
        v = u - (u >= 1)
        np.testing.assert_allclose(neuron.recorded["v"][t], v, rtol=1e-5, atol=1e-5)
    assert 0.05 < spikes.mean() < 0.6


class Adaptive(WithAdaptation):
    """A neuron with two states, one of which follows the other. It learns both of its values."""

    values = {"b": snn.Value(0.3, learn="channel"), "g": snn.Value(0.4, "unit", learn=True)}


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_states_go_on_and_can_be_recorded(device):
    x = np.random.default_rng(1).normal(0.5, 1, (6, 2, 4)).astype(np.float32)
    net = snn.Sequential(Adaptive(record=("j", "w"))).to(device)
    whole = net(x)
    j = np.zeros((2, 4))
    for t in range(6):
        j = 0.4 * j + x[t]
        np.testing.assert_allclose(net.layers[0].recorded["j"][t], j, rtol=1e-5, atol=1e-5)
    assert np.abs(net.layers[0].recorded["w"]).max() > 0
    stream = net.stream()
    assert np.array_equal(np.stack([stream.step(frame) for frame in x]), whole)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_gradients_through_states(device):
    net = snn.Sequential(snn.Linear(6, 5), Adaptive(surrogate=snn.PSG("gaussian"), v_reset=-0.2), snn.Linear(5, 3))
    x = np.random.default_rng(0).normal(0.5, 1, (5, 3, 6)).astype(np.float32)
    report = snn.check_gradients(net, x, np.arange(3), device=device)
    assert report.ok, str(report)


def test_a_wrong_gradient_is_named():
    class WrongSign(Adaptive):
        def step_back(du, dstates, i, v, states, values):
            di, dv, before, (db, dg) = Adaptive.step_back(du, dstates, i, v, states, values)
            return di, dv, before, (db, -dg)

    net = snn.Sequential(snn.Linear(6, 5), WrongSign(surrogate=snn.PSG("gaussian")), snn.Linear(5, 3))
    x = np.random.default_rng(0).normal(0.5, 1, (5, 3, 6)).astype(np.float32)
    report = snn.check_gradients(net, x, np.arange(3), device="reference")
    wrong = [row.name for row in report.rows if not max(row.worst, row.direction) <= report.tolerance]
    assert wrong == ["wrongsign1.logit_g"]


def test_truncated_passes_carry_all_states():
    """Two halves with carried state are the whole, spike for spike."""
    x = np.random.default_rng(2).normal(0.5, 1, (8, 2, 4)).astype(np.float32)
    neuron = Adaptive()
    whole = np.array(neuron.forward(x, TRAINING))
    carried = {}
    halves = [
        np.array(neuron.forward(part, snn.Mode(training=True, store=True, carried=carried))) for part in (x[:3], x[3:])
    ]
    assert np.array_equal(np.concatenate(halves), whole)


def test_copies_and_pickles():
    net = snn.Sequential(snn.Linear(6, 5), Adaptive(), snn.Linear(5, 3)).build((4, 2, 6))
    x = np.random.default_rng(0).normal(0.5, 1, (4, 2, 6)).astype(np.float32)
    assert np.array_equal(copy.deepcopy(net)(x), net(x))
    assert np.array_equal(pickle.loads(pickle.dumps(net))(x), net(x))


def test_a_notebook_s_cell_that_runs_again_is_compiled_anew():
    cell = """
        class Cell{n}(snn.CustomNeuron):
            values = {{"a": snn.Value({n}.0)}}

            def step(i, v, states, values):
                return 0.5 * v + {n}.0 * i, ()

            def step_back(du, dstates, i, v, states, values):
                return {n}.0 * du, 0.5 * du, (), (0.0,)
    """
    x = np.full((1, 1, 1), 0.4, np.float32)
    for n in (1, 2, 3):
        names = {"snn": snn}
        exec(textwrap.dedent(cell.format(n=n)), names)
        neuron = names[f"Cell{n}"](record="u")
        neuron(x)
        assert neuron.recorded["u"].item() == np.float32(0.4) * n
