"""SpikingJelly in multi-step mode: layers over all steps at once, neurons in their own loop over time."""

import sys
from importlib import metadata

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from .torch_network import TorchSide

SURROGATES = {"arctan": lambda: surrogate.ATan(2.0), "triangle": lambda: surrogate.PiecewiseQuadratic(1.0)}


def load(threads):
    torch.set_num_threads(threads)
    versions = {name: metadata.version(name) for name in ("spikingjelly", "torch", "numpy")}
    return versions | {"python": sys.version.split()[0]}


class Lateral(nn.Module):
    """Neurons that feed their spikes back to themselves a step later."""

    def __init__(self, lateral, node):
        super().__init__()
        self.lateral = lateral
        self.loop = layer.ElementWiseRecurrentContainer(node, lambda s, x: x + self.lateral(s), step_mode="m")

    def forward(self, x):
        return self.loop(x)


class Side(TorchSide):
    @staticmethod
    def cannot(workload, what):
        return None

    def stateless(self, kind, *arguments, **options):
        made = getattr(layer, kind)(*arguments, **options, step_mode="m")
        return made, made

    def neuron(self, tau, theta, step_mode="m"):
        return neuron.LIFNode(
            tau, True, theta, 0.0, SURROGATES[self.workload["surrogate"]](), self.workload["detach"],
            step_mode=step_mode,
        )  # fmt: skip

    def recurrent(self, lateral, tau, theta):
        return Lateral(lateral, self.neuron(tau, theta, step_mode="s"))

    def reset(self):
        functional.reset_net(self.net)
