"""Learning rate schedules: a factor for all learning rates, as a function of the progress of the run."""

import math

from .describe import Described
from .patience import Patience
from .validate import at_least, positive, whole, within


class Schedule(Described):
    """Base of the schedules. A subclass implements ``factor(epoch, epochs)``."""

    def factor(self, epoch: float, epochs: float) -> float:
        """Return the factor after `epoch` of `epochs` epochs (0 <= epoch < epochs); epoch need not be whole."""
        raise TypeError(f"{type(self).__name__} has no factor(epoch, epochs)")

    def observe(self, metrics: dict) -> None:
        """Take the metrics of an epoch that has ended; most schedules do not depend on them."""

    def state(self) -> dict:
        """Return what the schedule has learned from metrics, as plain data."""
        return {}

    def load_state(self, state: dict) -> None:
        """Restore a state that `state` returned."""

    def restart(self) -> None:
        """Forget what was learned from metrics, because another run begins."""


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


class Plateau(Schedule):
    """A learning rate that is multiplied by gamma whenever a metric has not improved for some epochs.

    In a loop of one's own: ``schedule.observe({"valid_loss": loss})`` after every epoch, and
    ``loop.step(schedule.factor(epoch, epochs))``.

    Args:
        gamma: factor of each change, in (0, 1). Default 0.1.
        patience: number of epochs without an improvement before a change, at least 1. Default 5.
        metric: name of the metric in the history. Default "valid_loss".
        min_delta: an improvement must be larger than this number, at least 0. Default 1e-4.
        higher: whether a higher number is better. Default False, as for a loss.
        lowest: smallest factor, at least 0. Default 0.
        warmup: number of epochs over which the rate rises linearly from 0. Default 0.

    Attributes:
        reduced: number of changes so far.

    Raises:
        ValueError: an argument is out of range or, in a run, an epoch has no such metric.
    """

    def __init__(
        self,
        gamma: float = 0.1,
        patience: int = 5,
        metric: str = "valid_loss",
        min_delta: float = 1e-4,
        higher: bool = False,
        lowest: float = 0.0,
        warmup: float = 0.0,
    ):
        self.gamma = within("Plateau: gamma", gamma, 0, 1, open_low=True, open_high=True)
        self.patience, self.metric, self.min_delta, self.higher = patience, metric, min_delta, higher
        self.lowest = at_least("Plateau: lowest", lowest, 0)
        self.warmup = at_least("Plateau: warmup", warmup, 0)
        self._patience = Patience("Plateau", patience, metric, min_delta, higher)
        self.reduced = 0

    def factor(self, epoch, epochs):
        return _warm(epoch, self.warmup) * max(self.lowest, self.gamma**self.reduced)

    def observe(self, metrics):
        if self._patience.exhausted(self._patience.read(metrics)):
            self.reduced, self._patience.waited = self.reduced + 1, 0

    def state(self):
        return {"reduced": self.reduced, **self._patience.state()}

    def load_state(self, state):
        self.reduced = whole("Plateau: reduced", state["reduced"], 0)
        self._patience.load_state(state)

    def restart(self):
        self.reduced = 0
        self._patience.restart()
