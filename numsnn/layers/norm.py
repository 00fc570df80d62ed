"""Batch normalisation over time, samples and positions, also scaled by the threshold."""

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..kernels.types import Affine, Moments
from ..validate import flag, positive, whole, within
from .base import Layer
from .padding import Padding
from .parameter import Parameter
from .shapes import need_channels


class AffineNorm(Layer):
    """Base of the normalisations with gamma and beta, one of both per channel. A subclass sets ``channels`` and
    ``affine``."""

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


class Tracked(Layer):
    """Base of the normalisations that track running statistics. A subclass calls `create_running`.

    Attributes:
        momentum: share of a batch in the running statistics.
        running: "mean" and "var", both ``[C]``, or ``[T, C]`` if every step has its own.
    """

    momentum: float
    running: dict[str, Any]

    def create_running(self, size):
        """Make the running statistics of this shape: means of zero and variances of one."""
        kernels = self.kernels
        self.running = {
            "mean": kernels.zeros(size, self.dtype),
            "var": kernels.from_host(np.ones(size), self.dtype),
        }

    def moments_of(self, x, mode):
        """Return the mean and the variance that a pass uses: those of the batch in training, otherwise the running
        ones. A pass that tracks updates the running ones."""
        tracked = self.running["mean"], self.running["var"]
        if not mode.training:
            return tracked
        size = tracked[0].shape
        groups = prod(size[:-1]), size[-1]
        mean, var = self.buffer("mean", groups), self.buffer("var", groups)
        running = Moments(*[x.reshape(groups) for x in tracked]) if mode.track else None
        self.kernels.moments(x.reshape(groups[0], -1, groups[1]), mean, var, running, self.momentum)
        return mean.reshape(size), var.reshape(size)

    def padding_in(self, mode):
        """Return which steps are real, for a pass that computes statistics and has padding; otherwise None."""
        return self.plan.padding if mode.training else None

    def own_statistics(self):
        return self.running if self.built else {}

    def set_statistic(self, name, value):
        self.running[name] = self.kernels.from_host(value, self.dtype)


class Normalisation(NamedTuple):
    """One pass of a batch normalisation, in the form that the kernels of the neuron behind it take. Arrays are ``[C]``.

    Attributes:
        centre, factor, offset: the normalised x is (x - centre) factor + offset.
        var: variance of x in the batch, if the pass uses the statistics of the batch (centre is then their mean); None
            if it uses the running statistics.
        sums: ``[2, C]``; the backward pass of the neuron writes the sums of dL/dy and of dL/dy (x - centre) here.
    """

    centre: np.ndarray
    factor: np.ndarray
    offset: np.ndarray
    var: np.ndarray | None
    sums: np.ndarray


class _Normalised(NamedTuple):
    """What a pass keeps: its input, the mean and variance that it used, whether these were the running ones, which
    steps are real (x then holds their rows only; None without padding), and the array for the sums of the neuron behind
    it (see `Normalisation`; None if the layers were not fused)."""

    x: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    frozen: bool
    padding: Padding | None = None
    sums: np.ndarray | None = None


class BatchNorm(AffineNorm, Tracked):
    """Normalise every channel over steps, samples and positions, then multiply it by gamma and add beta.

        y = v_threshold gamma (x - mean) / sqrt(var + eps) + beta

    The input is ``[T, N, C]``, ``[T, N, L, C]`` or ``[T, N, H, W, C]``; the output has the same shape and the network's
    float dtype. Source: Ioffe and Szegedy 2015 (arXiv:1502.03167). If ``v_threshold`` is the threshold of the neuron
    behind the layer, this is the threshold-dependent form (tdBN, Zheng et al. 2021, arXiv:2011.05280).

    The layer is fused with a neuron without extensions directly behind it (see `layers.fused`), and ``output`` is None.

    Args:
        channels: C, the number of channels.
        v_threshold: factor of the normalised value, in units of the membrane potential. Default 1 (plain batch
            normalisation).
        eps: added to the variance. Default 1e-5.
        momentum: share of a batch in the running statistics, which inference uses; in (0, 1]. Default 0.1.
        affine: whether to learn gamma and beta. Default True.
        name: shown in reports and errors. Default: the class's name and a number.

    Parameters: gamma ``[C]``, one at the start, and beta ``[C]``, zero at the start; weight decay does not act on them.
    Statistics: mean ``[C]`` and var ``[C]``.

    Raises:
        ValueError: a value is out of range.
        ShapeError: on building, the input has another rank or number of channels.
    """

    hands_over = "normalisation"
    recomputes = receives = True

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
        self.momentum = within(f"{kind}: momentum", momentum, 0, 1, open_low=True)
        self.affine = flag(f"{kind}: affine", affine)

    def create(self, shape, rng):
        super().create(shape, rng)
        self.create_running((self.channels,))

    def own_affine(self) -> Affine:
        """Return scale, offset and eps in the form that the kernels take."""
        return Affine(self.gamma.value, self.beta.value, self.eps, self.v_threshold)

    def compute(self, x, mode):
        x, padding = self.as_real(x), self.padding_in(mode)
        y = self.result("y", x.shape)
        if padding is None:
            self._normalise(x, self._statistics(x, mode), y)
            return y
        real = padding.gather(self, x)
        normalised = self.buffer("normalised rows", real.shape)
        self._normalise(real, self._statistics(real, mode), normalised)
        padding.scatter(normalised, y)
        if mode.store:
            self.kept = self.kept._replace(padding=padding)
        return y

    def _normalise(self, x, statistics, y):
        """Fill y with x, normalised by a mean and a variance."""
        rows = (-1, self.channels)
        self.kernels.batchnorm_forward(x.reshape(rows), self.own_affine(), Moments(*statistics), y.reshape(rows))

    def again(self):
        x, mean, var, *_ = self.kept
        y = self.result("y", x.shape)
        self._normalise(x, (mean, var), y)
        return y

    def receive(self, x):
        self.kept = self.kept._replace(x=None if x is None else self.as_real(x))

    def hand_over(self, x, mode):
        """Prepare a forward pass that the neuron behind computes: return the array that the neuron reads, and its
        `Normalisation`."""
        x = self.as_real(x)
        mean, var = self._statistics(x, mode)
        factor, sums = self.buffer("factor", (self.channels,)), self.buffer("sums", (2, self.channels))
        self.kernels.batchnorm_factor(self.own_affine(), var, factor)
        if mode.store:
            self.kept = _Normalised(x, mean, var, not mode.training, None, sums)
        return x, Normalisation(mean, factor, self.beta.value, var if mode.training else None, sums)

    def _statistics(self, x, mode):
        """Return the mean and the variance that the pass uses."""
        mean, var = self.moments_of(x, mode)
        if mode.store:
            self.kept = _Normalised(x, mean, var, not mode.training)
        return mean, var

    def propagate(self, dy, need_dx):
        padding = self.kept.padding
        if padding is None:
            dx = self.overwrite(dy) if need_dx else None
            self._back(dy, dx)
            return dx
        slopes = padding.gather(self, dy, "gradients of real rows")
        self._back(slopes, slopes if need_dx else None)
        dx = self.overwrite(dy) if need_dx else None
        if need_dx:
            padding.scatter(slopes, dx)
        return dx

    def _back(self, dy, dx):
        """Fill the gradients of gamma and beta and, unless it is None, dx."""
        x, mean, var, frozen, _, sums = self.kept
        rows = (-1, self.channels)
        slopes = dy.reshape(rows)
        self.kernels.batchnorm_backward(
            slopes,
            x.reshape(rows),
            self.own_affine(),
            Moments(mean, var),
            frozen,
            None if dx is None else slopes if dx is dy else dx.reshape(rows),
            self.gradient_of(self.gamma),
            self.gradient_of(self.beta),
            sums,
        )

    def signals(self):
        arrays = [self.output]
        if self.output is None and self.kept is not None:  # fused with the neuron behind it
            arrays += [self.kept.x, self.kept.mean, self.kept.var, self.kept.sums]
        return arrays
