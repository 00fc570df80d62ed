"""Rules for the width of a surrogate that were tried beside numsnn's own (`numsnn.PSG`), as callbacks of a trainer.

They set the widths of a network whose surrogates have a fixed width, after every training step or now and then. What
each of them gave: ``python -m benchmarks.method.tournament --table``.
"""

import math

import numpy as np

import numsnn as snn
from numsnn.kernels.reference.surrogate import CDF
from numsnn.layers import Mode
from numsnn.layers.flat import FlatParameters
from numsnn.training import Callback

from .runs import neurons

OFTEN = 10
"""Training steps from one look at the potentials to the next."""

SHARE = 0.3
"""Share of a new measurement in what is tracked."""

LIMITS = 0.05, 20.0
"""Smallest and largest width that a rule may set."""


def set_width(neuron, width) -> None:
    """Give a neuron with a fixed width another one."""
    neuron.kernels.fill(neuron.width.natural, float(np.clip(width, *LIMITS)))


class Progress(Callback):
    """Base of the callbacks that know how far the training is."""

    def on_start(self, trainer):
        self.total = trainer.epochs * math.ceil(len(trainer.source.data) / trainer.batch_size)
        self.step = 0

    def on_batch(self, trainer):
        self.step += 1
        self.act(trainer, self.step / self.total)

    def act(self, trainer, done: float) -> None:
        """Act after a step; `done` is the share of the training that is over."""


def between(ends, done: float) -> float:
    """The first number at the beginning, the second one at the end, and in between their geometric mean with the weight
    that a cosine schedule gives the learning rate."""
    first, last = ends
    rate = (1 + math.cos(math.pi * done)) / 2
    return last * (first / last) ** rate


class WithTheRate(Progress):
    """The width follows the learning rate: wide while weights change fast, narrow while they settle.

    Args:
        ends: width at the beginning and at the end.
    """

    def __init__(self, ends):
        self.ends = ends

    def on_start(self, trainer):
        super().on_start(trainer)
        self.act(trainer, 0.0)

    def act(self, trainer, done):
        for neuron in neurons(trainer.net):
            set_width(neuron, between(self.ends, done))


class Looking(Progress):
    """Base of the rules that look at potentials: every tenth step is recorded, and `look` is called with the neuron."""

    def on_start(self, trainer):
        super().on_start(trainer)
        self.tracked = {}

    def act(self, trainer, done):
        for neuron in neurons(trainer.net):
            if neuron.record:
                self.look(neuron, done)
            neuron.record = ("u", "v", "s") if self.step % OFTEN == OFTEN - 1 or self.step < 3 else ()

    def track(self, key, value):
        """The tracked mean of a measured value."""
        old = self.tracked.get(key)
        self.tracked[key] = value if old is None else old + SHARE * (value - old)
        return self.tracked[key]

    def look(self, neuron, done: float) -> None:
        """Act on what the neuron has recorded."""


class Spread(Looking):
    """alpha = k sigma, sigma being the tracked standard deviation of the layer's potentials: a fixed k, or two numbers,
    from the first of which it goes to the second with the learning rate."""

    def __init__(self, k):
        self.k = k

    def look(self, neuron, done):
        sigma = self.track(neuron.path, float(neuron.recorded["u"].std()))
        set_width(neuron, sigma * (between(self.k, done) if isinstance(self.k, tuple) else self.k))


class InitialPotential(Looking):
    """MP-Init (WACV 2026): a sequence starts from the tracked mean of the last potentials of the neurons that fired."""

    def look(self, neuron, done):
        channels = neuron.threshold.natural.size
        last = neuron.recorded["v"][-1].reshape(-1, channels)
        fired = neuron.recorded["s"].any(0).reshape(-1, channels)
        value = self.track(neuron.path, (last * fired).sum(0) / np.maximum(fired.sum(0), 1))
        neuron.kernels.put(np.asarray(value, neuron.dtype), neuron.initial.natural)


class WithTheThreshold(Progress):
    """TrSG (WACV 2026): the window keeps its size in units of a learned threshold. The scale of the output, which is
    the threshold there too, is left to the normalisation or the readout behind it."""

    def act(self, trainer, done):
        for neuron in neurons(trainer.net):
            neuron.kernels.copy(neuron.threshold.refresh(), neuron.width.natural)


class LookAhead(Progress):
    """dL'/d log alpha, L' being the loss of another batch after a step with the gradient of this one, by two backward
    passes with the width of one layer (in turns) larger and smaller by `shake`, every `often` steps.

    L' depends on the width through the step of the weights alone: -P g'(another batch) . dg/d log alpha, where P is
    Adam's rate of every weight. The widths follow it with an Adam of their own.
    """

    def __init__(self, often: int = 5, shake: float = 0.3, lr: float = 0.1):
        self.often, self.shake, self.lr = often, shake, lr

    def on_start(self, trainer):
        super().on_start(trainer)
        self.rng = np.random.default_rng((7, trainer.seed))
        self.moments = {}

    def act(self, trainer, done):
        if self.step % self.often:
            return
        layers, flat = neurons(trainer.net), FlatParameters.of(trainer.net.kernels, trainer.net.trainable())
        kept = flat.grad.copy()
        one, other = self._batch(trainer), self._batch(trainer)
        neuron = layers[self.rng.integers(len(layers))]
        width, gradients = float(neuron.width.natural[0]), []
        for sign in (1, -1):
            set_width(neuron, width * math.exp(sign * self.shake))
            gradients.append(self._gradient(trainer, one, flat))
        set_width(neuron, width)
        moments = trainer.optimizer.state()["arrays"]
        after = self._gradient(trainer, other, flat)
        terms = zip(flat.names, *map(flat.parts, (after, *gradients)), strict=True)
        slope = -sum(
            float((g / (np.sqrt(moments[f"{name}/second"]) + 1e-8) * (wide - narrow)).sum(dtype=np.float64))
            for name, g, wide, narrow in terms
        ) / (2 * self.shake)
        flat.grad[...] = kept
        set_width(neuron, width * math.exp(-self.lr * self._normalised(neuron.path, slope)))

    def _batch(self, trainer):
        rows = self.rng.choice(len(trainer.source.data), trainer.batch_size, replace=False)
        x, y = trainer.source.data.batch(rows)
        return trainer.net.admit(x), y

    def _gradient(self, trainer, batch, flat):
        net, (x, y) = trainer.net, batch
        z = net.forward(x, Mode(training=True, store=True))
        net.backward(trainer.loss(z, y, net.kernels, dtype=net.dtype)[1], need_dx=False)
        return flat.grad.copy()

    def _normalised(self, key, slope):
        """Adam's step for the slope of a layer's width."""
        mean, square, count = self.moments.get(key, (0.0, 0.0, 0))
        mean, square, count = 0.8 * mean + 0.2 * slope, 0.95 * square + 0.05 * slope**2, count + 1
        self.moments[key] = mean, square, count
        return mean / (1 - 0.8**count) / (math.sqrt(square / (1 - 0.95**count)) + 1e-12)


class Drawing(Callback):
    """Gives every layer of a kind below its own random numbers, a function of the run's seed and the layer."""

    def on_start(self, trainer):
        for number, neuron in enumerate(neurons(trainer.net)):
            neuron.rng = np.random.default_rng((trainer.seed, number))


class MaskedLIF(snn.LIF):
    """MSG (gradient mask): a random share of the gradients of the spikes is left out."""

    share = 0.5

    def propagate(self, dy, need_dx):
        return super().propagate(dy * (self.rng.random(dy.shape, np.float32) >= self.share).astype(dy.dtype), need_dx)


class NoisyLIF(snn.LIF):
    """ASGL (ICML 2023) with a fixed width: in training, the output of a random share of the neurons is Phi instead of a
    spike. The reset takes the spikes."""

    share = 0.15

    def compute(self, x, mode, norm=None):
        if not mode.training:
            return super().compute(x, mode, norm)
        self.record = ("u",)
        s = super().compute(x, mode, norm)
        self.record = ()
        smooth = CDF[self.surrogate.family]((self.recorded["u"] - self.threshold.natural) / self.width.natural)
        return np.where(self.rng.random(s.shape, np.float32) < self.share, smooth, s).astype(self.dtype)
