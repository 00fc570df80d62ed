"""Encoding inside a network: a first layer that turns numbers into spikes."""

from typing import NamedTuple

import numpy as np

from ..validate import whole
from .base import Layer


class _Fired(NamedTuple):
    """What a pass keeps: its spikes."""

    spikes: object


class Poisson(Layer):
    """Rate coding: at every step, each feature fires with a probability that equals its value.

    ``[N, H, W, C]`` or ``[N, F]`` -> spikes (uint8) ``[T, N, ...]``.

    In training the random numbers change in every pass: they depend on the seed of the pass, the index of the sample in
    the batch, the step and the feature. At inference they are fixed and the same for every sample, so that the spikes
    of a sample do not depend on the batch. They equal the spikes of sample 0 from `numsnn.encode.poisson` with this
    seed.

    Values below 0 never fire, and values above 1 always fire. Firing is a step function of the value, so the gradient
    of the input is zero: use this layer as the first layer of a network.

    Args:
        steps: T, the number of steps.
        seed: seed of the random numbers at inference. Default 0.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: steps is not a whole number of at least 1, or the seed is not a whole number of at least 0.
        ShapeError: on building, the input has a time axis.
    """

    takes_pictures = True
    carries = draws = True

    def __init__(self, steps: int, seed: int = 0, name: str | None = None):
        super().__init__(name)
        self.steps = whole("Poisson: steps", steps)
        self.seed = whole("Poisson: seed", seed, 0)

    def infer(self, shape):
        if len(shape) not in (2, 4):
            self.refuse(shape, "a picture [N, H, W, C] or features [N, F], without a time axis")
        return (self.steps, *shape)

    def compute(self, x, mode):
        samples, steps = len(x), self.steps if mode.carried is None else self.plan.part
        _, first = self.carried_state(mode, (samples,), steps)
        s = self.buffer("s", (steps, *x.shape), np.uint8)
        place = self.fixed_array("place", (samples, mode.training), lambda: self._places(samples, mode.training))
        seed = mode.seed_of(self.path) if mode.training else self.seed
        self.kernels.poisson(x.reshape(samples, -1), place, first, seed, s.reshape(steps, samples, -1))
        self.kept = _Fired(s) if mode.store else None
        return s

    def _places(self, samples, training):
        """Return for every sample the number that its random numbers depend on."""
        return self.kernels.from_host(np.arange(samples) if training else np.zeros(samples), np.int64)

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        dx = self.gradient(self.input_shape)
        self.kernels.fill(dx, 0)
        return dx

    def pieces(self):
        return self.kernels.to_host(self.kept.spikes)
