"""Batch normalisation that knows the time step: BNTT and TEBN. Both have parameters for a fixed number of steps."""

from typing import NamedTuple

import numpy as np

from ..kernels.types import Affine, Moments
from ..validate import flag, positive, whole, within
from .base import Layer
from .norm import BatchNorm
from .parameter import Parameter
from .shapes import need_channels


class _Steps(NamedTuple):
    """What a pass left: its input ``[T, M, C]``, the moments of every step, and whether these were the running ones."""

    x: object
    mean: object
    var: object
    frozen: bool


def _check_steps(layer, shape):
    """Refuse an input of another number of steps."""
    if shape[0] != layer.steps:
        layer.refuse(shape, f"[{layer.steps}, N, ...]: there are parameters for {layer.steps} steps")


def _check_start(layer, mode):
    """Refuse a pass that is carried on from another: its steps would be beyond those there are parameters for."""
    _, first = layer.carried_state(mode, (0,), layer.steps)
    if first:
        raise ValueError(
            f"{layer.path} ({type(layer).__name__}): there are parameters for {layer.steps} steps; got step {first + 1}"
        )


class BNTT(Layer):
    """Batch normalisation through time: every step has its own statistics and scale. Shape kept; channels last.

        y[t] = gamma[t] (x[t] - mean[t]) / sqrt(var[t] + eps) + beta[t]

    with mean and variance over N and positions of the step alone. Source: Kim and Panda 2021, "Revisiting batch
    normalization for training low-latency deep spiking neural networks from scratch" (arXiv:2010.01729), which learns
    gamma and has no beta. T is fixed.

    Args:
        channels: C.
        steps: T.
        eps: added to the variance. Default 1e-5.
        momentum: share of a batch in the running statistics that inference uses. Default 0.1.
        bias: learn beta as well. Default False, as in the paper.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters: gamma ``[T, C]`` one, beta ``[T, C]`` zero (with ``bias``), without weight decay. Statistics: mean, var
    ``[T, C]``.

    Raises:
        ShapeError: another number of steps.
        ValueError: values out of range; steps beyond T of a stream.
    """

    carries = True  # the number of the step

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
        self.momentum = within("BNTT: momentum", positive("BNTT: momentum", momentum), 0, 1)
        self.bias = flag("BNTT: bias", bias)

    def infer(self, shape):
        need_channels(self, shape, self.channels, (3, 4, 5))
        _check_steps(self, shape)
        return shape

    def create(self, shape, rng):
        kernels, size = self.kernels, (self.steps, self.channels)
        self.gamma = self.add_parameter(Parameter("gamma", kernels.from_host(np.ones(size), self.dtype), "norm"))
        self.beta = Parameter("beta", kernels.zeros(size, self.dtype), "norm")
        if self.bias:
            self.add_parameter(self.beta)
        self.running = {
            "mean": kernels.zeros(size, self.dtype),
            "var": kernels.from_host(np.ones(size), self.dtype),
        }

    def _affine(self, t):
        return Affine(self.gamma.value[t], self.beta.value[t], self.eps)

    def compute(self, x, mode):
        _check_start(self, mode)
        kernels = self.kernels
        rows = self.as_real(x).reshape(self.steps, -1, self.channels)
        y = self.buffer("y", rows.shape)
        mean, var = self.running["mean"], self.running["var"]
        if mode.training:
            mean, var = self.buffer("mean", mean.shape), self.buffer("var", var.shape)
            kernels.moments(rows, mean, var)
            if mode.track:
                kernels.running_update(self.running["mean"], mean, self.momentum)
                kernels.running_update(self.running["var"], var, self.momentum)
        for t in range(self.steps):
            kernels.batchnorm_forward(rows[t], self._affine(t), Moments(mean[t], var[t]), y[t])
        if mode.store:
            self.kept = _Steps(rows, mean, var, not mode.training)
        return y.reshape(x.shape)

    def propagate(self, dy, need_dx):
        x, mean, var, frozen = self.kept
        dx = self.gradient(x.shape) if need_dx else None
        slopes = dy.reshape(x.shape)
        for t in range(self.steps):
            self.kernels.batchnorm_backward(
                slopes[t],
                x[t],
                self._affine(t),
                Moments(mean[t], var[t]),
                frozen,
                None if dx is None else dx[t],
                self.gamma.grad[t],
                self.beta.grad[t],
            )
        return None if dx is None else dx.reshape(dy.shape)

    def own_statistics(self):
        return self.running if self.built else {}

    def set_statistic(self, name, value):
        self.running[name] = self.kernels.from_host(value, self.dtype)

    def move(self, kernels, dtype):
        if self.built and not self.bias:
            self.beta.move(kernels, self.kernels, dtype)
        super().move(kernels, dtype)


class TEBN(BatchNorm):
    """Temporal effective batch normalisation: `BatchNorm` over all steps, then a learned scale a step. Shape kept.

        y[t] = p[t] (gamma (x[t] - mean) / sqrt(var + eps) + beta)

    with mean and variance over T, N and positions, and one p[t] for all channels. Source: Duan, Ding, Chen, Yu and
    Huang 2022, "Temporal effective batch normalization in spiking neural networks" (NeurIPS 35). T is fixed.

    Args:
        channels: C.
        steps: T.
        eps: added to the variance. Default 1e-5.
        momentum: share of a batch in the running statistics that inference uses. Default 0.1.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters, without weight decay: gamma ``[C]`` one, beta ``[C]`` zero, p ``[T]`` one. Statistics: mean, var
    ``[C]``.

    Raises:
        ShapeError: another number of steps.
        ValueError: values out of range; steps beyond T of a stream.
    """

    carries = True  # the number of the step

    def __init__(self, channels: int, steps: int, eps: float = 1e-5, momentum: float = 0.1, name: str | None = None):
        super().__init__(channels, eps=eps, momentum=momentum, name=name)
        self.steps = whole("TEBN: steps", steps)

    def infer(self, shape):
        super().infer(shape)
        _check_steps(self, shape)
        return shape

    def create(self, shape, rng):
        super().create(shape, rng)
        ones = self.kernels.from_host(np.ones(self.steps), self.dtype)
        self.p = self.add_parameter(Parameter("p", ones, "norm"))

    def compute(self, x, mode):
        _check_start(self, mode)
        normalised = super().compute(x, mode)
        y = self.buffer("scaled", x.shape)
        self.kernels.scale_steps_forward(self._steps(normalised), self.p.value, self._steps(y))
        return y

    def propagate(self, dy, need_dx):
        normalised = self.buffer("y", dy.shape)  # as the forward pass left it
        slope = self.buffer("slope", dy.shape)
        self.kernels.scale_steps_backward(
            self._steps(dy), self._steps(normalised), self.p.value, self._steps(slope), self.p.grad
        )
        return super().propagate(slope, need_dx)

    def _steps(self, x):
        return x.reshape(self.steps, -1, self.channels)
