"""snnTorch's neurons in the form that parity.py takes, and numsnn's neurons with the same settings.

A test module imports this after it has checked that snnTorch is installed.
"""

import numpy as np
import pytest
import snntorch
import torch
from snntorch import surrogate

import numsnn as snn

ALPHA, WIDTH = 2.0, 1 / np.pi
every_delay = pytest.mark.parametrize("delay", [True, False], ids=["delayed", "at once"])


class Theirs:
    """One of snnTorch's neurons, which is called step by step.

    Args:
        neuron: the neuron, which returns its spikes first and then its state.
        states: number of arrays in the state.
    """

    def __init__(self, neuron, states=1):
        self.neuron, self.states = neuron, states

    def __call__(self, current):
        state, spikes = [torch.zeros_like(current[0])] * self.states, []
        for i in current:
            s, *state = self.neuron(i, *state)
            spikes.append(s)
        return torch.stack(spikes)

    def gradients(self):
        """Convert gradients: snnTorch trains beta, alpha and threshold themselves, numsnn logits and a logarithm."""
        found = {}
        for name, ours in (("beta", "logit_beta"), ("alpha", "logit_gamma"), ("threshold", "log_threshold")):
            value = getattr(self.neuron, name, None)
            if isinstance(value, torch.nn.Parameter):
                inner = value.item()
                slope = inner if ours == "log_threshold" else inner * (1 - inner)
                found[ours] = np.atleast_1d(value.grad.numpy()) * np.float32(slope)
        if hasattr(self.neuron, "recurrent"):
            found["lateral"] = self.neuron.recurrent.weight.grad.numpy().T
        return found


def leaky(reset, delay, beta=0.6, theta=0.9, learn=True, spike_grad=None):
    return snntorch.Leaky(
        beta,
        theta,
        surrogate.atan(ALPHA) if spike_grad is None else spike_grad,
        learn_beta=learn,
        learn_threshold=learn,
        reset_mechanism=reset,
        reset_delay=delay,
    )


def lif(v_reset, detach, beta=0.6, theta=0.9, learn=True, family="arctan", width=WIDTH, kind=snn.LIF, **options):
    return kind(
        beta=beta,
        v_threshold=theta,
        v_reset=v_reset,
        detach_reset=detach,
        learn_tau=learn,
        learn_threshold=learn,
        surrogate=snn.Surrogate(family, width),
        record=("u", "s") if v_reset == "delayed" else ("u", "v", "s"),
        **options,
    )
