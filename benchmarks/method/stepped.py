"""Ways to adjust potentials that numsnn's kernels do not have, for the tournament: neurons in NumPy, step by step.

A step charges u[t] = beta v[t-1] + i[t], looks at the potentials (`SteppedLIF.view`), fires where what it sees reaches
the threshold, and resets the potentials themselves to 0. A loss may act on the potentials (`SteppedLIF.pull`). All are
slow, and only as general as the tournament needs.
"""

from typing import Any, NamedTuple

import numpy as np

import numsnn as snn
from numsnn.kernels.reference.surrogate import CDF, DENSITY

EPS = 1e-5


class Steps(NamedTuple):
    """What a pass keeps: potentials, spikes, what was seen, what the way back of every step needs, and the gradient of
    a loss on the potentials. There is no visible mask."""

    u: np.ndarray
    s: np.ndarray
    seen: np.ndarray
    ways: list
    pull: np.ndarray | None
    visible: None = None


class SteppedLIF(snn.LIF):
    """A leaky neuron with a hard reset to 0 and a fixed width that sees its potentials as they are."""

    def view(self, u, t, mode) -> tuple[Any, Any]:
        """What decides about firing at step t, ``[M, C]``, and what the way back needs."""
        return u, None

    def view_back(self, slope, kept):
        """The gradient by u, from that by what `view` returned."""
        return slope

    def pull(self, u, mode) -> tuple[float, Any]:
        """The term of a loss on the potentials ``[T, M, C]``, and its gradient by them."""
        return 0.0, None

    @property
    def penalty(self) -> float:
        return self._penalty

    def pieces(self):  # a smooth family has one piece; so does every view
        return np.zeros(1, int)

    def compute(self, x, mode, norm=None):
        i = x.reshape(len(x), -1, x.shape[-1])
        beta, theta, width = self.leak.natural, self.threshold.natural, self.width.natural
        u, s, seen, kept = np.empty_like(i), np.empty_like(i), np.empty_like(i), []
        v: Any = 0
        for t in range(len(i)):
            u[t] = beta * v + i[t]
            seen[t], way = self.view(u[t], t, mode)
            z = (seen[t] - theta) / width
            s[t] = CDF[self.surrogate.family](z) if mode.relaxed else z >= 0
            v = u[t] * (1 - s[t])
            kept.append(way)
        self._penalty, p = self.pull(u, mode) if mode.store else (0.0, None)
        self.kept = Steps(u, s, seen, kept, p) if mode.store else None
        s = s if mode.relaxed else s.astype(np.uint8)
        return s.reshape(x.shape)

    def propagate(self, dy, need_dx):
        u, s, seen, kept, p = self.kept[:5]
        beta, theta, width = self.leak.natural, self.threshold.natural, self.width.natural
        g, di, e = dy.reshape(u.shape), np.empty_like(u), 0
        for t in reversed(range(len(u))):
            q = g[t] - e * u[t]  # N5
            slope = q * DENSITY[self.surrogate.family]((seen[t] - theta) / width) / width
            di[t] = self.view_back(slope, kept[t]) + e * (1 - s[t])  # N7, with what is seen in place of u
            if p is not None:
                di[t] += p[t]
            e = beta * di[t]
        return di.reshape(dy.shape)


class NormalisedLIF(SteppedLIF):
    """MPBN (Guo et al., ICCV 2023): fires on normalised potentials, and resets the potentials themselves. Statistics
    are those of each step of the batch; gamma starts at 1 and beta at 0, and both are learned."""

    momentum = 0.1

    def create(self, shape, rng):
        super().create(shape, rng)
        steps, channels = shape[0], shape[-1]
        self.gamma = self.add_parameter(snn.Parameter("gamma", np.ones(channels, self.dtype), "norm"))
        self.beta = self.add_parameter(snn.Parameter("beta", np.zeros(channels, self.dtype), "norm"))
        self.running = np.stack([np.zeros((steps, channels)), np.ones((steps, channels))]).astype(self.dtype)

    def view(self, u, t, mode):
        if t == 0:
            self.gamma.grad, self.beta.grad = np.zeros_like(self.gamma.value), np.zeros_like(self.beta.value)
        mean, var = (u.mean(0), u.var(0)) if mode.training else self.running[:, t]
        if mode.track:
            self.running[:, t] += self.momentum * (np.stack([mean, var]) - self.running[:, t])
        inverse = 1 / np.sqrt(var + EPS)
        normal = (u - mean) * inverse
        return self.gamma.value * normal + self.beta.value, (normal, inverse, mode.training)

    def view_back(self, slope, kept):
        normal, inverse, training = kept
        self.gamma.grad = self.gamma.grad + (slope * normal).sum(0)
        self.beta.grad = self.beta.grad + slope.sum(0)
        slope = slope * self.gamma.value
        if training:  # B7
            slope = slope - slope.mean(0) - normal * (slope * normal).mean(0)
        return slope * inverse


class TrackedLIF(SteppedLIF):
    """Fires on potentials that are moved and stretched, per step and channel, to the mean and deviation that the input
    current has. What is tracked is a constant of the backward pass."""

    momentum = 0.1

    def create(self, shape, rng):
        super().create(shape, rng)
        steps, channels = shape[0], shape[-1]
        self.running = np.stack([np.zeros((steps, channels)), np.ones((steps, channels))]).astype(self.dtype)
        self.aim = np.stack([np.zeros(channels), np.ones(channels)]).astype(self.dtype)

    def compute(self, x, mode, norm=None):
        if mode.track:
            rows = x.reshape(-1, x.shape[-1])
            self.aim += self.momentum * (np.stack([rows.mean(0), rows.var(0)]) - self.aim)
        return super().compute(x, mode, norm)

    def view(self, u, t, mode):
        mean, var = self.running[:, t]
        scale = np.sqrt((self.aim[1] + EPS) / (var + EPS))
        seen = (u - mean) * scale + self.aim[0]
        if mode.track:
            self.running[:, t] += self.momentum * (np.stack([u.mean(0), u.var(0)]) - self.running[:, t])
        return seen, scale

    def view_back(self, slope, kept):
        return slope * kept


class QuantisedLIF(SteppedLIF):
    """The quantisation loss (RMP-Loss): weight times the mean of min(abs(u), abs(theta - u))^2, the squared distance to
    what a spike can say."""

    weight = 0.05

    def pull(self, u, mode):
        theta = self.threshold.natural
        gap = np.where(u < theta / 2, u, u - theta)
        scale = self.weight / gap.size
        self._low = u < theta / 2
        return float(scale * np.square(gap, dtype=np.float64).sum()), 2 * scale * gap

    def pieces(self):
        return self._low.astype(int)


class StepDistillation(snn.losses.RateCrossEntropy):
    """Distillation between time steps: the cross-entropy of the mean, plus weight times the mean over steps of
    KL(p[best] || p[t]), p being the softmax of a step's readout and best the sample's most confident step, a constant.
    """

    def __init__(self, label_smoothing: float = 0.0, weight: float = 0.5):
        super().__init__(label_smoothing)
        self.weight = weight

    def evaluate(self, kernels, z, y, shares, loss, dz):
        super().evaluate(kernels, z, y, shares, loss, dz)
        steps, samples, _ = z.shape
        p = np.exp(z - z.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        best = p[p.max(-1).argmax(0), np.arange(samples)]
        apart = (best * (np.log(best + 1e-12) - np.log(p + 1e-12))).sum(-1)
        loss += self.weight * apart.mean(0).astype(loss.dtype)
        dz += (self.weight / (steps * samples) * (p - best)).astype(dz.dtype)
