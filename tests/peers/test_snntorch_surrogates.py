"""Surrogates against those of snnTorch, in its neuron Leaky that is reset to zero (see test_snntorch.py)."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the parity tests need PyTorch: pip install torch")
pytest.importorskip("snntorch", reason="snnTorch is missing: pip install snntorch")

import torch
from parity import OwnSurrogate, draw
from snntorch import surrogate
from snntorch_neurons import Theirs, every_delay, leaky, lif

import numsnn as snn

pytestmark = pytest.mark.peers


@every_delay
@pytest.mark.parametrize(
    ("family", "make", "width"),
    [
        ("arctan", lambda width: surrogate.atan(2 / (np.pi * width)), 0.5),
        ("logistic", lambda width: surrogate.sigmoid(1 / width), 0.25),
    ],
    ids=["arctan", "logistic"],
)
def test_surrogates(parity, family, make, width, delay):
    parity(
        draw(5),
        lambda: lif(0.0, delay, family=family, width=width),
        lambda: Theirs(leaky("zero", delay, spike_grad=make(width))),
    )


@pytest.mark.parametrize("slope", [2.0, 25.0])
def test_fast_sigmoid_is_not_normalised(parity, slope):
    """The density of snnTorch's fast_sigmoid(slope) is 1 / (1 + slope |x|)^2, and numsnn's of width 1/slope is slope/2
    times that. With the reset detached a gradient gets the factor 2/slope at every layer that it passes."""
    parity(
        draw(5),
        lambda: lif(0.0, True, family="fast_sigmoid", width=1 / slope),
        lambda: Theirs(leaky("zero", True, spike_grad=surrogate.fast_sigmoid(slope))),
        factors=(2 / slope, 2 / slope),
    )


@every_delay
@pytest.mark.parametrize(
    "family", ["rectangle", "triangle", "logistic", "arctan", "gaussian", "laplace", "fast_sigmoid"]
)
def test_every_family_as_a_surrogate_of_ones_own(parity, family, delay):
    """snnTorch takes any callable for spike_grad; the one here also has a gradient for the width."""
    width = 0.7

    def theirs():
        spike = OwnSurrogate(family, width)
        neuron = Theirs(leaky("zero", delay, spike_grad=spike))
        known = neuron.gradients
        neuron.gradients = lambda: known() | spike.gradients()
        return neuron

    parity(
        draw(5),
        lambda: snn.LIF(
            beta=0.6,
            v_threshold=0.9,
            detach_reset=delay,
            learn_tau=True,
            learn_threshold=True,
            surrogate=snn.PSG(family, width, per="channel"),
            record=("u", "v", "s"),
        ),
        theirs,
    )


def test_triangular_is_no_triangle():
    """The gradient of snnTorch's triangular(threshold) is +threshold below the threshold and -threshold from it on, no
    matter how far. snnTorch has no surrogate that is numsnn's triangle, but a user can bring one (see above)."""
    x = torch.tensor([-9.0, -0.5, 0.5, 9.0], requires_grad=True)
    surrogate.triangular(1)(x).sum().backward()
    assert x.grad.tolist() == [1, 1, -1, -1]
