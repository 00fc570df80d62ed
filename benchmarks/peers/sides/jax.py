"""Plain JAX, which is what Spyx compiles to: convolutions over all steps at once, neurons by `lax.scan`, everything in
one compiled function. `jax_unrolled` is the same with eight time steps per turn of the loop."""

import gc
import sys
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np

from numsnn.measure import host

DENSITIES = {"arctan": lambda x: 1 / (1 + (jnp.pi * x) ** 2), "triangle": lambda x: jnp.maximum(0, 1 - jnp.abs(x))}


PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "bfloat16"}


def load(threads, device):
    """XLA uses one thread per core of the process; the worker limits its cores, and the driver sets the platform."""
    if device == "cuda":
        jax.devices("cuda")  # raises an error without a CUDA device
        use("float32")
    return {name: metadata.version(name) for name in ("jax", "jaxlib", "numpy")} | {"python": sys.version.split()[0]}


def use(precision):
    jax.config.update("jax_default_matmul_precision", PRECISIONS[precision])


class Meter:
    """Times and memory on a device, see `benchmarks.peers.sides`.

    A pass waits for its end, so the host's clock is enough. The peak cannot be reset, so only a peak that is higher
    than the one before is known.
    """

    seconds, known = staticmethod(host.seconds), 0

    @staticmethod
    def resident():
        return jax.devices()[0].memory_stats()["bytes_in_use"]

    @staticmethod
    def peak():
        found = jax.devices()[0].memory_stats()["peak_bytes_in_use"]
        return found if found > Meter.known else None

    @staticmethod
    def forget_peak():
        gc.collect()
        Meter.known = jax.devices()[0].memory_stats()["peak_bytes_in_use"]


def spiking(density):
    """The step function with a surrogate gradient."""

    @jax.custom_jvp
    def spike(x):
        return (x >= 0).astype(jnp.float32)

    @spike.defjvp
    def _(primals, tangents):
        return spike(primals[0]), tangents[0] * density(primals[0])

    return spike


class Side:
    unroll = 1
    """Number of time steps that XLA compiles into one turn of the loop over time."""

    @staticmethod
    def cannot(workload, what):
        return None

    def __init__(self, workload, arrays):
        self.workload = workload
        self.spike = spiking(DENSITIES[workload["surrogate"]])
        count = sum(name[0] == "p" for name in arrays)
        self.values = [jnp.asarray(arrays[f"p{k}"]) for k in range(count)]
        norms = sum(name[0] == "m" for name in arrays)
        self.running = [(jnp.asarray(arrays[f"m{k}"]), jnp.asarray(arrays[f"v{k}"])) for k in range(norms)]
        x = arrays["x"].astype(np.float32)
        picture = workload["encoding"] == "picture"
        self.x = jnp.asarray(np.broadcast_to(x, tuple(workload["shape"])) if picture else x)
        self.y = jnp.asarray(arrays["y"])
        self._gradient = jax.jit(jax.value_and_grad(self._loss))
        self._forward = jax.jit(lambda values, running, x: self._network(values, x, running)[0])

    # --- the network -------------------------------------------------------------------------------------------------

    def _network(self, values, x, running=None):
        """The output and the neurons' spikes; running: statistics of inference, None in training."""
        values, running, spikes = iter(values), None if running is None else iter(running), []

        def chain(layers, x):
            for layer in layers:
                x = getattr(self, f"_{layer[0]}")(x, chain, values, running, spikes, *layer[1:])
            return x

        return chain(self.workload["layers"], x), spikes

    def _conv(self, x, chain, values, running, spikes, before, channels, kernel, stride, padding):
        y = jax.lax.conv_general_dilated(
            x.reshape(-1, *x.shape[2:]),
            next(values),
            (stride, stride),
            [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return y.reshape(*x.shape[:2], *y.shape[1:])

    def _norm(self, x, chain, values, running, spikes, channels):
        gamma, beta = next(values), next(values)
        mean, var = (x.mean((0, 1, 2, 3)), x.var((0, 1, 2, 3))) if running is None else next(running)
        return (x - mean) * (gamma / jnp.sqrt(var + 1e-5)) + beta

    def _linear(self, x, chain, values, running, spikes, before, features, gain, bias):
        y = x @ next(values)
        return y + next(values) if bias else y

    def _pool(self, x, chain, values, running, spikes, size):
        t, n, h, w, c = x.shape
        return x.reshape(t, n, h // size, size, w // size, size, c).mean((3, 5))

    def _max_pool(self, x, chain, values, running, spikes, size):
        t, n, h, w, c = x.shape
        windows = x.reshape(t, n, h // size, size, w // size, size, c)
        best = windows[:, :, :, 0, :, 0]
        for k in range(1, size * size):
            other = windows[:, :, :, k // size, :, k % size]
            best = jnp.where(other > best, other, best)  # the first of equal ones, as all sides have it
        return best

    def _global_pool(self, x, chain, values, running, spikes):
        return x.mean((2, 3), keepdims=True)

    def _flatten(self, x, chain, values, running, spikes, pixels):
        return x.reshape(*x.shape[:2], -1)

    def _lif(self, x, chain, values, running, spikes, tau, theta, lateral=None):
        def step(carry, i):
            v, before = carry
            current = i if lateral is None else i + before @ lateral
            u = v + (current - v) / tau
            s = self.spike(u - theta)
            reset = jax.lax.stop_gradient(s) if self.workload["detach"] else s
            return (u * (1 - reset), s if lateral is not None else before), s

        nothing = jnp.zeros_like(x[0]) if lateral is not None else jnp.zeros(())
        s = jax.lax.scan(step, (jnp.zeros_like(x[0]), nothing), x, unroll=self.unroll)[1]
        spikes.append(s)
        return s

    def _recurrent(self, x, chain, values, running, spikes, channels, tau, theta):
        return self._lif(x, chain, values, running, spikes, tau, theta, next(values))

    def _residual(self, x, chain, values, running, spikes, branch, shortcut):
        main = chain(branch, x)
        return main + chain(shortcut, x)

    # --- passes ------------------------------------------------------------------------------------------------------

    def _loss(self, values, x, y):
        z = self._network(values, x)[0]
        if self.workload["loss"] == "sum":
            return z.sum()
        return -jax.nn.log_softmax(z.mean(0))[jnp.arange(len(y)), y].mean()

    def train(self):
        jax.block_until_ready(self._gradient(self.values, self.x, self.y))

    def infer(self):
        jax.block_until_ready(self._forward(self.values, self.running, self.x))

    def outcome(self, training, g=None):
        if training:

            def projected(values, x, g):
                z, spikes = self._network(values, x)
                return (z * g).sum(), (z, spikes)

            gradients, (z, spikes) = jax.jit(jax.grad(projected, has_aux=True))(self.values, self.x, g)
        else:
            z, spikes = jax.jit(lambda values, x, r: self._network(values, x, r))(self.values, self.x, self.running)
            gradients = []
        found = {"z": np.asarray(z)}
        found |= {f"s{k}": np.asarray(s).astype(np.uint8) for k, s in enumerate(spikes)}
        return found | {f"p{k}": np.asarray(value) for k, value in enumerate(gradients)}
