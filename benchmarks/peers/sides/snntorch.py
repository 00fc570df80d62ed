"""snnTorch: layers over all steps at once, which is faster than its usual loop, and a loop over time for its neurons.

Its Leaky does not scale the input by 1/tau. The neurons here do, in front of it. Its reset is detached when it comes
with the next step (its default) and attached otherwise; to 0 both are numsnn's.
"""

import snntorch
import torch
from snntorch import surrogate
from torch import nn

from . import torch_network
from .torch_network import Meter, TorchSide, use
from .torch_training import TorchTraining

__all__ = ["Meter", "Side", "Training", "load", "use"]


def load(threads, device):
    return torch_network.load(threads, device, "snntorch")


class Leaky(nn.Module):
    """Leaky neurons for all steps, with lateral weights or without."""

    def __init__(self, tau, theta, detach, lateral=None):
        super().__init__()
        self.gain, self.lateral = 1 / tau, lateral
        self.neuron = snntorch.Leaky(
            1 - 1 / tau, theta, surrogate.atan(2.0), reset_mechanism="zero", reset_delay=detach
        )

    def forward(self, x):
        current = x * self.gain
        potential, spikes = torch.zeros_like(x[0]), []
        for t in range(len(x)):
            i = current[t]
            if self.lateral is not None and spikes:
                i = i + self.gain * self.lateral(spikes[-1])
            s, potential = self.neuron(i, potential)
            spikes.append(s)
        return torch.stack(spikes)


class Side(TorchSide):
    @staticmethod
    def cannot(workload, what):
        if what == "train" and workload["surrogate"] != "arctan":
            return f"has no {workload['surrogate']} surrogate"
        return None

    def neuron(self, tau, theta):
        return Leaky(tau, theta, self.workload["detach"])

    def recurrent(self, lateral, tau, theta):
        return Leaky(tau, theta, self.workload["detach"], lateral)


class Training(TorchTraining):
    Side = Side
