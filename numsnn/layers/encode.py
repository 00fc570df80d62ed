"""Encoding inside the network: what stands at its door and turns numbers into spikes."""

import zlib
from typing import NamedTuple

import numpy as np

from ..validate import whole
from .base import Layer


class _Fired(NamedTuple):
    """What a pass left: its spikes."""

    spikes: object


class Poisson(Layer):
    """Rate coding: at every step a feature fires with its value as probability. ``[N, H, W, C]`` or ``[N, F]`` in,
    spikes (uint8) ``[T, N, ...]`` out.

    In training the noise is new in every pass: a function of the pass's seed, the sample's place in the batch, the step
    and the feature. At inference it is fixed and the same for every sample: what becomes of a sample then depends on
    nothing but the sample, and is what `numsnn.encode.poisson` with this seed makes of sample 0.

    Values below 0 never fire, values above 1 always do. Firing is a step function of the value, so no gradient passes:
    the layer belongs at the network's door.

    Args:
        steps: T.
        seed: of the noise at inference. Default 0.
        name: shown in reports and errors; by default the class's name and a number.
    """

    takes_pictures = True
    carries = True

    def __init__(self, steps: int, seed: int = 0, name: str | None = None):
        super().__init__(name)
        self.steps = whole("Poisson: steps", steps)
        self.seed = whole("Poisson: seed", seed, 0)

    def infer(self, shape):
        if len(shape) not in (2, 4):
            self.refuse(shape, "a picture [N, H, W, C] or features [N, F], without a time axis")
        return (self.steps, *shape)

    def compute(self, x, mode):
        samples, steps = len(x), self.steps if mode.carried is None else 1  # fed a step at a time: the next one
        _, first = self.carried_state(mode, (samples,), steps)
        s = self.buffer("s", (steps, *x.shape), np.uint8)
        place = self.kernels.from_host(np.arange(samples) if mode.training else np.zeros(samples), np.int64)
        seed = mode.seed ^ zlib.crc32(self.path.encode()) if mode.training else self.seed
        self.kernels.poisson(x.reshape(samples, -1), place, first, seed, s.reshape(steps, samples, -1))
        self.kept = _Fired(s) if mode.store else None
        return s

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        dx = self.gradient(self.input_shape)
        self.kernels.fill(dx, 0)
        return dx

    def pieces(self):
        return self.kernels.to_host(self.kept.spikes)
