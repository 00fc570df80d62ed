"""Layers without arithmetic of their own: flattening and dropout."""

import zlib
from math import prod
from typing import NamedTuple

from ..validate import within
from .base import Layer


class _Shape(NamedTuple):
    """What a pass left: the shape of its input."""

    shape: tuple


class Flatten(Layer):
    """``[T, N, H, W, C]`` -> ``[T, N, H W C]``, ``[T, N, L, C]`` -> ``[T, N, L C]``; a view, nothing is copied."""

    carries = False
    passes = "reshape"

    def infer(self, shape):
        if len(shape) < 3:
            self.refuse(shape, "[T, N, H, W, C] or [T, N, C]")
        return (*shape[:2], prod(shape[2:]))

    def compute(self, x, mode):
        self.kept = _Shape(x.shape) if mode.store else None
        return x.reshape(self.output_shape)

    def propagate(self, dy, need_dx):
        return dy.reshape(self.kept.shape)


class _Mask(NamedTuple):
    """What a pass through `Dropout` left: whether it dropped anything, and the seed that its mask is a function of."""

    active: bool
    seed: int


class Dropout(Layer):
    """Zero a share of the features and scale the others by 1 / (1 - p), in training only. Shape kept.

    One mask serves all time steps: a connection is missing for the whole sample, as in SpikingJelly and unlike a mask a
    step, which would only add noise to the potential. The mask is a function of the pass's seed and the feature's
    index.

    Args:
        p: share that is dropped, in [0, 1). Default 0.5.
        name: shown in reports and errors; by default the class's name and a number.
    """

    carries = False
    passes = "same"

    def __init__(self, p: float = 0.5, name: str | None = None):
        super().__init__(name)
        self.p = within("Dropout: p", p, 0, 1, open_high=True)

    def infer(self, shape):
        if len(shape) < 2:
            self.refuse(shape, "[T, N, ...]")
        return shape

    def compute(self, x, mode):
        seed = mode.seed ^ zlib.crc32(self.path.encode())  # layers of one pass drop different features
        active = mode.training and self.p > 0
        self.kept = _Mask(active, seed) if mode.store else None
        return self._drop(x, seed, self.buffer("y", x.shape)) if active else x

    def propagate(self, dy, need_dx):
        active, seed = self.kept
        if not need_dx:
            return None
        return self._drop(dy, seed, self.gradient(dy.shape)) if active else dy

    def _drop(self, x, seed, y):
        steps = x.shape[0]
        self.kernels.dropout(x.reshape(steps, -1), self.p, seed, y.reshape(steps, -1))
        return y
