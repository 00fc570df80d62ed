"""The rule "window" of PSG: the width follows the potentials, so that the surrogate sees a given share of them.

Where potentials are normally distributed, with mean m and variance w, the width alpha is determined by

    share = N((reach alpha - gap) / dev) - N((-reach alpha - gap) / dev)        gap = m - theta,  dev = sqrt(w)

with the distribution function N of the normal distribution (docs/method.md, P4, P5). Unlike the rule "gradient", this
one has no gradient and no learning rate, and where it ends does not depend on where it starts.
"""

from typing import Any

import numpy as np

from .kernels.types import Moments, SeenShare
from .pda import RealPotentials
from .portable import Portable
from .psg import PSG

OFTEN = 10
"""Tracked passes from one measurement of the potentials to the next. Their distribution changes slowly, and to measure
in every pass would cost several per cent of a training step."""

SHARE = 0.3
"""Weight of a new measurement in the tracked moments."""


class WindowTracker(Portable):
    """The state of the rule in one neuron layer.

    Attributes:
        aim: share, reach and bounds.
        width: the width that the rule has set last, ``[C]``, or the start value.
        potentials: tracked mean and variance of the potentials, ``[2, G]``; G is 1 for one width per layer, else C.
        passes: number of tracked passes, ``[1]``.
    """

    statistics = "width", "potentials", "passes"

    def __init__(self, psg: PSG, channels: int, bounds: tuple[float, float], kernels, dtype):
        self.kernels, self.dtype = kernels, dtype
        self.aim = SeenShare(psg.share, psg.reach, *bounds)
        groups = channels if psg.per == "channel" else 1
        self.width = kernels.from_host(np.full(channels, psg.width), dtype)
        self.potentials = kernels.from_host(np.stack([np.zeros(groups), np.ones(groups)]), dtype)
        self.passes = np.zeros(1, np.int64)

    def move(self, kernels, dtype) -> None:
        """Compute on another device or in another dtype from now on; the layer moves the arrays."""
        self.kernels, self.dtype = kernels, dtype

    def wants_potentials(self, mode) -> bool:
        """Return whether `observe` needs the moments of the potentials in a pass of this mode."""
        return bool(mode.track and self.passes[0] % OFTEN == 0)

    def set_width(self, mode, theta: Any, width: Any) -> None:
        """Before a pass, set the width ``[C]`` by what the last tracked pass has measured. Forward and backward pass
        need the same width, so that it changes in between two passes only."""
        if mode.track and self.passes[0] % OFTEN == 1:
            self.kernels.window_width(Moments(*self.potentials), theta, self.aim, self.width)
            self.kernels.copy(self.width, width)

    def observe(self, potentials: Moments | RealPotentials | None, mode) -> None:
        """Track the moments of a pass, ``[T, C]``, or what there is instead for sequences of different length."""
        if not mode.track:
            return
        if self.wants_potentials(mode):
            weight = SHARE if self.passes[0] else 1.0
            for tracked, value in zip(self.potentials, self._together(potentials), strict=True):
                self.kernels.running_update(tracked, value, weight)
        self.passes += 1

    def _together(self, potentials):
        """Return mean and variance over all steps and, for one width per layer, over all channels."""
        kernels, channels = self.kernels, potentials.mean.shape[-1]
        if isinstance(potentials, RealPotentials):
            found = potentials.total
        else:
            found = Moments(*kernels.empty((2, channels), self.dtype))
            kernels.merge_steps(potentials, found)
        if self.potentials.shape[1] == channels:
            return found
        layer = Moments(*kernels.empty((2, 1), self.dtype))
        kernels.merge_steps(Moments(*(x.reshape(channels, 1) for x in found)), layer)
        return layer
