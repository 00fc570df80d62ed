"""Flattening and dropout."""

from math import prod
from typing import NamedTuple

from ..validate import within
from .base import Layer


class _Shape(NamedTuple):
    """What a pass keeps: the shape of its input."""

    shape: tuple


class Flatten(Layer):
    """Merge positions and channels: ``[T, N, H, W, C]`` -> ``[T, N, H W C]``, ``[T, N, L, C]`` -> ``[T, N, L C]``.

    The output is a view of the input; nothing is copied.

    Args:
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ShapeError: on building, the input has fewer than three axes.
    """

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
    """What a pass through `Dropout` keeps: whether it dropped features, and the seed of its dropout mask."""

    active: bool
    seed: int


class Dropout(Layer):
    """Set a share of the features to zero and scale the others by 1 / (1 - p), in training only. ``[T, N, ...]`` of any
    rank; the output has the same shape.

    All time steps use the same dropout mask, so that a dropped feature is missing for the whole sequence, as in
    SpikingJelly. One mask per step would only add noise to the potential. The mask depends on the seed of the pass, the
    name of the layer and the index of the feature. Source: Srivastava et al. 2014 (JMLR 15).

    Args:
        p: share of the features that is dropped, in [0, 1). Default 0.5.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: p is outside [0, 1).
        ShapeError: on building, the input has fewer than two axes.
    """

    carries = False
    draws = True
    passes = "same"

    def __init__(self, p: float = 0.5, name: str | None = None):
        super().__init__(name)
        self.p = within("Dropout: p", p, 0, 1, open_high=True)

    def infer(self, shape):
        if len(shape) < 2:
            self.refuse(shape, "[T, N, ...]")
        return shape

    def compute(self, x, mode):
        seed = mode.seed_of(self.path)  # each layer of a pass drops other features
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
