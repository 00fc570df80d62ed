"""Potential distribution adjustment: the tracked correction and the divergence objective (docs/method.md, D3, D4)."""

import numpy as np


def shift_update(d, mean, target, momentum):
    """D3: d[t, c] <- d[t, c] + momentum (mean[t, c] - target[c]), in place."""
    d += d.dtype.type(momentum) * (mean - target)


def merge_steps(moments, total):
    """M3: moments over all steps, ``[C]``, from those of every step, ``[T, C]``; both are `types.Moments`."""
    mean, var = moments
    total.mean[...] = mean.mean(0, dtype=np.float64)
    total.var[...] = var.mean(0, dtype=np.float64) + ((mean - mean.mean(0, dtype=np.float64)) ** 2).mean(0)


def normalised_moments(moments, norm, normalised):
    """B10: mean and variance of (x - centre) factor + offset (a `types.Norm`), for x of these moments; all ``[C]``.
    normalised is out, and may be in the memory of the moments."""
    centre, factor, offset = norm
    normalised.mean[...] = (moments.mean - centre) * factor + offset
    normalised.var[...] = moments.var * factor**2


def divergence(moments, target, objective, value, direct):
    """D4, D5, D6: the divergence objective and its gradient on the potentials, per channel.

    Args:
        moments: a `types.Moments` of a channel's potentials over time, samples and positions; ``[C]``.
        target: a `types.Moments` of the normal distribution that is aimed at; ``[C]``.
        objective: a `types.Objective`; the objective is the mean of J over channels.
        value: out, weight J / C ``[C]``; its sum is what the loss gains.
        direct: out, a `types.Direct`, its gradient dL/du = offset + slope u; ``[C]``.
    """
    (mean, var), (target_mean, target_var), (weight, eps, n) = moments, target, objective
    v, w = var + mean.dtype.type(eps), target_var + mean.dtype.type(eps)
    gap = mean - target_mean
    factor = mean.dtype.type(weight / len(mean))
    value[...] = factor * (((v + gap**2) / w + (w + gap**2) / v) / 2 - 1)  # D4
    slope = factor / mean.dtype.type(n) * (1 / w - (w + gap**2) / v**2)  # D6
    direct.offset[...] = factor / mean.dtype.type(n) * gap * (1 / w + 1 / v) - slope * mean  # D5
    direct.slope[...] = slope
