"""PDA, potential distribution adjustment: it tracks the shift of the membrane potentials and subtracts it.

With a hard reset, the potentials of neurons that fired are not carried to the next step. The mean of the potentials
therefore falls below the mean that the normalisation in front of the neuron gives the current. PDA tracks this shift
for every step t and channel c, and subtracts it (docs/method.md, D1, D2, D3):

    m[t,c] = mean of u[t] over batch and positions        m*[c] = mean of the input current over t, batch, positions
    d[t,c] <- d[t,c] + momentum (m[t,c] - m*[c])           in training; u[t] = beta v[t-1] + i[t] - d[t]

The backward pass treats d as a constant; inference does not change it, and checkpoints store it. A second, optional
form adds to the loss the symmetric Kullback-Leibler divergence between the normal distributions that have the moments
of the potentials and of the target.

Wang, Cheng and Lim (arXiv:2304.13289) proposed to measure the shift of the potentials and to adjust their distribution;
both formulas are this project's own formulation of the idea.
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from .describe import Described
from .kernels.types import Direct, Moments, Objective
from .portable import Portable, nothing
from .validate import at_least, flag, number, positive, within

SETTLING = 50
"""Number of tracked passes from the beginning in which the shift is measured every time."""

OFTEN = 5
"""Later, the number of tracked passes from one measurement to the next: the shift changes slowly then, and to measure
it every time costs 5 to 8 % of a training step."""


class PDA(Described):
    """Settings of the potential distribution adjustment of one neuron layer.

    In recurrent neurons the shift is part of the computation of the network, and to subtract it cost 5 to 44 points of
    accuracy (benchmarks/RESULTS.md). By default they are therefore not corrected.

    Args:
        momentum: share of the shift of a batch that is added to the correction, in (0, 1]. Default 0.1. The shift of
            the first 50 batches is measured, and then of every fifth.
        correct: whether to subtract the tracked shift. With False only the divergence objective acts. Default None:
            True, but False for recurrent neurons.
        target: mean potential that PDA aims at. Default None: the mean of the input current. In a deep network without
            normalisation, a target just below the threshold keeps neurons firing (benchmarks/RESULTS.md).
        divergence: weight of the divergence objective in the loss, at least 0. Default 0: no objective. The objective
            is the mean over channels of J (docs/method.md, D4), with the tracked mean and variance of the input current
            as target.
        eps: added to both variances of the objective, so that it is finite for silent channels. Default 1e-3.

    Raises:
        ValueError: momentum is outside (0, 1], divergence is negative, eps is not positive, or target is not finite.
    """

    def __init__(
        self,
        momentum: float = 0.1,
        correct: bool | None = None,
        target: float | None = None,
        divergence: float = 0.0,
        eps: float = 1e-3,
    ):
        self.momentum = within("PDA: momentum", momentum, 0, 1, open_low=True)
        self.correct = None if correct is None else flag("PDA: correct", correct)
        self.target = None if target is None else number("PDA: target", target)
        self.divergence = at_least("PDA: divergence", divergence, 0)
        self.eps = positive("PDA: eps", eps)

    def corrects(self, recurrent: bool) -> bool:
        """Return whether the shift is subtracted in a layer that is recurrent, or is not."""
        return not recurrent if self.correct is None else self.correct

    def of_layer(self, recurrent: bool) -> "PDA":
        """Return the same settings for a layer, with None where ``correct`` says what is its default there. Files of
        earlier versions always say it, and have to describe the same network as the default."""
        if recurrent or not self.correct:
            return self
        return PDA(self.momentum, None, self.target, self.divergence, self.eps)


class RealPotentials(NamedTuple):
    """Moments of the potentials of a batch in which sequences have different lengths; padding does not count.

    Attributes:
        mean: mean per step, over those samples (and their positions) that are real at the step: ``[T', C]``, where T'
            is the largest length.
        total: mean and variance over all real steps, each ``[C]``.
        potentials: number of potentials per channel, over all real steps.
        ends: length of every row, ``[M]``; the objective acts on the potentials of earlier steps only.
    """

    mean: Any
    total: Moments
    potentials: int
    ends: Any


class Acting(NamedTuple):
    """The divergence objective of one pass.

    Attributes:
        shares: ``[C]``, the term of every channel, times the weight.
        direct: the gradient by the potentials.
    """

    shares: Any
    direct: Direct


class ShiftTracker(Portable):
    """The state of PDA in one neuron layer, with its computations before and after the kernels of the neuron.

    Attributes:
        settings, correct: the `PDA` of the layer, and whether it subtracts the shift there.
        correction: d ``[T, C]``, where T is the largest number of steps that was tracked.
        target: tracked mean and variance of the input current, ``[2, C]``; the target of the divergence objective.
        batches: number of tracked passes, ``[1]``.
    """

    transient: ClassVar = {"_aim": nothing}
    statistics = "correction", "target", "batches"

    def __init__(self, settings: PDA, channels: int, kernels, dtype, recurrent: bool = False):
        self.settings, self.kernels, self.dtype = settings, kernels, dtype
        self.correct = settings.corrects(recurrent)
        self.correction = kernels.zeros((0, channels), dtype)
        self.target = kernels.from_host(np.stack([np.zeros(channels), np.ones(channels)]), dtype)
        self.batches = np.zeros(1, np.int64)
        self._aim: Any = None

    def move(self, kernels, dtype) -> None:
        """Compute on another device or in another dtype from now on; the layer moves the tracked arrays."""
        self.kernels, self.dtype, self._aim = kernels, dtype, None

    def correction_for(self, steps: int, first: int = 0):
        """Return d ``[steps, C]`` from step `first` on. Steps beyond the tracked ones use the last tracked value."""
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

    def measures(self, mode) -> bool:
        """Return whether a pass of this mode is measured: `observe` then needs the moments of the current."""
        return bool(mode.track and (self.batches[0] < SETTLING or self.batches[0] % OFTEN == 0))

    def wants_potentials(self, mode) -> bool:
        """Return whether `observe` needs the moments of the potentials in a pass of this mode."""
        measured = self.measures(mode)
        return bool((measured and self.correct) or ((measured or mode.store) and self.settings.divergence))

    def observe(
        self, current, potentials: Moments | RealPotentials | None, rows, mode, first: int = 0
    ) -> Acting | None:
        """Update the tracked values after a forward pass that is tracked or stored, and return the objective of the
        pass; None if PDA has no objective.

        Args:
            current: mean and variance of the input current, each ``[C]``; None if the pass is not measured.
            potentials: mean and variance of the potentials over samples and positions, each ``[T, C]``, or what there
                is instead for sequences of different length; None if `wants_potentials` returns False.
            rows: number of samples times number of positions.
            mode: mode of the pass; ``mode.track`` updates correction and target.
            first: number of the first step of the pass, if it continues an earlier one. Default 0.
        """
        if mode.track:
            if current is not None:
                self._track(current, None if potentials is None else potentials.mean, first)
            self.batches += 1
        if potentials is None or not self.settings.divergence:
            return None
        steps, channels = potentials.mean.shape
        total_mean, total_var, value, *pull = (self.kernels.empty((channels,), self.dtype) for _ in range(6))
        centre, offset, slope = pull
        if isinstance(potentials, RealPotentials):
            _, total, count, ends = potentials
        else:
            total, count, ends = Moments(total_mean, total_var), steps * rows, None
            self.kernels.merge_steps(potentials, total)
        direct = Direct(centre, offset, slope, ends)
        objective = Objective(self.settings.divergence, self.settings.eps, count)
        self.kernels.divergence(total, Moments(self.target[0], self.target[1]), objective, value, direct)
        return Acting(value, direct)

    def _track(self, current, mean, first):
        settings, kernels = self.settings, self.kernels
        if settings.target is not None:
            if self._aim is None:
                self._aim = kernels.from_host(np.full(len(current[0]), settings.target), self.dtype)
            current = self._aim, current[1]
        weight = settings.momentum if self.batches[0] else 1.0
        for tracked, value in zip(self.target, current, strict=True):
            kernels.running_update(tracked, value, weight)
        if self.correct:
            end = first + len(mean)
            before = self.correction_for(max(end, len(self.correction)))
            correction = kernels.empty(before.shape, self.dtype)  # the backward pass still needs the old array
            kernels.copy(before, correction)
            kernels.shift_update(correction[first:end], mean, current[0], settings.momentum)
            self.correction = correction
