"""Batch normalisation over time, samples and positions, and its threshold-scaled form."""

from typing import NamedTuple

import numpy as np

from ..kernels.types import Affine, Moments
from ..validate import flag, positive, whole, within
from .base import Layer
from .parameter import Parameter
from .shapes import need_channels


class AffineNorm(Layer):
    """What normalisations with one scale and one shift a channel share; a subclass sets ``channels`` and ``affine``."""

    carries = False
    channels: int
    affine: bool

    def infer(self, shape):
        need_channels(self, shape, self.channels, (3, 4, 5))
        return shape

    def create(self, shape, rng):
        kernels, size = self.kernels, (self.channels,)
        self.gamma = Parameter("gamma", kernels.from_host(np.ones(size), self.dtype), "norm")
        self.beta = Parameter("beta", kernels.zeros(size, self.dtype), "norm")
        if self.affine:
            self.add_parameter(self.gamma)
            self.add_parameter(self.beta)

    def move(self, kernels, dtype):
        if self.built and not self.affine:
            for p in (self.gamma, self.beta):
                p.move(kernels, self.kernels, dtype)
        super().move(kernels, dtype)


class Normalisation(NamedTuple):
    """One pass of a batch normalisation, as the kernels of the neuron behind it take it; arrays are ``[C]``.

    Attributes:
        centre, factor, offset: the normalised x is (x - centre) factor + offset.
        var: of x, whose mean the centre then is; None where both are the running ones.
        sums: ``[2, C]``, for the backward pass: the neuron leaves there the sums of dL/dy and of dL/dy (x - centre).
    """

    centre: np.ndarray
    factor: np.ndarray
    offset: np.ndarray
    var: np.ndarray | None
    sums: np.ndarray


class _Normalised(NamedTuple):
    """What a pass left: its input, the moments it was normalised with, whether these were the running ones, and where
    the neuron behind leaves its sums (see `Normalisation`; None where the layer was run by itself)."""

    x: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    frozen: bool
    sums: np.ndarray | None


class BatchNorm(AffineNorm):
    """Normalise every channel over T, N (and positions), then scale and shift it. Shape kept; channels last.

    y = v_threshold gamma (x - mean) / sqrt(var + eps) + beta

    Directly in front of a neuron that is no more than integrate-and-fire both are run as one (see `layers.fused`), and
    ``output`` is None.

    With ``v_threshold`` set to the threshold of the neuron behind it this is the threshold-dependent form (tdBN, Zheng
    et al. 2021, arXiv:2011.05280).

    Args:
        channels: C.
        v_threshold: factor of the normalised value, in units of the membrane potential. Default 1 (plain
        normalisation).
        eps: added to the variance. Default 1e-5.
        momentum: share of a batch in the running statistics that inference uses. Default 0.1.
        affine: learn gamma and beta. Default True.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters: gamma ``[C]`` one, beta ``[C]`` zero, both without weight decay. Statistics: mean, var ``[C]``.
    """

    hands_over = "normalisation"

    def __init__(
        self,
        channels: int,
        v_threshold: float = 1.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        name: str | None = None,
    ):
        super().__init__(name)
        kind = type(self).__name__
        self.channels = whole(f"{kind}: channels", channels)
        self.v_threshold = positive(f"{kind}: v_threshold", v_threshold)
        self.eps = positive(f"{kind}: eps", eps)
        self.momentum = within(f"{kind}: momentum", positive(f"{kind}: momentum", momentum), 0, 1)
        self.affine = flag(f"{kind}: affine", affine)

    def create(self, shape, rng):
        super().create(shape, rng)
        kernels, size = self.kernels, (self.channels,)
        self.running = {
            "mean": kernels.zeros(size, self.dtype),
            "var": kernels.from_host(np.ones(size), self.dtype),
        }

    def own_affine(self) -> Affine:
        """What the layer does beside centring, as kernels take it."""
        return Affine(self.gamma.value, self.beta.value, self.eps, self.v_threshold)

    def compute(self, x, mode):
        x = self.as_real(x)
        mean, var = self._statistics(x, mode)
        y = self.buffer("y", x.shape)
        rows = (-1, self.channels)
        self.kernels.batchnorm_forward(x.reshape(rows), self.own_affine(), Moments(mean, var), y.reshape(rows))
        return y

    def hand_over(self, x, mode):
        """The forward pass, left to the neuron behind: what it reads, and the `Normalisation` of it."""
        x = self.as_real(x)
        mean, var = self._statistics(x, mode)
        factor, sums = self.buffer("factor", (self.channels,)), self.buffer("sums", (2, self.channels))
        self.kernels.batchnorm_factor(self.own_affine(), var, factor)
        if mode.store:
            self.kept = self.kept._replace(sums=sums)
        return x, Normalisation(mean, factor, self.beta.value, var if mode.training else None, sums)

    def _statistics(self, x, mode):
        """Mean and variance that a pass normalises with."""
        mean, var = self.running["mean"], self.running["var"]
        if mode.training:
            mean, var = self.buffer("mean", (1, self.channels)), self.buffer("var", (1, self.channels))
            self.kernels.moments(x.reshape(1, -1, self.channels), mean, var)
            mean, var = mean[0], var[0]
            if mode.track:
                self.kernels.running_update(self.running["mean"], mean, self.momentum)
                self.kernels.running_update(self.running["var"], var, self.momentum)
        if mode.store:
            self.kept = _Normalised(x, mean, var, not mode.training, None)
        return mean, var

    def propagate(self, dy, need_dx):
        x, mean, var, frozen, sums = self.kept
        rows = (-1, self.channels)
        dx = self.overwrite(dy) if need_dx else None
        self.kernels.batchnorm_backward(
            dy.reshape(rows),
            x.reshape(rows),
            self.own_affine(),
            Moments(mean, var),
            frozen,
            None if dx is None else dx.reshape(rows),
            self.gamma.grad,
            self.beta.grad,
            sums,
        )
        return dx

    def signals(self):
        arrays = [self.output]
        if self.output is None and self.kept is not None:  # run as one with the neuron behind it
            arrays += [self.kept.x, self.kept.mean, self.kept.var, self.kept.sums]
        return arrays

    def own_statistics(self):
        return self.running if self.built else {}

    def set_statistic(self, name, value):
        self.running[name] = self.kernels.from_host(value, self.dtype)
