"""PDA, potential distribution adjustment: the shift of the membrane potentials is tracked and taken out.

With hard reset what is carried over to the next step is truncated from above (what fired was removed), so the
potentials' mean slides below what the normalisation in front of the neuron prescribes. PDA tracks that shift for every
step t and channel c and subtracts it (docs/method.md, D1, D2, D3):

    m[t,c] = mean of u[t] over batch and positions        m*[c] = mean of the input current over t, batch, positions
    d[t,c] <- d[t,c] + momentum (m[t,c] - m*[c])           in training; u[t] = beta v[t-1] + i[t] - d[t]

d is constant in the backward pass, frozen at inference and saved with the model. A second, optional form adds the
symmetric Kullback-Leibler divergence between the potentials' normal approximation and the target's to the loss.

Measuring the potential shift and adjusting the distribution is the idea of Wang, Cheng and Lim (arXiv:2304.13289); both
formulas are this project's own formulation of it.
"""

from typing import Any, ClassVar

import numpy as np

from .describe import Described
from .kernels.types import Direct, Moments, Objective
from .portable import Portable, nothing
from .validate import flag, number, positive, within


class PDA(Described):
    """Settings of the potential distribution adjustment of one neuron layer.

    For layers that feed forward. Where neurons feed their spikes back the shift is part of what the network computes,
    and taking it out cost accuracy (benchmarks/RESULTS.md).

    Args:
        momentum: share of a batch's shift that goes into the correction, in (0, 1]. Default 0.1.
        correct: subtract the tracked shift. Default True; False leaves the divergence objective alone at work.
        target: the mean potential that is aimed at; None (default) takes the mean of the input current. A target just
            below the threshold keeps a deep network awake that has no normalisation (benchmarks/RESULTS.md).
        divergence: weight of the divergence objective in the loss; 0 (default) leaves it out. The objective is the mean
            over channels of J, with target mean and variance the tracked ones of the input current.
        eps: added to both variances of the objective, so that silent channels stay finite. Default 1e-3.

    Raises:
        ValueError: a momentum outside (0, 1], a negative weight, a non-positive eps.
    """

    def __init__(
        self,
        momentum: float = 0.1,
        correct: bool = True,
        target: float | None = None,
        divergence: float = 0.0,
        eps: float = 1e-3,
    ):
        self.momentum = within("PDA: momentum", positive("PDA: momentum", momentum), 0, 1)
        self.correct = flag("PDA: correct", correct)
        self.target = None if target is None else number("PDA: target", target)
        self.divergence = within("PDA: divergence", divergence, 0, float("inf"))
        self.eps = positive("PDA: eps", eps)


class ShiftTracker(Portable):
    """The state of PDA in one neuron layer, and what it does around the neuron's kernels.

    Attributes:
        settings: the layer's `PDA`.
        correction: d ``[T, C]`` for as many steps as were ever tracked.
        target: tracked mean and variance of the input current ``[2, C]``, what the divergence objective aims at.
        batches: how many batches have been tracked, ``[1]``.
    """

    transient: ClassVar = {"_direct": nothing, "_shares": nothing}

    def __init__(self, settings: PDA, channels: int, kernels, dtype):
        self.settings, self.kernels, self.dtype = settings, kernels, dtype
        self.correction = kernels.zeros((0, channels), dtype)
        self.target = kernels.from_host(np.stack([np.zeros(channels), np.ones(channels)]), dtype)
        self.batches = np.zeros(1, np.int64)
        self._direct: Direct | None = None
        self._shares: Any = None

    @property
    def penalty(self) -> float:
        """The divergence objective of the last forward pass, weight included; where it lives elsewhere, the host waits
        for it."""
        return 0.0 if self._shares is None else float(self.kernels.to_host(self._shares).sum(dtype=np.float64))

    def correction_for(self, steps: int, first: int = 0):
        """d ``[steps, C]`` from step `first` on: beyond the steps that were tracked the last one's value goes on."""
        known = len(self.correction)
        if first + steps <= known:
            return self.correction[first : first + steps]
        longer = self.kernels.zeros((steps, self.correction.shape[1]), self.dtype)
        tracked = max(0, known - first)
        if tracked:
            self.kernels.copy(self.correction[first:], longer[:tracked])
        if known:
            self.kernels.repeat(self.correction[known - 1], longer[tracked:])
        return longer

    def wants_potentials(self, mode) -> bool:
        """Whether `observe` needs the moments of a pass's potentials."""
        settings = self.settings
        return bool((mode.track and settings.correct) or ((mode.track or mode.store) and settings.divergence))

    def observe(self, current, mean, var, rows, mode, first: int = 0) -> None:
        """After a forward pass that is tracked or can be gone back through: track, and prepare the objective.

        Args:
            current: mean and variance of the input current, each ``[C]``; None where nothing is tracked.
            mean, var: moments of the potentials over samples and positions, each ``[T, C]``, where they are wanted.
            rows: samples times positions.
            mode: the pass's mode; with ``mode.track`` correction and targets are updated.
            first: number of the pass's first step, where it goes on from an earlier one.
        """
        self._shares = self._direct = None
        if mode.track:
            self._track(current, mean, first)
        if not self.settings.divergence:
            return
        steps, channels = mean.shape
        total_mean, total_var, value, offset, slope = (self.kernels.empty((channels,), self.dtype) for _ in range(5))
        total, direct = Moments(total_mean, total_var), Direct(offset, slope)
        self.kernels.merge_steps(Moments(mean, var), total)
        objective = Objective(self.settings.divergence, self.settings.eps, steps * rows)
        self.kernels.divergence(total, Moments(self.target[0], self.target[1]), objective, value, direct)
        self._shares, self._direct = value, direct

    def _track(self, current, mean, first):
        settings, kernels = self.settings, self.kernels
        if settings.target is not None:
            current = kernels.from_host(np.full(len(current[0]), settings.target), self.dtype), current[1]
        weight = settings.momentum if self.batches[0] else 1.0
        for tracked, value in zip(self.target, current, strict=True):
            kernels.running_update(tracked, value, weight)
        self.batches += 1
        if settings.correct:
            end = first + len(mean)
            before = self.correction_for(max(end, len(self.correction)))
            correction = kernels.empty(before.shape, self.dtype)  # the backward pass still needs what was there before
            kernels.copy(before, correction)
            kernels.shift_update(correction[first:end], mean, current[0], settings.momentum)
            self.correction = correction

    @property
    def direct_gradient(self) -> Direct | None:
        """The gradient of the objective in the last pass; None where there was none."""
        return self._direct
