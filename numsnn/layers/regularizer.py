"""Penalties on the signals in a network, as layers. They return their input unchanged and add a penalty to the loss.

A stored pass computes the penalty, whose value is in ``penalty``. The backward pass adds the gradient of the penalty to
the gradient from the next layer. A penalty is a mean over units, so that a weight has the same effect for layers,
batches and numbers of steps of any size. A penalty acts on the output of the layer in front of it: behind a neuron it
acts on spikes.
"""

from collections.abc import Callable
from math import prod
from typing import NamedTuple

import numpy as np

from ..errors import ShapeError
from ..kernels.types import Band, Direct, Moments, Objective
from ..names import choice
from ..portable import nothing
from ..shown import shown
from ..validate import at_least, number, positive, within
from .base import Layer
from .padding import Padding


class _Pull(NamedTuple):
    """What a pass keeps: the gradient of the penalty by each spike of a unit, and which steps are real (None without
    padding)."""

    pull: object
    padding: Padding | None


class _Slopes(NamedTuple):
    """What a pass keeps: its input ``[M, C]``, the gradient of the penalty, and which steps are real (None without
    padding)."""

    x: object
    direct: Direct
    padding: Padding | None


class _Penalty(Layer):
    """Base of the penalties. A subclass stores the term of every unit in ``shares``."""

    transient = Layer.transient | {"shares": nothing}
    carries = False
    shares = None

    def infer(self, shape):
        if len(shape) < 3:
            self.refuse(shape, "[T, N, C] or [T, N, H, W, C]")
        return shape

    @property
    def penalty(self) -> float:
        """The term that the last stored pass added to the loss. On a CUDA device, reading it waits for the device."""
        return 0.0 if self.shares is None else float(self.kernels.to_host(self.shares).sum(dtype=np.float64))

    def real_rows(self, x):
        """Return the rows over which the penalty is computed: those of x or, if the batch has padding, a compact copy
        of the real ones."""
        padding = self.plan.padding
        return x if padding is None else padding.gather(self, x)

    def move(self, kernels, dtype):
        self.shares = None
        super().move(kernels, dtype)


class _RatePenalty(_Penalty):
    """A penalty on firing rates of units. A subclass writes ``measure(s, value, pull)``, which calls its kernel."""

    passes = "same"
    measure: Callable[..., None]

    def __init__(self, weight, per, name):
        super().__init__(name)
        kind = type(self).__name__
        self.weight = at_least(f"{kind}: weight", weight, 0)
        self.per = choice(f"{kind}: per", per, ("neuron", "channel"))

    def compute(self, x, mode):
        if mode.store:
            units = prod(x.shape[2:]) if self.per == "neuron" else x.shape[-1]
            self.shares = self.buffer("value", (units,))
            self.kept = _Pull(self.buffer("pull", (units,)), self.plan.padding)
            self.measure(self.real_rows(x).reshape(-1, units), self.shares, self.kept.pull)
        return x

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        pull, padding = self.kept
        dx, flat = self.gradient(dy.shape), (-1, len(pull))
        self.kernels.add_row(dy.reshape(flat), pull, dx.reshape(flat))
        if padding is not None:
            padding.clear(dx)
        return dx


class RateBand(_RatePenalty):
    """Keep firing rates within a band: raise rates that are too low and reduce rates that are too high.

        penalty = weight * mean over units of [ max(low - r, 0)^2 + max(r - high, 0)^2 ]

    r is the firing rate of a unit in spikes per step: the mean of its spikes over samples and steps (for channels, also
    over positions). Lower and upper bounds on rates are common in surrogate-gradient training (Zenke and Vogels 2021,
    doi:10.1162/neco_a_01367). With low = high, the penalty is the rate regularisation of Bellec et al. 2018
    (arXiv:1803.09574). The input is ``[T, N, ...]`` and is returned unchanged.

    Args:
        low, high: bounds of the band, 0 <= low <= high <= 1.
        weight: weight of the penalty in the loss, at least 0. Default 1.
        per: what a unit is: "neuron" (default; every feature at every position) or "channel".
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: low exceeds high, a bound is outside [0, 1], the weight is negative, or per is unknown.
        ShapeError: on building, the input has fewer than three axes.
    """

    def __init__(self, low: float, high: float, weight: float = 1.0, per: str = "neuron", name: str | None = None):
        super().__init__(weight, per, name)
        self.low, self.high = within("RateBand: low", low, 0, 1), within("RateBand: high", high, 0, 1)
        if self.low > self.high:
            raise ValueError(f"RateBand: low must not exceed high; got low={shown(low)}, high={shown(high)}")

    def measure(self, s, value, pull):
        """Fill value with the term of every unit, and pull with its gradient by each spike of the unit."""
        self.kernels.rate_band(s, Band(self.low, self.high), self.weight, value, pull)

    def pieces(self):
        return np.sign(self.kernels.to_host(self.kept.pull)).astype(np.int64)


class SpikePenalty(_RatePenalty):
    """Reduce the number of spikes.

        "l1"    penalty = weight * mean over units of r        equal for every spike
        "l2"    penalty = weight * mean over units of r^2      larger for units that fire often: rates become more equal

    r is the firing rate of a unit, as in `RateBand`. The norm "l2" squares the rate and not single spikes, because
    1^2 = 1 would give the same penalty as "l1". The input is ``[T, N, ...]`` and is returned unchanged.

    Args:
        weight: weight of the penalty in the loss, at least 0.
        norm: "l1" (default) or "l2".
        per: what a unit is: "neuron" (default; every feature at every position) or "channel". The result of "l1" does
            not depend on it.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: the weight is negative, or norm or per is unknown.
        ShapeError: on building, the input has fewer than three axes.
    """

    def __init__(self, weight: float, norm: str = "l1", per: str = "neuron", name: str | None = None):
        super().__init__(weight, per, name)
        self.norm = choice("SpikePenalty: norm", norm, ("l1", "l2"))

    def measure(self, s, value, pull):
        """Fill value with the term of every unit, and pull with its gradient by each spike of the unit."""
        self.kernels.rate_power(s, 1 if self.norm == "l1" else 2, self.weight, value, pull)


class Divergence(_Penalty):
    """Keep the distribution of a float signal near a normal distribution: of currents in front of a neuron, or of the
    potentials of a readout.

        penalty = weight * mean over channels of J,     J = 1/2 [ (v + D^2) / w + (w + D^2) / v ] - 1

    Here D = m - target_mean, m is the mean of a channel over steps, samples and positions, v is its variance plus eps,
    and w is target_var plus eps. J is the symmetric Kullback-Leibler divergence of the two normal distributions
    (docs/method.md, D4). A layer cannot reach the potentials inside a neuron; `numsnn.PDA` has this objective for them.
    The input is ``[T, N, ...]`` and is returned unchanged.

    Args:
        weight: weight of the penalty in the loss, at least 0.
        target_mean, target_var: mean and variance of the normal distribution. Defaults 0 and 1.
        eps: added to both variances, so that the penalty of a constant channel is finite. Default 1e-3.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: the weight is negative, or a variance or eps is not positive.
        ShapeError: the input has fewer than three axes or, in a pass, holds spikes.
    """

    def __init__(
        self,
        weight: float,
        target_mean: float = 0.0,
        target_var: float = 1.0,
        eps: float = 1e-3,
        name: str | None = None,
    ):
        super().__init__(name)
        self.weight = at_least("Divergence: weight", weight, 0)
        self.target_mean = number("Divergence: target_mean", target_mean)
        self.target_var = positive("Divergence: target_var", target_var)
        self.eps = positive("Divergence: eps", eps)

    def compute(self, x, mode):
        if x.dtype != self.dtype:
            raise ShapeError(
                f"{self.path} (Divergence): input must be {self.dtype}, a current or potential; got {x.dtype}"
            )
        if mode.store:
            channels = x.shape[-1]
            rows = self.real_rows(x).reshape(1, -1, channels)
            mean, var, value, target_mean, target_var, *pull = self.buffer("numbers", (8, channels))
            self.kernels.fill(target_mean, self.target_mean)
            self.kernels.fill(target_var, self.target_var)
            self.kernels.moments(rows, mean[None], var[None])
            objective, direct = Objective(self.weight, self.eps, rows.shape[1]), Direct(*pull)
            self.kernels.divergence(Moments(mean, var), Moments(target_mean, target_var), objective, value, direct)
            self.shares, self.kept = value, _Slopes(x.reshape(-1, channels), direct, self.plan.padding)
        return x

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        x, direct, padding = self.kept
        dx = self.gradient(dy.shape)
        self.kernels.add_affine(dy.reshape(x.shape), x, direct, dx.reshape(x.shape))
        if padding is not None:
            padding.clear(dx)
        return dx
