"""A network with the options of one row (`neuron_options`), its gradients, and what differences say of these."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from neuron_options import CHANNELS, CLASSES, Impossible, make

import numsnn as snn
from numsnn.diagnostics import gradients
from numsnn.layers import TRAINING
from numsnn.losses import Loss


class Counted(Loss):
    """A loss with a mask and weights of samples."""

    def __init__(self, loss, mask, weights):
        self.loss, self.mask, self.weights = loss, mask, weights

    def __call__(self, z, y, kernels=None, lengths=None, mask=None, weights=None, dtype=np.float32):
        return self.loss(z, y, kernels, lengths, self.mask, self.weights, dtype)

    def pieces(self, kernels, z):
        return self.loss.pieces(kernels, z)


class Case(NamedTuple):
    """A network of a row, with all that a pass needs: input, targets, loss, settings, and the input of an earlier pass
    from whose state the pass goes on, or None."""

    net: Any
    x: Any
    y: Any
    loss: Any
    mode: Any
    before: Any

    @classmethod
    def of(cls, row, device, seed=0):
        """Make the network of a row in float64. It has seen two batches, so that statistics are numbers of their own.

        Args:
            row: a complete row.
            device: where the network computes. Its numbers come from the reference in any case.
            seed: the input and the numbers of the parameters are drawn with it.
        """
        rng = np.random.default_rng(seed)
        steps, samples, places = row["steps"], row["samples"], row["places"]
        layers = {"norm": make("norm", row), "neuron": _neuron(row), "penalty": make("penalty", row)}
        layers["pool"] = None if places is None else snn.GlobalAvgPool2d()
        layers["readout"] = make("readout", row)
        order = ("penalty", "norm", "neuron") if row["penalty"] == "Divergence" else ("norm", "neuron", "penalty")
        chain = [layers[name] for name in (*order, "pool", "readout") if layers[name] is not None]
        net = snn.Sequential(*chain).to("reference", "float64")
        shape = (steps, samples, *(places or ()), CHANNELS)
        net.build(shape, seed)
        for _, parameter in net.parameters():
            parameter.value[...] += rng.normal(0, 0.1, parameter.value.shape)
        x, *earlier = rng.normal(0.7, 0.7, (4, *shape))
        for batch in earlier[1:]:
            net.forward(batch, TRAINING)
        if row["frozen"] is not None:
            if layers[row["frozen"]] is None:
                raise Impossible(f"there is no {row['frozen']} to freeze")
            layers[row["frozen"]].freeze()
        lengths = rng.integers(1, steps + 1, samples) if row["lengths"] else None
        mask = rng.random((steps, samples)) < 0.7 if row["mask"] else None
        if mask is not None:
            mask[0] = True
        loss = Counted(make("loss", row), mask, rng.uniform(0.5, 2, samples) if row["weights"] else None)
        mode = snn.Mode(training=True, store=True, relaxed=True, lengths=lengths, inspect=row["inspect"])
        y = _targets(row["targets"], rng, steps, samples)
        return cls(net.to(device), x, y, loss, mode, earlier[0] if row["carried"] else None)

    def gradients(self):
        """The losses, and the gradients of the input and of all parameters, on the host by name."""
        net, mode = self.net, self.mode
        k = net.kernels
        if self.before is not None:
            mode = replace(mode, carried={})
            net.forward(k.from_host(self.before, net.dtype), replace(mode, store=False, lengths=None))
        z = net.forward(k.from_host(self.x, net.dtype), mode)
        losses, dz = self.loss(z, self.y, k, mode.lengths)
        found = {"losses": losses, "input": net.backward(dz)} | {name: p.grad for name, p in net.trainable()}
        return {name: k.to_host(array).copy() for name, array in found.items()}

    def disagreements(self):
        """The difference between the gradient and differences along a random direction of every array, by name; NaN
        where every direction meets a kink. The gradient is that of a second pass, which must not add to the first."""
        checker = _Checker(self)
        checker.gradients()
        _, targets = checker.gradients()
        checker.keep_resets()
        return {name: checker.check_direction(array, gradient) for name, array, gradient in targets}


def difference(row, device):
    """The largest difference between the gradients of a device and of the reference, relative to each array's largest
    entry."""
    got, want = (Case.of(row, target).gradients() for target in (device, "reference"))
    assert got.keys() == want.keys()
    least = 1e-3 * max(np.abs(array).max() for array in want.values())
    return max(np.abs(got[name] - array).max() / max(np.abs(array).max(), least) for name, array in want.items())


def _neuron(row):
    return make("neuron", row, surrogate=make("surrogate", row), pda=make("pda", row))


def _targets(kind, rng, steps, samples):
    if kind == "classes":
        return rng.integers(0, CLASSES, samples)
    if kind == "classes per step":
        return rng.integers(-1, CLASSES, (steps, samples))
    shape = (steps, samples, CLASSES) if kind.endswith("per step") else (samples, CLASSES)
    return rng.integers(0, 2, shape) if kind.startswith("labels") else rng.normal(0.5, 0.5, shape)


class _Checker(gradients._Checker):
    """The checker of `check_gradients`, for passes that layers run one by one, or that go on from an earlier pass."""

    def __init__(self, case):
        super().__init__(case.net, case.x, case.y, case.loss, "reference", 1e-4, 1e-6, 0, case.mode.lengths)
        self.mode = replace(self.mode, inspect=case.mode.inspect)
        self.carried = None
        if case.before is not None:
            self.carried = {}
            self.net.forward(case.before, replace(self.mode, store=False, lengths=None, carried=self.carried))

    def evaluate(self, net):
        if self.carried is not None:
            kept = {name: {**memory, "state": memory["state"].copy()} for name, memory in self.carried.items()}
            self.mode = replace(self.mode, carried=kept)
        return super().evaluate(net)
