"""Learning rate schedules: a factor for all learning rates, as a function of the progress of the run."""

import math

from .describe import Described
from .validate import at_least, positive, whole, within


class Schedule(Described):
    """Base of the schedules. A subclass implements ``factor(epoch, epochs)``."""

    def factor(self, epoch: float, epochs: float) -> float:
        """Return the factor after `epoch` of `epochs` epochs (0 <= epoch < epochs); epoch need not be whole."""
        raise TypeError(f"{type(self).__name__} has no factor(epoch, epochs)")


def _warm(epoch, warmup):
    return min(1.0, epoch / warmup) if warmup else 1.0


class Constant(Schedule):
    """A constant learning rate.

    Args:
        warmup: number of epochs over which the rate rises linearly from 0. Default 0.
    """

    def __init__(self, warmup: float = 0.0):
        self.warmup = at_least("Constant: warmup", warmup, 0)

    def factor(self, epoch, epochs):
        return _warm(epoch, self.warmup)


class Cosine(Schedule):
    """Half a period of a cosine from 1 to `final` (Loshchilov and Hutter 2017, arXiv:1608.03983).

    Args:
        warmup: number of epochs over which the rate rises linearly from 0 before the cosine starts. Default 0.
        final: factor at the end, in [0, 1]. Default 0.
    """

    def __init__(self, warmup: float = 0.0, final: float = 0.0):
        self.warmup = at_least("Cosine: warmup", warmup, 0)
        self.final = within("Cosine: final", final, 0, 1)

    def factor(self, epoch, epochs):
        if epoch < self.warmup:
            return _warm(epoch, self.warmup)
        progress = (epoch - self.warmup) / max(epochs - self.warmup, 1e-12)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


class Step(Schedule):
    """A learning rate that is multiplied by gamma after every `every` epochs.

    Args:
        every: number of epochs between two changes.
        gamma: factor of each change. Default 0.1.
        warmup: number of epochs over which the rate rises linearly from 0. Default 0.
    """

    def __init__(self, every: int, gamma: float = 0.1, warmup: float = 0.0):
        self.every = whole("Step: every", every)
        self.gamma = positive("Step: gamma", gamma)
        self.warmup = at_least("Step: warmup", warmup, 0)

    def factor(self, epoch, epochs):
        return _warm(epoch, self.warmup) * self.gamma ** (int(epoch) // self.every)
