"""Penalties on what goes through a network, as layers: they pass it on as it is and add their penalty to the loss.

A penalty is measured in passes that can be gone back through; its value is found in ``penalty``, and the backward pass
adds its gradient to the one that comes from above. It is a mean over units, so that a weight means the same for layers,
batches and numbers of steps of any size. Where it acts is where the layer stands: behind a neuron it acts on spikes.
"""

from collections.abc import Callable
from math import prod
from typing import NamedTuple

import numpy as np

from ..errors import ShapeError
from ..kernels.types import Band, Direct, Moments, Objective
from ..names import choice
from ..portable import nothing
from ..validate import number, positive, within
from .base import Layer


class _Pull(NamedTuple):
    """What a pass left: the gradient of the penalty on each of a unit's spikes."""

    pull: object


class _Slopes(NamedTuple):
    """What a pass left: its input ``[M, C]``, and the gradient's offset and slope per channel."""

    x: object
    direct: Direct


class _Penalty(Layer):
    """What penalties share. A subclass leaves every unit's share of the penalty in ``shares``."""

    transient = Layer.transient | {"shares": nothing}
    carries = False
    shares = None

    @property
    def penalty(self) -> float:
        """What the last pass that was stored added to the loss; where it lives elsewhere, the host waits for it."""
        return 0.0 if self.shares is None else float(self.kernels.to_host(self.shares).sum(dtype=np.float64))

    def move(self, kernels, dtype):
        self.shares = None
        super().move(kernels, dtype)


class _RatePenalty(_Penalty):
    """A function of the units' firing rates. A subclass writes ``measure(s, value, pull)``, which calls its kernel."""

    passes = "same"
    measure: Callable[..., None]

    def __init__(self, weight, per, name):
        super().__init__(name)
        kind = type(self).__name__
        self.weight = within(f"{kind}: weight", weight, 0, float("inf"))
        self.per = choice(f"{kind}: per", per, ("neuron", "channel"))

    def infer(self, shape):
        if len(shape) < 3:
            self.refuse(shape, "[T, N, C] or [T, N, H, W, C]")
        return shape

    def compute(self, x, mode):
        if mode.store:
            units = prod(x.shape[2:]) if self.per == "neuron" else x.shape[-1]
            self.shares, self.kept = self.buffer("value", (units,)), _Pull(self.buffer("pull", (units,)))
            self.measure(x.reshape(-1, units), self.shares, self.kept.pull)
        return x

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        dx, flat = self.gradient(dy.shape), (-1, len(self.kept.pull))
        self.kernels.add_row(dy.reshape(flat), self.kept.pull, dx.reshape(flat))
        return dx


class RateBand(_RatePenalty):
    """Keep firing rates within a band: silent neurons are pulled up, busy ones held down. Input passed on as it is.

        penalty = weight * mean over units of [ max(low - r, 0)^2 + max(r - high, 0)^2 ]

    r is a unit's firing rate, spikes a step: the mean of its spikes over the batch and time (and positions, for
    channels). Bounds of both kinds on the rates are common in surrogate-gradient training (Zenke and Vogels 2021,
    doi:10.1162/neco_a_01367); with low = high it is the rate regularisation of Bellec et al. 2018 (arXiv:1803.09574).

    Args:
        low, high: the band, 0 <= low <= high <= 1.
        weight: of the penalty in the loss, at least 0. Default 1.
        per: what a unit is: "neuron" (default; every feature at every position) or "channel".
        name: shown in reports and errors; by default the class's name and a number.

    Raises:
        ValueError: a band that is not one, a negative weight.
    """

    def __init__(self, low: float, high: float, weight: float = 1.0, per: str = "neuron", name: str | None = None):
        super().__init__(weight, per, name)
        self.low, self.high = within("RateBand: low", low, 0, 1), within("RateBand: high", high, 0, 1)
        if self.low > self.high:
            raise ValueError(f"RateBand: low must not exceed high; got low={low!r}, high={high!r}")

    def measure(self, s, value, pull):
        """Fill every unit's share of the penalty, and its gradient on each of the unit's spikes."""
        self.kernels.rate_band(s, Band(self.low, self.high), self.weight, value, pull)

    def pieces(self):
        return np.sign(self.kernels.to_host(self.kept.pull)).astype(np.int64)


class SpikePenalty(_RatePenalty):
    """Make spikes rare. Input passed on as it is.

        "l1"    penalty = weight * mean over units of r        a price for every spike
        "l2"    penalty = weight * mean over units of r^2      a price that grows with the rate: it spreads spikes out

    r is a unit's firing rate, as in `RateBand`. An L2 norm of single spikes would be the L1 norm, as 1^2 = 1; what is
    squared is the rate.

    Args:
        weight: of the penalty in the loss, at least 0.
        norm: "l1" (default) or "l2".
        per: what a unit is: "neuron" (default; every feature at every position) or "channel". It makes no difference
            to "l1".
        name: shown in reports and errors; by default the class's name and a number.

    Raises:
        ValueError: a negative weight, an unknown norm.
    """

    def __init__(self, weight: float, norm: str = "l1", per: str = "neuron", name: str | None = None):
        super().__init__(weight, per, name)
        self.norm = choice("SpikePenalty: norm", norm, ("l1", "l2"))

    def measure(self, s, value, pull):
        """Fill every unit's share of the penalty, and its gradient on each of the unit's spikes."""
        self.kernels.rate_power(s, 1 if self.norm == "l1" else 2, self.weight, value, pull)


class Divergence(_Penalty):
    """Keep the distribution of a float signal near a normal one: currents in front of a neuron, or potentials of a
    readout. Input passed on as it is.

        penalty = weight * mean over channels of J,     J = 1/2 [ (v + D^2) / w + (w + D^2) / v ] - 1

    D = m - target_mean; m is a channel's mean over time, batch and positions, v its variance and w = target_var, both
    plus eps. J is the symmetric Kullback-Leibler divergence of the two normal distributions (docs/method.md,
    D4). A neuron's own potentials are out of a layer's reach: `numsnn.PDA` has the objective for them.

    Args:
        weight: of the penalty in the loss, at least 0.
        target_mean, target_var: of the distribution that is aimed at. Defaults 0 and 1.
        eps: added to both variances, so that a constant channel stays finite. Default 1e-3.
        name: shown in reports and errors; by default the class's name and a number.

    Raises:
        ValueError: a negative weight, a variance or eps that is not positive.
        ShapeError: on the pass, an input of spikes.
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
        self.weight = within("Divergence: weight", weight, 0, float("inf"))
        self.target_mean = number("Divergence: target_mean", target_mean)
        self.target_var = positive("Divergence: target_var", target_var)
        self.eps = positive("Divergence: eps", eps)

    def infer(self, shape):
        if len(shape) < 3:
            self.refuse(shape, "[T, N, C] or [T, N, H, W, C]")
        return shape

    def compute(self, x, mode):
        if x.dtype != self.dtype:
            raise ShapeError(
                f"{self.path} (Divergence): input must be {self.dtype}, a current or potential; got {x.dtype}"
            )
        if mode.store:
            channels = x.shape[-1]
            flat = x.reshape(1, -1, channels)
            mean, var, value, offset, slope, target_mean, target_var = self.buffer("numbers", (7, channels))
            self.kernels.fill(target_mean, self.target_mean)
            self.kernels.fill(target_var, self.target_var)
            self.kernels.moments(flat, mean[None], var[None])
            objective, direct = Objective(self.weight, self.eps, flat.shape[1]), Direct(offset, slope)
            self.kernels.divergence(Moments(mean, var), Moments(target_mean, target_var), objective, value, direct)
            self.shares, self.kept = value, _Slopes(flat[0], direct)
        return x

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        x, direct = self.kept
        dx = self.gradient(dy.shape)
        self.kernels.add_affine(dy.reshape(x.shape), x, direct, dx.reshape(x.shape))
        return dx
