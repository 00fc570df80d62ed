"""jaxpike: layers without state over all steps at once, neurons by its `unroll`, everything in one compiled function.

Gradients always pass through the reset of its neurons. It has no normalisation, so the one here is a layer of the
benchmark, with the methods that jaxpike asks of a layer.
"""

from importlib import metadata

import equinox as eqx
import jax as xla
import jax.numpy as jnp
import jaxpike
import numpy as np

from . import jax
from .jax import Meter, use

__all__ = ["Meter", "Side", "load", "use"]

SURROGATES = {"arctan": lambda: jaxpike.ATan(2.0), "triangle": lambda: jaxpike.Triangular(1.0)}

KEY = xla.random.key(0)
"""For the first weights of layers, in whose place come those of the workload."""


def load(threads, device):
    return {name: metadata.version(name) for name in ("jaxpike", "equinox")} | jax.load(threads, device)


class Norm(eqx.Module):
    """Batch normalisation of all steps, with the mean and variance of its input or, in inference, with given ones."""

    scale: xla.Array
    offset: xla.Array
    running: tuple | None

    def init_state(self, shape):
        return None

    def out_shape(self, shape):
        return shape

    def parallel_apply(self, state, x):
        axes = tuple(range(x.ndim - 1))
        mean, var = (x.mean(axes), x.var(axes)) if self.running is None else self.running
        return None, (x - mean) * (self.scale / jnp.sqrt(var + 1e-5)) + self.offset


class Side:
    @staticmethod
    def cannot(workload, what):
        for kind, *numbers in workload["layers"]:
            if kind == "residual":
                return "adds branches step by step, and a normalisation between them needs all steps"
            if kind == "conv" and numbers[3] > 1 and numbers[4]:
                return "pads the input of a strided convolution otherwise"
        if what == "train" and workload["detach"]:
            return "has no detached reset"
        return None

    def __init__(self, workload, arrays):
        self.workload = workload
        x = arrays["x"].astype(np.float32)
        picture = workload["encoding"] == "picture"
        self.x = jnp.asarray(np.broadcast_to(x, tuple(workload["shape"])) if picture else x)
        self.y = jnp.asarray(arrays["y"])
        norms = sum(name[0] == "m" for name in arrays)
        running = [(jnp.asarray(arrays[f"m{k}"]), jnp.asarray(arrays[f"v{k}"])) for k in range(norms)]
        self.net, self.folded = self._network(arrays, None), self._network(arrays, running)
        self.weights, self.rest = eqx.partition(
            self.net,
            xla.tree.map(lambda part: not _neuron(part) and eqx.is_inexact_array(part), self.net, is_leaf=_neuron),
        )
        self._gradient = xla.jit(xla.value_and_grad(self._loss))
        self._forward = eqx.filter_jit(lambda net, x: jaxpike.unroll(net, x)[0])

    # --- the network -------------------------------------------------------------------------------------------------

    def _network(self, arrays, running):
        """The network with these numbers; running: statistics of inference, None in training."""
        values = iter([jnp.asarray(arrays[f"p{k}"]) for k in range(sum(name[0] == "p" for name in arrays))])
        running = None if running is None else iter(running)
        layers = self.workload["layers"]
        return jaxpike.Sequential(*[getattr(self, f"_{kind}")(values, running, *numbers) for kind, *numbers in layers])

    def _conv(self, values, running, before, channels, kernel, stride, padding):
        how = {"stride": stride, "padding": "SAME" if padding else "VALID", "use_bias": False}
        return _with(jaxpike.Conv2d(before, channels, kernel, key=KEY, **how), weight=next(values))

    def _norm(self, values, running, channels):
        return Norm(next(values), next(values), None if running is None else next(running))

    def _linear(self, values, running, before, features, gain, bias):
        layer = _with(jaxpike.Dense(before, features, key=KEY, use_bias=bias), weight=next(values).T)
        return _with(layer, bias=next(values)) if bias else layer

    def _pool(self, values, running, size):
        return jaxpike.Pool2d(size)

    def _max_pool(self, values, running, size):
        return jaxpike.Pool2d(size, mode="max")

    def _flatten(self, values, running, pixels):
        return jaxpike.Flatten()

    def _lif(self, values, running, tau, theta):
        """Neurons whose factor exp(-1 / tau) is 1 - 1 / tau of the workload."""
        surrogate = SURROGATES[self.workload["surrogate"]]()
        return jaxpike.LIF(-1 / np.log1p(-1 / tau), threshold=theta, reset="zero", surrogate=surrogate)

    def _recurrent(self, values, running, channels, tau, theta):
        """Neurons and their lateral weights, a graph with a cycle, which takes a time step."""
        nodes = {"neurons": self._lif(values, running, tau, theta)}
        nodes["lateral"] = self._linear(values, running, channels, channels, 1.0, False)
        edges = (jaxpike.graph.INPUT, "neurons"), ("neurons", "lateral"), ("lateral", "neurons")
        return jaxpike.Graph(nodes, edges, "neurons")

    # --- passes ------------------------------------------------------------------------------------------------------

    def _loss(self, weights, x, y):
        z = jaxpike.unroll(eqx.combine(weights, self.rest), x)[0]
        return z.sum() if self.workload["loss"] == "sum" else jaxpike.cross_entropy(jaxpike.spike_rate(z), y)

    def train(self):
        xla.block_until_ready(self._gradient(self.weights, self.x, self.y))

    def infer(self):
        xla.block_until_ready(self._forward(self.folded, self.x))

    def outcome(self, training, g=None):
        net = self.net if training else self.folded
        found = {"z": np.asarray(self._forward(net, self.x))}
        found |= {f"s{k}": np.asarray(s).astype(np.uint8) for k, s in enumerate(_spikes(net, self.x))}
        if training:
            gradients = xla.jit(
                xla.grad(lambda weights: (jaxpike.unroll(eqx.combine(weights, self.rest), self.x)[0] * g).sum())
            )(self.weights)
            # the leaves come in the order of the layers; the matrix of a linear layer is [out, in]
            leaves = [np.asarray(leaf) for leaf in xla.tree.leaves(gradients)]
            found |= {f"p{k}": leaf.T if leaf.ndim == 2 else leaf for k, leaf in enumerate(leaves)}
        return found


def _neuron(part):
    return isinstance(part, jaxpike.LIF)


def _with(layer, **values):
    """The layer with these arrays as its fields."""
    names = list(values)
    return eqx.tree_at(lambda layer: [getattr(layer, name) for name in names], layer, list(values.values()))


@eqx.filter_jit
def _spikes(net, x):
    """The spikes of all layers of neurons: `unroll` of the whole network tells those of the last layer alone."""
    found = []
    for layer in net.layers:
        if isinstance(layer, jaxpike.LIF | jaxpike.Graph):
            x = jaxpike.unroll(layer, x)[0]
            found.append(x)
        else:
            x = layer.parallel_apply(None, x)[1]
    return found
