"""Delays of whole time steps."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from ..validate import listed, whole
from .base import Layer


class _Delays(NamedTuple):
    """What a pass keeps: the delay of every channel, on the layer's device."""

    steps: object


class Delay(Layer):
    """Delay every channel by a number of steps: y[t] = x[t - steps], and zero for t < steps.

    The output has the shape and dtype of the input, so spikes stay spikes. What is delayed beyond the last step is
    lost, except in a stream or in truncated BPTT, where the next pass receives it.

    Args:
        steps: delay in steps: one whole number of at least 0, or a sequence with one number per channel.
        channels: C, the number of channels. Default None: the length of steps if it is a sequence; otherwise any number
            of channels is allowed.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: steps are not whole numbers of at least 0, or their number is not channels.
        ShapeError: on building, the input has another rank or number of channels.
    """

    carries = True
    steps: Any

    def __init__(self, steps: int | Sequence[int], channels: int | None = None, name: str | None = None):
        super().__init__(name)
        if several := not isinstance(steps, Integral):
            given = listed("Delay: steps", steps, "whole numbers, or one whole number")
            self.steps = tuple(whole("Delay: steps", step, 0) for step in given)
        else:
            self.steps = whole("Delay: steps", steps, 0)
        self.channels = None if channels is None else whole("Delay: channels", channels)
        if several and (not self.steps or self.channels not in (None, len(self.steps))):
            raise ValueError(
                f"Delay: steps must hold one number per channel; got {len(self.steps)} for {channels} channels"
            )
        self._expected = len(self.steps) if several else self.channels

    def infer(self, shape):
        if len(shape) < 3:
            self.refuse(shape, "[T, N, C], [T, N, L, C] or [T, N, H, W, C]")
        if self._expected not in (None, shape[-1]):
            self.refuse(shape, f"[..., {self._expected}]: the delays are for {self._expected} channels")
        return shape

    def compute(self, x, mode):
        flat = x.shape[0], -1, x.shape[-1]
        x = x.reshape(flat)
        past, _ = self.carried_state(mode, (int(np.max(self.steps)), *x.shape[1:]), len(x))
        if past is None:
            past = self.buffer("past", (0, *x.shape[1:]))
        y = self.buffer("y", x.shape, x.dtype)
        channels = self.output_shape[-1]
        delays = self.fixed_array(
            "delays", channels, lambda: self.kernels.from_host(np.broadcast_to(self.steps, (channels,)), np.int64)
        )
        self.kernels.delay_forward(x, delays, past, y)
        self.kept = _Delays(delays) if mode.store else None
        return y.reshape(self.output_shape)

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        flat = dy.shape[0], -1, dy.shape[-1]
        dx = self.gradient(dy.shape)
        self.kernels.delay_backward(dy.reshape(flat), self.kept.steps, dx.reshape(flat))
        return dx
