"""SpikingJelly in multi-step mode: layers over all steps at once, neurons in their own loop over time, which on a
device is computed by the fastest installed backend."""

from importlib.util import find_spec

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from . import torch_network
from .torch_network import Meter, TorchSide, use
from .torch_training import TorchTraining

__all__ = ["Meter", "Neurons", "Side", "Training", "load", "use"]

BACKENDS = "triton", "cupy"
"""Backends for a device, the fastest first, for versions before 2; later versions choose by themselves."""

SURROGATES = {"arctan": lambda: surrogate.ATan(2.0), "triangle": lambda: surrogate.PiecewiseQuadratic(1.0)}


def load(threads, device):
    triton = ("triton",) if device == "cuda" and find_spec("triton") else ()
    versions = torch_network.load(threads, device, "spikingjelly", *triton)
    if device == "cuda" and hasattr(functional, "neuron_implementation"):
        versions["neurons by"] = functional.neuron_implementation("lif", torch.device(device))["implementation"]
    return versions


def fastest(node):
    """The node, computed by the fastest backend it has."""
    for backend in BACKENDS if TorchSide.device == "cuda" else ():
        if backend in getattr(node, "supported_backends", ()) and find_spec(backend):
            node.backend = backend
            break
    return node


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
        node = neuron.LIFNode(
            tau,
            True,
            theta,
            0.0,
            SURROGATES[self.workload["surrogate"]](),
            self.workload["detach"],
            step_mode=step_mode,
        )
        return fastest(node)

    def recurrent(self, lateral, tau, theta):
        return Lateral(lateral, self.neuron(tau, theta, step_mode="s"))

    def reset(self):
        functional.reset_net(self.net)


class Training(TorchTraining):
    Side = Side


class Neurons:
    """One layer of neurons alone, on a device: what `numsnn.measure.neurons` is for numsnn.

    Args:
        workload: plain data, its shape counts.
        arrays: none.
    """

    def __init__(self, workload, arrays):
        self.node = fastest(neuron.LIFNode(2.0, True, 1.0, 0.0, surrogate.ATan(2.0), True, step_mode="m"))
        self.x, self.dy = (torch.randn(workload["shape"], device=TorchSide.device) for _ in range(2))
        self.x.requires_grad_()
        self.forward()

    def forward(self):
        self.node.reset()
        self.s = self.node(self.x)

    def inference(self):
        self.node.reset()
        with torch.no_grad():
            self.node(self.x)

    def backward(self):
        torch.autograd.grad(self.s, self.x, self.dy, retain_graph=True)
