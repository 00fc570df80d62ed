"""Norse: layers over all steps at once, and its LIF without synaptic memory (tau_syn_inv = 1/dt).

The reset of its feed-forward LIF is attached, that of its recurrent one detached. Of the surrogates measured here it
has the triangle, for a width of 1.
"""

import warnings

import torch
from torch import nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch.jit warns when Norse is imported
    from norse.torch.functional.lif import LIFParameters
    from norse.torch.module.lif import LIF, LIFRecurrent

from . import torch_network
from .torch_network import Meter, TorchSide, use

__all__ = ["Meter", "Side", "load", "use"]

DT = 0.001


def load(threads, device):
    return torch_network.load(threads, device, "norse")


def parameters(tau, theta):
    numbers = {"tau_syn_inv": 1 / DT, "tau_mem_inv": 1 / tau / DT, "v_leak": 0.0, "v_th": theta, "v_reset": 0.0}
    there = {name: torch.as_tensor(value, device=TorchSide.device) for name, value in numbers.items()}
    return LIFParameters(**there, method="triangle", alpha=1.0)


class Spikes(nn.Module):
    """A layer of Norse, without the state that it returns."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0]


class Side(TorchSide):
    @staticmethod
    def cannot(workload, what):
        lateral = any(layer[0] == "recurrent" for layer in workload["layers"])
        if what == "train" and workload["surrogate"] != "triangle":
            return f"has no {workload['surrogate']} surrogate"
        if what == "train" and workload["detach"] != lateral:
            return f"has no {'detached' if workload['detach'] else 'attached'} reset for such neurons"
        return None

    def neuron(self, tau, theta):
        return Spikes(LIF(parameters(tau, theta), dt=DT))

    def chain(self, layers):
        """Linear layers in front of recurrent neurons become part of them: Norse's have input weights of their own."""
        kinds = [layer[0] for layer in layers]
        if "recurrent" not in kinds:
            return super().chain(layers)
        k = kinds.index("recurrent")
        (_, before, channels, _, _), (_, _, tau, theta) = layers[k - 1], layers[k]
        inner = LIFRecurrent(before, channels, parameters(tau, theta), autapses=True, dt=DT)
        for weight in (inner.input_weights, inner.recurrent_weights):
            self._own(weight, lambda w: w.T, lambda w: w.T)
        self.neurons.append(Spikes(inner))
        return nn.Sequential(self.chain(layers[: k - 1]), self.neurons[-1], self.chain(layers[k + 1 :]))
