"""Every layer and neuron of the package keeps the contract, on the reference. `tests/layers` holds other options of the
layers, and compares the compiled kernels."""

import pytest

import numsnn as snn
from numsnn import layers
from numsnn.testing import check_layer

FEATURES, SEQUENCES, PICTURES = (4, 3, 6), (3, 2, 7, 4), (3, 2, 5, 6, 4)


def _smooth(neuron, **options):
    """Neurons whose gradient exists everywhere, with all that they can learn."""
    learned = {"learn_threshold": "channel", "learn_v_init": True, "v_threshold": 0.7}
    return lambda: neuron(surrogate=snn.PSG("logistic"), pda=snn.PDA(divergence=0.2), **learned, **options)


def _uniform(rng, shape):
    return rng.random(shape)


LAYERS = {
    "ALIF": (_smooth(snn.ALIF, learn_adaptation=True, v_reset=None), SEQUENCES),
    "AvgPool1d": (lambda: snn.AvgPool1d(3, stride=2, padding=1), SEQUENCES),
    "AvgPool2d": (lambda: snn.AvgPool2d((2, 3)), PICTURES),
    "BNTT": (lambda: snn.BNTT(6, 4), FEATURES),
    "BatchNorm": (lambda: snn.BatchNorm(4), PICTURES),
    "Concat": (lambda: snn.Concat(None, snn.Conv2d(4, 2, 1)), PICTURES),
    "Conv1d": (lambda: snn.Conv1d(4, 6, 3, padding="same", dilation=2, groups=2, bias=True), SEQUENCES),
    "Conv2d": (lambda: snn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=2), PICTURES),
    "ConvTranspose2d": (lambda: snn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1, bias=True), PICTURES),
    "CubaLIF": (_smooth(snn.CubaLIF, learn_tau_synapse="channel", decay_input=True), FEATURES),
    "Delay": (lambda: snn.Delay((0, 1, 2, 5, 0, 1)), FEATURES),
    "Divergence": (lambda: snn.Divergence(0.3, target_mean=0.2), FEATURES),
    "Dropout": (lambda: snn.Dropout(0.4), FEATURES),
    "Flatten": (snn.Flatten, PICTURES),
    "GlobalAvgPool2d": (snn.GlobalAvgPool2d, PICTURES),
    "Graph": (
        lambda: snn.Graph(
            ("x",), {"a": (snn.Linear(6, 6), "x"), "b": ("a", "a"), "c": ("add", "x", "a", "b"), "d": (snn.IF(), "c")}
        ),
        FEATURES,
    ),
    "GroupNorm": (lambda: snn.GroupNorm(2, 4), PICTURES),
    "IF": (_smooth(snn.IF, refractory=1, v_reset="none"), FEATURES),
    "LI": (lambda: snn.LI(tau=3.0, learn_tau="channel", v_init=0.2, learn_v_init=True), FEATURES),
    "LIF": (_smooth(snn.LIF, learn_tau=True, v_reset="delayed"), PICTURES),
    "LayerNorm": (lambda: snn.LayerNorm(4), SEQUENCES),
    "Linear": (lambda: snn.Linear(6, 2), FEATURES),
    "MaxPool1d": (lambda: snn.MaxPool1d(2), SEQUENCES),
    "MaxPool2d": (lambda: snn.MaxPool2d(3, stride=2, padding=1), PICTURES),
    "PLIF": (_smooth(snn.PLIF), FEATURES),
    "RateBand": (lambda: snn.RateBand(0.2, 0.4), FEATURES),
    "ReLU": (snn.ReLU, FEATURES),
    "RecurrentALIF": (_smooth(snn.RecurrentALIF, learn_adaptation="channel", learn_tau=True), FEATURES),
    "RecurrentCubaLIF": (_smooth(snn.RecurrentCubaLIF, learn_tau_synapse=True, refractory=2), FEATURES),
    "RecurrentLIF": (_smooth(snn.RecurrentLIF, v_reset=None, learn_tau="channel"), FEATURES),
    "Repeat": (lambda: snn.Repeat(3, snn.Linear(5, 4), snn.LIF(surrogate="logistic")), (6, 5)),
    "Residual": (lambda: snn.Residual(snn.Linear(6, 6), snn.LIF(surrogate="gaussian"), join="iand"), FEATURES),
    "Sequential": (lambda: snn.Sequential(snn.Conv2d(4, 3, 3), snn.BatchNorm(3), snn.Flatten()), PICTURES),
    "SpikePenalty": (lambda: snn.SpikePenalty(0.4, "l2", per="channel"), PICTURES),
    "SumPool1d": (lambda: snn.SumPool1d(2, stride=1), SEQUENCES),
    "SumPool2d": (lambda: snn.SumPool2d(2), PICTURES),
    "TEBN": (lambda: snn.TEBN(4, 3), PICTURES),
}

BASES = {"CustomNeuron", "Layer", "Neuron", "Routed"}


@pytest.mark.parametrize("name", LAYERS)
def test_the_layer_keeps_the_contract(name):
    make, shape = LAYERS[name]
    assert type(make()).__name__ == name
    check_layer(make, shape, devices="reference")


def test_random_spikes_keep_the_contract():
    check_layer(lambda: snn.Poisson(4), (3, 5), devices="reference", draw=_uniform)


def test_no_layer_is_left_out():
    kinds = [getattr(layers, name) for name in layers.__all__]
    concrete = {kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, layers.Layer)} - BASES
    assert concrete == {*LAYERS, "Poisson"}
