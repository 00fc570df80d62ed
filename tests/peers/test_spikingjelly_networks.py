"""Convolutional networks against SpikingJelly in multi-step mode, with normalisation in training mode.

Batch normalisation makes every sample depend on all others, so one flipped spike would change everything. Therefore no
potential may come near its threshold here, and spikes are equal without exception. Networks are drawn until this holds.
CLEAR, the distance that a potential has to keep, is far more than the difference of two float32 computations of it
(about 1e-6).
"""

from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch", reason="the parity tests need PyTorch: pip install torch")
pytest.importorskip("spikingjelly.activation_based", reason="SpikingJelly is missing: pip install spikingjelly")

import torch
from parity import EPS, TOLERANCE, assert_agree, difference
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based import layer as sj

import numsnn as snn
from numsnn.layers import TRAINING

pytestmark = pytest.mark.peers

CLEAR = 2e-5
"""The distance that every potential keeps from its threshold."""

SEEDS = 50
"""The number of networks that may be drawn until one keeps that distance."""

SHAPE = T, N, H, W, C = 4, 6, 8, 10, 2
CLASSES = 5


def lif(**options):
    return snn.LIF(
        surrogate=snn.Surrogate("arctan", 1 / np.pi), record=("u", "s"), **{"tau": 2.0, "detach_reset": True} | options
    )


def lif_node(theta=1.0):
    return neuron.LIFNode(2.0, False, theta, 0.0, surrogate.ATan(2.0), True, step_mode="m")


def draw_pair(layers, layout, training=True):
    """Return the first pair whose potentials all keep away from their thresholds."""
    for seed in range(SEEDS):
        pair = Pair(*layers(), layout, seed)
        pair.mine.forward(pair.x, snn.Mode(training=training))
        if pair.margin() > CLEAR:
            return pair
    raise AssertionError(f"{SEEDS} networks, and in each a potential within {CLEAR} of its threshold")


class Pair:
    """The same network in both programs.

    Args:
        mine, theirs: the layers in numsnn and in SpikingJelly, one for one.
        layout: the fixture.
        seed: seed of weights, input and gradient.
    """

    def __init__(self, mine, theirs, layout, seed):
        self.layout = layout
        self.rng = np.random.default_rng(seed)
        self.mine, self.theirs = snn.Sequential(*mine).build(SHAPE, seed), torch.nn.Sequential(*theirs)
        self.x = self.rng.normal(0.3, 1, SHAPE).astype(np.float32)
        self.parameters = dict(self._match())

    def _match(self):
        """Give both networks the same weights, and yield (name, (here, there, back, factor)) for every parameter.

        here is numsnn's parameter, there SpikingJelly's, and back converts from its layout to numsnn's. The value of
        there is that of here times the factor, and the gradient of here is that of there times the factor.
        """
        picture = None
        for mine, theirs in zip(self.mine.layers, self.theirs, strict=True):
            if isinstance(mine, snn.Flatten):
                picture = mine.input_shape[2:4]
            entries = {}
            if isinstance(mine, snn.Conv2d):
                entries["weight"] = mine.weight, theirs.weight, self.layout.conv_to_torch, self.layout.conv_from_torch
            if isinstance(mine, snn.Linear):
                size = {"height": picture[0], "width": picture[1]}
                there, back = (
                    partial(convert, **size)
                    for convert in (self.layout.flattened_to_torch, self.layout.flattened_from_torch)
                )
                entries["weight"] = mine.weight, theirs.weight, there, back
                entries["bias"] = mine.offset, theirs.bias, np.copy, np.copy
            if isinstance(mine, snn.BatchNorm):
                entries["gamma"] = mine.gamma, theirs.weight, np.copy, np.copy
                entries["beta"] = mine.beta, theirs.bias, np.copy, np.copy
            for name, (here, there, to, back) in entries.items():
                centre = {"gamma": 1.0, "beta": 0.4}.get(name, 0.0)
                if name != "weight":
                    here.value[...] = self.rng.normal(centre, 0.1, here.value.shape)
                factor = np.float32(mine.v_threshold if name == "gamma" else 1)
                with torch.no_grad():
                    there.copy_(torch.tensor(to(here.value) * factor))
                yield f"{mine.path}.{name}", (here, there, back, factor)

    @property
    def neurons(self):
        return [layer for layer in self.mine.walk() if isinstance(layer, snn.LIF)]

    def margin(self):
        """Return the distance of the nearest potential from its threshold in numsnn's last pass."""
        return min(np.abs(layer.recorded["u"] - layer.v_threshold).min() for layer in self.neurons)

    def run(self, loss_mine, loss_theirs):
        """Run the forward and backward pass of both networks.

        loss_mine turns an output, channels last, into (loss, gradient); loss_theirs turns one, channels first, into a
        loss.
        """
        self.there = torch.tensor(self.layout.channels_first(self.x), requires_grad=True)
        spikes = []
        hooks = [
            node.register_forward_hook(lambda module, inputs, output: spikes.append(output.detach().numpy()))
            for node in self.theirs
            if isinstance(node, neuron.LIFNode)
        ]
        functional.reset_net(self.theirs)
        y = self.theirs(self.there)
        loss = loss_theirs(y)
        loss.backward()
        for hook in hooks:
            hook.remove()
        value, dy = loss_mine(self.mine.forward(self.x, TRAINING))
        self.dx = np.array(self.mine.backward(dy))
        for layer, other in zip(self.neurons, spikes, strict=True):
            assert 0.05 < layer.recorded["s"].mean() < 0.6
            np.testing.assert_array_equal(layer.recorded["s"], self.layout.channels_last(other), err_msg=layer.path)
        self.potentials = sum(layer.recorded["u"].size for layer in self.neurons)
        assert abs(value - loss.item()) <= 1e-5 * max(1.0, abs(loss.item()))
        return y

    def gradients(self):
        """Return the differences of all gradients."""
        found = {"x": difference(self.dx, self.layout.channels_last(self.there.grad.numpy()))}
        for name, (here, there, back, factor) in self.parameters.items():
            found[name] = difference(here.grad, back(there.grad.numpy()) * factor)
        return found


def projected(g, layout):
    """Return the loss sum(g y) for numsnn and for SpikingJelly."""
    there = torch.tensor(layout.channels_first(g))
    return lambda y: (float((g * y).sum(dtype=np.float64)), g), lambda y: (there * y).sum()


@pytest.mark.parametrize("stride", [1, 2], ids=["stride 1", "stride 2"])
def test_two_normalised_layers(layout, report, stride):
    """Convolution, normalisation and neurons, twice: spikes, all gradients and running statistics agree."""

    def layers():
        return (
            [
                snn.Conv2d(C, 6, 3, padding=1),
                snn.BatchNorm(6),
                lif(),
                snn.Conv2d(6, 4, 3, stride=stride, padding=1),
                snn.BatchNorm(4),
                lif(),
            ],
            [
                sj.Conv2d(C, 6, 3, padding=1, bias=False, step_mode="m"),
                sj.BatchNorm2d(6, step_mode="m"),
                lif_node(),
                sj.Conv2d(6, 4, 3, stride, 1, bias=False, step_mode="m"),
                sj.BatchNorm2d(4, step_mode="m"),
                lif_node(),
            ],
        )

    pair = draw_pair(layers, layout)
    g = pair.rng.normal(0, 1, pair.mine.output_shape).astype(np.float32)
    pair.run(*projected(g, layout))
    differences = pair.gradients() | running_statistics(pair)
    report(differences, potentials=pair.potentials)
    assert_agree(differences)


def running_statistics(pair):
    """Return the differences of the running statistics.

    Running means are the same. SpikingJelly's running variance takes in the unbiased variance of the batch, numsnn's
    the biased one. With n numbers per channel and momentum m, SpikingJelly's is (1 - m) + n/(n-1) (numsnn's - (1 - m)),
    because both begin with 1.
    """
    found = {}
    for mine, theirs in zip(pair.mine.layers, pair.theirs, strict=True):
        if isinstance(mine, snn.BatchNorm):
            n, kept = np.prod(mine.input_shape[:-1]), 1 - mine.momentum
            var = kept + n / (n - 1) * (mine.running["var"].astype(np.float64) - kept)
            found[f"{mine.path}.mean"] = difference(mine.running["mean"], theirs.running_mean.numpy())
            found[f"{mine.path}.var"] = difference(var, theirs.running_var.numpy())
            assert np.abs(mine.running["var"] - theirs.running_var.numpy()).max() > 10 * EPS
    return found


def test_inference_is_the_same_with_the_same_statistics(layout, report):
    """Running statistics are carried over without a change: the same numbers enter the same formula."""
    rng = np.random.default_rng(0)
    mean, var = rng.normal(0, 0.5, 6), rng.uniform(0.5, 3, 6)

    def layers():
        norm, theirs = snn.BatchNorm(6).build((T, N, H, W, 6)), sj.BatchNorm2d(6, step_mode="m")
        norm.set_statistic("mean", mean)
        norm.set_statistic("var", var)
        theirs.running_mean.copy_(torch.tensor(norm.running["mean"]))
        theirs.running_var.copy_(torch.tensor(norm.running["var"]))
        return (
            [snn.Conv2d(C, 6, 3, padding=1), norm, lif()],
            [sj.Conv2d(C, 6, 3, padding=1, bias=False, step_mode="m"), theirs, lif_node()],
        )

    pair = draw_pair(layers, layout, training=False)
    pair.theirs.eval()
    s = pair.mine(pair.x)
    there = pair.theirs(torch.tensor(layout.channels_first(pair.x))).detach().numpy()
    assert 0.05 < s.mean() < 0.6
    np.testing.assert_array_equal(s, layout.channels_last(there))
    report({}, potentials=s.size)


def test_threshold_dependent_normalisation(layout, report):
    """SpikingJelly's tdBN puts the threshold into the weight that it starts from (alpha v_th), numsnn keeps it as a
    factor of gamma. So SpikingJelly's weight is threshold times gamma, and numsnn's gradient is SpikingJelly's times
    the threshold."""
    theta = 0.6

    def layers():
        return (
            [snn.Conv2d(C, 6, 3, padding=1), snn.BatchNorm(6, v_threshold=theta), lif(v_threshold=theta)],
            [
                sj.Conv2d(C, 6, 3, padding=1, bias=False, step_mode="m"),
                sj.ThresholdDependentBatchNorm2d(1.0, theta, 6),
                lif_node(theta),
            ],
        )

    pair = draw_pair(layers, layout)
    g = pair.rng.normal(0, 1, pair.mine.output_shape).astype(np.float32)
    pair.run(*projected(g, layout))
    differences = pair.gradients()
    report(differences, potentials=pair.potentials)
    assert_agree(differences)
    fresh = sj.ThresholdDependentBatchNorm2d(1.0, theta, 6)
    np.testing.assert_array_equal(fresh.weight.detach().numpy(), np.full(6, theta, np.float32))


def small_network(pool, their_pool):
    mine = [
        snn.Conv2d(C, 6, 3, padding=1),
        snn.BatchNorm(6),
        lif(),
        pool(2),
        snn.Conv2d(6, 8, 3, padding=1),
        snn.BatchNorm(8),
        lif(),
        pool(2),
        snn.Flatten(),
        snn.Linear(8 * 2 * 2, CLASSES),
    ]
    theirs = [
        sj.Conv2d(C, 6, 3, padding=1, bias=False, step_mode="m"),
        sj.BatchNorm2d(6, step_mode="m"),
        lif_node(),
        their_pool(2, step_mode="m"),
        sj.Conv2d(6, 8, 3, padding=1, bias=False, step_mode="m"),
        sj.BatchNorm2d(8, step_mode="m"),
        lif_node(),
        their_pool(2, step_mode="m"),
        sj.Flatten(step_mode="m"),
        sj.Linear(8 * 2 * 2, CLASSES, step_mode="m"),
    ]
    return mine, theirs


@pytest.mark.parametrize("smoothing", [0.0, 0.1], ids=["plain", "smoothed"])
@pytest.mark.parametrize("pool", ["average", "maximum"])
def test_one_step_of_training(layout, report, pool, smoothing):
    """The weights of a whole network agree after one step of SGD on the cross-entropy of the mean over time. Of equal
    spikes in a window, maximum pooling takes the first in both programs, row by row."""
    kinds = (snn.AvgPool2d, sj.AvgPool2d) if pool == "average" else (snn.MaxPool2d, sj.MaxPool2d)
    pair = draw_pair(lambda: small_network(*kinds), layout)
    labels, rate = pair.rng.integers(0, CLASSES, N), 0.5
    criterion = snn.losses.RateCrossEntropy(label_smoothing=smoothing)

    def mine(z):
        losses, dz = criterion(z, labels, pair.mine.kernels)
        return float(losses.mean(dtype=np.float64)), dz

    def theirs(y):
        return torch.nn.functional.cross_entropy(y.mean(0), torch.tensor(labels), label_smoothing=smoothing)

    optimizer = torch.optim.SGD(pair.theirs.parameters(), lr=rate, momentum=0.9)
    pair.run(mine, theirs)
    differences = pair.gradients() | running_statistics(pair)
    before = {name: here.value.copy() for name, (here, *_) in pair.parameters.items()}
    optimizer.step()
    snn.optim.SGD(rate, momentum=0.9).step(pair.mine.kernels, pair.mine.parameters())
    for name, (here, there, back, _) in pair.parameters.items():
        after, moved = back(there.detach().numpy()), np.abs(here.value - before[name]).max()
        assert moved > 1e-3
        allowed = TOLERANCE * moved + EPS * np.abs(after)
        assert (np.abs(here.value - after) <= allowed).all(), name
        differences[f"{name} after"] = difference(here.value, after)
    report(differences, potentials=pair.potentials)
    assert_agree(differences)
