"""Layers without arithmetic of their own: flattening and dropout."""

import zlib
from math import prod

from ..validate import within
from .base import Layer


class Flatten(Layer):
    """``[T, N, H, W, C]`` -> ``[T, N, H W C]``, ``[T, N, L, C]`` -> ``[T, N, L C]``; a view, nothing is copied."""

    def infer(self, shape):
        if len(shape) < 3:
            self.refuse(shape, "[T, N, H, W, C] or [T, N, C]")
        return (*shape[:2], prod(shape[2:]))

    def connect(self, sources):
        return sources

    def visible(self, before=None):
        return None if before is None else before.reshape(self.output_shape)

    def compute(self, x, mode):
        self.kept = x.shape if mode.store else None
        return x.reshape(self.output_shape)

    def propagate(self, dy, need_dx):
        return dy.reshape(self.kept) if need_dx else None


class Dropout(Layer):
    """Zero a share of the features and scale the others by 1 / (1 - p), in training only. Shape kept.

    One mask serves all time steps: a connection is missing for the whole sample, as in SpikingJelly and unlike a mask a
    step, which would only add noise to the potential. The mask is a function of the pass's seed and the feature's
    index.

    Args:
        p: share that is dropped, in [0, 1). Default 0.5.
        name: shown in reports and errors; by default the class's name and a number.
    """

    def __init__(self, p: float = 0.5, name: str | None = None):
        super().__init__(name)
        self.p = within("Dropout: p", p, 0, 1, open_high=True)

    def infer(self, shape):
        if len(shape) < 2:
            self.refuse(shape, "[T, N, ...]")
        return shape

    def connect(self, sources):
        return sources

    def visible(self, before=None):
        return before

    def compute(self, x, mode):
        seed = mode.seed ^ zlib.crc32(self.path.encode())  # layers of one pass drop different features
        active = mode.training and self.p > 0
        self.kept = (active, seed) if mode.store else None
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
