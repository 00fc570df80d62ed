"""Batch normalisation with parameters for each time step: BNTT and TEBN. The number of steps is fixed."""

from typing import NamedTuple

import numpy as np

from ..kernels.types import Affine, Moments
from ..validate import flag, positive, whole, within
from .allowance import claim
from .norm import BatchNorm, Tracked
from .padding import Padding
from .parameter import Parameter
from .shapes import need_channels


class _Steps(NamedTuple):
    """What a pass keeps: the input's rows ``[M, C]`` of every step that has real rows, the moments per step, whether
    these were the running ones, and which steps are real (None without padding)."""

    x: list
    mean: object
    var: object
    frozen: bool
    padding: Padding | None


def _check_steps(layer, shape):
    """Refuse an input of another number of steps."""
    if shape[0] != layer.steps:
        layer.refuse(shape, f"[{layer.steps}, N, ...]: there are parameters for {layer.steps} steps")


def _check_start(layer, mode):
    """Refuse a pass of a stream whose steps are beyond the last step that has parameters."""
    _, first = layer.carried_state(mode, (0,), layer.steps)
    if first:
        raise ValueError(
            f"{layer.path} ({type(layer).__name__}): there are parameters for {layer.steps} steps; got step {first + 1}"
        )


class BNTT(Tracked):
    """Batch normalisation through time: every step has its own statistics and its own gamma.

        y[t] = gamma[t] (x[t] - mean[t]) / sqrt(var[t] + eps) + beta[t]

    Mean and variance are taken over the samples and positions of one step. The input is ``[T, N, C]``,
    ``[T, N, L, C]`` or ``[T, N, H, W, C]`` with fixed T; the output has the same shape and the network's float dtype.
    Source: Kim and Panda 2021, "Revisiting batch normalization for training low-latency deep spiking neural networks
    from scratch" (arXiv:2010.01729), which learns gamma and has no beta.

    Args:
        channels: C, the number of channels.
        steps: T, the number of steps.
        eps: added to the variance. Default 1e-5.
        momentum: share of a batch in the running statistics, which inference uses; in (0, 1]. Default 0.1.
        bias: whether to learn beta. Default False, as in the paper: beta stays 0.
        name: shown in reports and errors. Default: the class's name and a number.

    Parameters: gamma ``[T, C]``, one at the start, and with ``bias`` also beta ``[T, C]``, zero at the start; weight
    decay does not act on them. Statistics: mean ``[T, C]`` and var ``[T, C]``.

    Raises:
        ShapeError: the input has another number of steps or channels, or another rank.
        ValueError: a value is out of range, or a stream goes beyond step T.
    """

    carries = True  # carries the number of the step
    fixed_steps = True

    def __init__(
        self,
        channels: int,
        steps: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        bias: bool = False,
        name: str | None = None,
    ):
        super().__init__(name)
        self.channels = whole("BNTT: channels", channels)
        self.steps = whole("BNTT: steps", steps)
        self.eps = positive("BNTT: eps", eps)
        self.momentum = within("BNTT: momentum", momentum, 0, 1, open_low=True)
        self.bias = flag("BNTT: bias", bias)

    def infer(self, shape):
        need_channels(self, shape, self.channels, (3, 4, 5))
        _check_steps(self, shape)
        return shape

    def create(self, shape, rng):
        kernels, size = self.kernels, (self.steps, self.channels)
        claim(self, (4, *size))
        self.gamma = self.add_parameter(Parameter("gamma", kernels.from_host(np.ones(size), self.dtype), "norm"))
        self.beta = Parameter("beta", kernels.zeros(size, self.dtype), "norm")
        if self.bias:
            self.add_parameter(self.beta)
        self.create_running(size)

    def _affine(self, t):
        return Affine(self.gamma.value[t], self.beta.value[t], self.eps)

    def compute(self, x, mode):
        _check_start(self, mode)
        x, padding = self.as_real(x), self.padding_in(mode)
        y = self.buffer("y", x.shape)
        real = x if padding is None else padding.gather(self, x)
        normalised = y if padding is None else self.buffer("normalised rows", real.shape)
        rows = self._rows(real, padding)
        mean, var = self.moments_of(x, mode) if padding is None else self._moments_of_rows(rows, mode)
        for t, (one, result) in enumerate(zip(rows, self._rows(normalised, padding), strict=True)):
            self.kernels.batchnorm_forward(one, self._affine(t), Moments(mean[t], var[t]), result)
        if padding is not None:
            padding.scatter(normalised, y)
        if mode.store:
            self.kept = _Steps(rows, mean, var, not mode.training, padding)
        return y

    def _rows(self, x, padding):
        """Return the rows ``[M, C]`` of every step: of all steps of x ``[T, N, ...]`` or, with padding, of those steps
        that have real rows, from a compact array ``[R, ...]``."""
        if padding is None:
            return list(x.reshape(self.steps, -1, self.channels))
        return [x[first:end].reshape(-1, self.channels) for first, end in padding.spans]

    def _moments_of_rows(self, rows, mode):
        """Return the mean and the variance of each step's real rows; those of steps without real rows are undefined,
        and their running statistics do not change."""
        mean, var = (self.buffer(name, (self.steps, self.channels)) for name in ("mean", "var"))
        for t, one in enumerate(rows):
            step = slice(t, t + 1)
            running = Moments(self.running["mean"][step], self.running["var"][step]) if mode.track else None
            self.kernels.moments(one[None], mean[step], var[step], running, self.momentum)
        return mean, var

    def propagate(self, dy, need_dx):
        x, mean, var, frozen, padding = self.kept
        dx = self.gradient(dy.shape) if need_dx else None
        dgamma, dbeta = self.gradient_of(self.gamma), self.gradient_of(self.beta)
        slopes = results = dy
        if padding is not None:
            slopes = results = padding.gather(self, dy, "gradients of real rows")
        elif need_dx:
            results = dx
        backs = zip(x, self._rows(slopes, padding), self._rows(results, padding), strict=True)
        for t, (one, slope, result) in enumerate(backs):
            self.kernels.batchnorm_backward(
                slope,
                one,
                self._affine(t),
                Moments(mean[t], var[t]),
                frozen,
                result if need_dx else None,
                dgamma[t],
                dbeta[t],
            )
        for t in range(len(x), self.steps):  # steps without real rows
            self.kernels.fill(dgamma[t], 0)
            self.kernels.fill(dbeta[t], 0)
        if padding is not None and need_dx:
            padding.scatter(slopes, dx)
        return dx

    def move(self, kernels, dtype):
        if self.built and not self.bias:
            self.beta.move(kernels, self.kernels, dtype)
        super().move(kernels, dtype)


class TEBN(BatchNorm):
    """Temporal effective batch normalisation: `BatchNorm` over all steps, then one learned factor per step.

        y[t] = p[t] (gamma (x[t] - mean) / sqrt(var + eps) + beta)

    Mean and variance are taken over steps, samples and positions, and p[t] is the same for all channels. The input is
    ``[T, N, C]``, ``[T, N, L, C]`` or ``[T, N, H, W, C]`` with fixed T; the output has the same shape and the network's
    float dtype. Source: Duan, Ding, Chen, Yu and Huang 2022, "Temporal effective batch normalization in spiking neural
    networks" (NeurIPS 35).

    Args:
        channels: C, the number of channels.
        steps: T, the number of steps.
        eps: added to the variance. Default 1e-5.
        momentum: share of a batch in the running statistics, which inference uses; in (0, 1]. Default 0.1.
        name: shown in reports and errors. Default: the class's name and a number.

    Parameters: gamma ``[C]``, one at the start, beta ``[C]``, zero at the start, and p ``[T]``, one at the start;
    weight decay does not act on them. Statistics: mean ``[C]`` and var ``[C]``.

    Raises:
        ShapeError: the input has another number of steps or channels, or another rank.
        ValueError: a value is out of range, or a stream goes beyond step T.
    """

    carries = True  # carries the number of the step
    fixed_steps = True
    recomputes = receives = False

    def __init__(self, channels: int, steps: int, eps: float = 1e-5, momentum: float = 0.1, name: str | None = None):
        super().__init__(channels, eps=eps, momentum=momentum, name=name)
        self.steps = whole("TEBN: steps", steps)

    def infer(self, shape):
        super().infer(shape)
        _check_steps(self, shape)
        return shape

    def create(self, shape, rng):
        super().create(shape, rng)
        claim(self, (self.steps,))
        ones = self.kernels.from_host(np.ones(self.steps), self.dtype)
        self.p = self.add_parameter(Parameter("p", ones, "norm"))

    def compute(self, x, mode):
        _check_start(self, mode)
        normalised = super().compute(x, mode)
        y = self.buffer("scaled", x.shape)
        self.kernels.scale_steps_forward(self._steps(normalised), self.p.value, self._steps(y))
        return y

    def propagate(self, dy, need_dx):
        normalised = self.buffer("y", dy.shape)  # the buffer that the forward pass filled
        slope = self.buffer("slope", dy.shape)
        self.kernels.scale_steps_backward(
            self._steps(dy), self._steps(normalised), self.p.value, self._steps(slope), self.gradient_of(self.p)
        )
        return super().propagate(slope, need_dx)

    def _steps(self, x):
        return x.reshape(self.steps, -1, self.channels)
