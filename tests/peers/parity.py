"""The same network in numsnn and in a peer: what is drawn, how both are run, and how far they may differ.

A network here is one or two dense spiking layers, x -> w1, b1 -> neurons -> w2, b2 -> neurons. Its loss is the sum of g
times the spikes that come out, for a random g. Everything is float32. Arrays have numsnn's layout: ``[T, N, C]``, and
``[in, out]`` for weights. The forward and backward pass of the peer are its own code and torch's autograd. The tests
write in torch only the weights around the neurons and, if the peer lacks a surrogate, the density of that surrogate.

Spikes have to be equal. A potential that lies nearer to its threshold than rounding can tell may fall on either side.
Such *ties* are counted and must be rare. A sample in which a tie changed a spike takes no part in what follows.
"""

from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise

import numpy as np

import numsnn as snn
from numsnn.layers import TRAINING

EPS = float(np.finfo(np.float32).eps)

TOLERANCE = 1e-4
"""How far gradients may differ: ||difference|| <= TOLERANCE ||gradient||, and for every entry
|difference| <= TOLERANCE max(|entry|, floor)."""

FLOOR = 0.05
"""The floor of an entry, as a share of the largest entry of its array. Sums of hundreds of terms of either sign, added
in another order, differ by about 1e-6 of the largest entry, however small they are. A gradient that is one number for a
whole layer is such a sum over the layer's channels; its floor, also that of its norm, is this share of the sum of the
channels' magnitudes."""

ROUNDINGS = 16
"""The number of roundings, of eps/2 each, between a current and the sign of u - theta, in both programs together. In
each program leak, gain, charge, reset and comparison take at most eight, including those of the leak's own value (a
logistic function or a quotient)."""

RARE = 1e-3
"""The largest share of potentials that may be ties."""


# --- what is computed ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """Numbers for a network of dense spiking layers.

    Attributes:
        x: input ``[T, N, F]``.
        g: dL/ds of the spikes that come out ``[T, N, K]``.
        weights: (weight ``[in, out]``, bias ``[out]``) of every layer.
        lateral: weights ``[C, C]`` (from, to) of recurrent neurons, or None.
    """

    x: np.ndarray
    g: np.ndarray
    weights: tuple
    lateral: np.ndarray | None = None

    def without(self, samples):
        """Return the same problem with some samples that take no part in the loss."""
        return replace(self, g=self.g * ~samples[None, :, None])


def draw(steps, gain=1.0, offset=0.0, samples=12, sizes=(10, 24, 14), lateral=0.0, seed=0):
    """Draw a problem. Its currents have a mean of about 0.3 gain + offset and a deviation of about gain; the deviation
    of its lateral weights is `lateral`."""
    rng = np.random.default_rng(seed)
    weights = tuple(
        (
            rng.normal(0, gain / np.sqrt(n if k == 0 else n / 4), (n, m)).astype(np.float32),
            rng.normal(0.3 * gain + offset, 0.1 * gain, m).astype(np.float32),
        )
        for k, (n, m) in enumerate(pairwise(sizes))
    )
    x = rng.normal(0, 1, (steps, samples, sizes[0])).astype(np.float32)
    g = rng.normal(0, 1, (steps, samples, sizes[-1])).astype(np.float32)
    between = rng.normal(0, lateral, (sizes[-1], sizes[-1])).astype(np.float32) if lateral else None
    return Problem(x, g, weights, between)


@dataclass
class Outcome:
    """What a program computed.

    Attributes:
        spikes: the spikes ``[T, N, ...]`` of every spiking layer, channels last.
        gradients: by name, in numsnn's layout and parametrisation: "x", "w1", "b1", "logit_beta1", ...
        layers: numsnn's spiking layers, if numsnn computed this.
        magnitudes: by name of each gradient that is one number for a whole layer: the sum of its channels' magnitudes.
    """

    spikes: list
    gradients: dict
    layers: list = field(default_factory=list)
    magnitudes: dict = field(default_factory=dict)


def numsnn_outcome(problem, make):
    """Run the network in numsnn; make() constructs the neurons of a layer, which must record u, v and s (with a delayed
    reset, u and s)."""
    neurons = [make() for _ in problem.weights]
    dense = [snn.Linear(*weight.shape) for weight, _ in problem.weights]
    chain = [layer for pair in zip(dense, neurons, strict=True) for layer in pair]
    net = snn.Sequential(*chain).build(problem.x.shape)
    for layer, neuron, (weight, bias) in zip(dense, neurons, problem.weights, strict=True):
        layer.weight.value[...], layer.offset.value[...] = weight, bias
        if neuron.recurrent:
            neuron.lateral.value[...] = problem.lateral
    net.forward(problem.x, TRAINING)
    gradients, magnitudes = {"x": np.array(net.backward(problem.g))}, {}
    for k, (layer, neuron) in enumerate(zip(dense, neurons, strict=True), 1):
        gradients[f"w{k}"], gradients[f"b{k}"] = layer.weight.grad.copy(), layer.offset.grad.copy()
        gradients |= {f"{p.name}{k}": p.grad.copy() for p in neuron.own_parameters()}
        for value in (neuron.leak, neuron.threshold, neuron.own_values.get("gamma")):
            if value is not None and value.parameter is not None and value.parameter.value.size == 1:
                slope = value.natural if value.kind == "positive" else value.natural * (1 - value.natural)
                magnitudes[f"{value.parameter.name}{k}"] = float(np.abs(value.gradient * slope).sum())
    return Outcome([layer.recorded["s"] for layer in neurons], gradients, neurons, magnitudes)


def torch_outcome(problem, make, dense):
    """Run the network in a peer.

    make() constructs the neurons of a layer. They turn currents ``[T, N, C]`` into spikes and, after the backward pass,
    tell the gradients of what they learn. dense converts weights between the two layouts.
    """
    import torch

    neurons = [make() for _ in problem.weights]
    x = torch.tensor(problem.x, requires_grad=True)
    weights = [
        (torch.tensor(dense(w), requires_grad=True), torch.tensor(b, requires_grad=True)) for w, b in problem.weights
    ]
    spikes, s = [], x
    for neuron, (weight, bias) in zip(neurons, weights, strict=True):
        s = neuron(torch.nn.functional.linear(s, weight, bias))
        spikes.append(s.detach().numpy())
    s.backward(torch.tensor(problem.g))
    gradients = {"x": x.grad.numpy()}
    for k, (neuron, (weight, bias)) in enumerate(zip(neurons, weights, strict=True), 1):
        gradients[f"w{k}"], gradients[f"b{k}"] = dense(weight.grad.numpy()), bias.grad.numpy()
        gradients |= {f"{name}{k}": value for name, value in neuron.gradients().items()}
    return Outcome(spikes, gradients)


# --- ties ----------------------------------------------------------------------------------------------------------


def current_error(x, weight, bias):
    """How far two sums x W + b may differ: each of two programs rounds by eps/2 once per product and once per sum."""
    x, weight, bias = (np.abs(np.asarray(a, np.float64)) for a in (x, weight, bias))
    return (len(weight) + 2) * EPS * (x @ weight + bias)


def potential_error(layer, error, extra=0.0):
    """How far two computations of a layer's potentials ``[T, N, C]`` may differ, as long as no spike differs.

    Args:
        layer: numsnn's neurons after a pass that recorded u, v and s; with a delayed reset, u and s.
        error: the same bound for the currents.
        extra: largest magnitude that only the peer's formula has in it, such as a resting potential.
    """
    u, s = (layer.recorded[key].astype(np.float64) for key in "us")
    beta, theta = np.asarray(layer.leak.natural, np.float64), np.asarray(layer.threshold.natural, np.float64)
    hard = not (layer.v_reset is None or isinstance(layer.v_reset, str))
    v = u if layer.v_reset == "delayed" else layer.recorded["v"].astype(np.float64)
    gain = 1 - beta if layer.decay_input else 1.0
    gamma = layer.own_values.get("gamma")
    gamma = None if gamma is None else np.asarray(gamma.natural, np.float64)
    found, carried, synapse = np.zeros_like(u), np.zeros_like(u[0]), np.zeros_like(u[0])
    before = np.zeros_like(u[0])
    for t in range(len(u)):
        scale = np.abs(u[t]) + 2 * np.abs(before) + theta + extra
        synapse = error[t] if gamma is None else gamma * synapse + error[t] + ROUNDINGS / 2 * EPS * scale / gain
        found[t] = beta * carried + gain * synapse + ROUNDINGS / 2 * EPS * scale
        carried = found[t] * (1 - s[t]) if hard else found[t]
        before = v[t]
    return found


@dataclass
class Ties:
    """Potentials that rounding may put on either side of an edge.

    Attributes:
        near: number of potentials that are this close to their threshold.
        flipped: number of spikes that differ.
        potentials: number of all potentials.
        spoilt: samples ``[N]`` in which a spike differs or a gradient lies at a surrogate's edge.
    """

    near: int
    flipped: int
    potentials: int
    spoilt: np.ndarray


def find_ties(problem, ours, theirs, extra=0.0):
    """Compare spikes: in every sample the first ones that differ, in time and then in depth, must be ties."""
    samples = problem.x.shape[1]
    close, differ, edges = [], [], np.zeros(samples, bool)
    inputs = problem.x
    columns = ours.layers, problem.weights, ours.spikes, theirs.spikes
    for layer, (weight, bias), mine, other in zip(*columns, strict=True):
        error = current_error(inputs, weight, bias)
        if layer.recurrent:
            error[1:] += current_error(mine[:-1], problem.lateral, 0)
        error = potential_error(layer, error, extra)
        distance = np.abs(layer.recorded["u"].astype(np.float64) - np.asarray(layer.threshold.natural, np.float64))
        assert other.shape == mine.shape
        close.append(distance <= error)
        differ.append(mine != other)
        if layer.surrogate.family == "rectangle":
            reach = np.asarray(layer.width.natural, np.float64) / 2
            edges |= (np.abs(distance - reach) <= error).any((0, 2))
        inputs = mine
    for n in range(samples):
        for t in range(len(problem.x)):
            first = next((k for k in range(len(differ)) if differ[k][t, n].any()), None)
            if first is not None:
                assert close[first][t, n][differ[first][t, n]].all(), (
                    f"sample {n}, step {t}, layer {first + 1}: a spike differs and is not a tie"
                )
                break
    near, flipped = (sum(int(a.sum()) for a in arrays) for arrays in (close, differ))
    potentials = sum(a.size for a in close)
    assert near <= RARE * potentials, f"{near} ties among {potentials} potentials"
    flips = np.any([d.any((0, 2)) for d in differ], 0)
    assert (flips | edges).sum() <= samples // 4
    return Ties(near, flipped, potentials, flips | edges)


# --- gradients -----------------------------------------------------------------------------------------------------


def difference(got, want, magnitude=0.0):
    """Relative difference of two arrays: by norm, and by entry with the floor. It is 0 if both arrays are zero."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f"{got.shape} is not {want.shape}"
    assert np.isfinite(got).all() and np.isfinite(want).all()
    largest = np.abs(want).max(initial=0)
    if largest == 0:
        return (0.0, 0.0) if not got.any() else (np.inf, np.inf)
    entry = (np.abs(got - want) / np.maximum(np.abs(want), FLOOR * max(largest, magnitude))).max()
    return float(np.linalg.norm(got - want) / max(np.linalg.norm(want), FLOOR * magnitude)), float(entry)


def compare_gradients(ours, theirs, factors=()):
    """Return the worst differences, by norm and by entry, for every name.

    factors tell how many times larger the peer's surrogate is, layer by layer; a gradient gets the factor of every
    layer that it passes.
    """
    names = ours.gradients.keys()
    assert names == theirs.gradients.keys(), f"{sorted(names)} is not {sorted(theirs.gradients)}"
    found = {}
    for name, value in ours.gradients.items():
        reached = int(name[-1]) if name[-1].isdigit() else 1
        want = theirs.gradients[name] / np.prod(factors[reached - 1 :])
        found[name] = difference(value, want, ours.magnitudes.get(name, 0.0))
    return found


def assert_agree(differences, tolerance=TOLERANCE):
    """Assert that all differences lie within the tolerance."""
    worst = {name: max(pair) for name, pair in differences.items()}
    wrong = {name: f"{value:.1e}" for name, value in worst.items() if not value <= tolerance}
    assert not wrong, f"gradients differ, relatively, by {wrong}"


# --- surrogates in torch, for peers that take a user's surrogate -----------------------------------------------------


class OwnSurrogate:
    """A surrogate of numsnn's as a torch callable x -> spikes. It has one width per channel and the gradient of the
    width (docs/method.md, S1, P1)."""

    def __init__(self, family, width):
        self.family, self.start, self.width = family, width, None

    def __call__(self, x):
        import torch

        if self.width is None:
            self.width = torch.full(x.shape[-1:], self.start, requires_grad=True)
        return _spike_function().apply(x, self.width, self.family)

    def gradients(self):
        """Return the gradient of the logarithm of the width."""
        return {"log_width": self.width.grad.numpy() * np.float32(self.start)}


@cache
def _spike_function():
    import torch

    density = {
        "rectangle": lambda z: (z.abs() <= 0.5).float(),
        "triangle": lambda z: torch.clamp(1 - z.abs(), min=0),
        "logistic": lambda z: torch.sigmoid(z) * torch.sigmoid(-z),
        "arctan": lambda z: 1 / (torch.pi * (1 + z * z)),
        "gaussian": lambda z: torch.exp(-z * z / 2) / (2 * torch.pi) ** 0.5,
        "laplace": lambda z: torch.exp(-z.abs()) / 2,
        "fast_sigmoid": lambda z: 1 / (2 * (1 + z.abs()) ** 2),
    }

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, width, family):
            ctx.save_for_backward(x, width)
            ctx.family = family
            return (x >= 0).to(x.dtype)

        @staticmethod
        def backward(ctx, g):
            x, width = ctx.saved_tensors
            share = g * density[ctx.family](x / width) / width
            return share, -(share * x / width).flatten(0, -2).sum(0), None

    return Spike
