"""From a configuration to a network: every neuron, reset and loss a file may name."""

import pytest

import numsnn as snn
from numsnn import config, experiment

NEURONS = {"if": snn.IF, "lif": snn.LIF, "plif": snn.PLIF, "alif": snn.ALIF, "cubalif": snn.CubaLIF}


def build(text):
    return experiment.build_network(config.parse(text), (8, 8, 1), 10)


@pytest.mark.parametrize("name", NEURONS)
def test_neurons(name):
    net = build(f'[model]\narchitecture = "4c3"\nneuron = "{name}"\nrefractory = 1\nv_threshold = 0.8')
    neurons = [layer for layer in net.walk() if isinstance(layer, snn.Neuron)]
    assert len(neurons) == 1 and type(neurons[0]) is NEURONS[name]
    assert neurons[0].v_threshold == 0.8 and neurons[0].refractory == 1 and neurons[0].pda is not None


def test_values_reach_the_neurons():
    net = build('[model]\nneuron = "alif"\ntau = 3.0\ntau_adaptation = 7.0\nstrength = 0.5\nlearn_tau = true')
    neuron = next(layer for layer in net.walk() if isinstance(layer, snn.ALIF))
    assert (neuron.tau, neuron.tau_adaptation, neuron.strength, neuron.learn_tau) == (3.0, 7.0, 0.5, "layer")


@pytest.mark.parametrize(("reset", "v_reset"), [("hard", -0.25), ("soft", None), ("none", "none")])
def test_resets(reset, v_reset):
    net = build(f'[model]\nreset = "{reset}"\nv_reset = -0.25')
    assert next(layer for layer in net.walk() if isinstance(layer, snn.LIF)).v_reset == v_reset


def test_method_reaches_the_neurons():
    method = '[method]\nsurrogate = "arctan"\nwidth = 0.5\nlearn_width = false\npda = false\n'
    net = build(method + '[model]\nnorm = "tdbn"\nv_threshold = 0.7')
    neuron = next(layer for layer in net.walk() if isinstance(layer, snn.LIF))
    assert repr(neuron.surrogate) == "Surrogate(family='arctan', width=0.5)" and neuron.pda is None
    assert next(layer for layer in net.walk() if isinstance(layer, snn.BatchNorm)).v_threshold == 0.7


@pytest.mark.parametrize("loss", ["rate", "tet", "max_membrane", "membrane_mse", "spike_count", "first_spike"])
def test_every_loss_builds_a_trainer(loss):
    configuration = config.parse(f'[training]\nloss = "{loss}"')
    net = experiment.build_network(configuration, (8, 8, 1), 10)
    trainer = experiment.build_trainer(configuration, net)
    spiking = isinstance(net.layers[-1], snn.Neuron)
    assert spiking == (loss in experiment.SPIKING_LOSSES) and isinstance(trainer.loss, snn.losses.Loss)
