"""Potential distribution adjustment: the tracked correction and the divergence objective (docs/method.md, D3, D4)."""

import numpy as np


def shift_update(d, mean, target, momentum):
    """D3: d[t, c] <- d[t, c] + momentum (mean[t, c] - target[c]), in place."""
    d += d.dtype.type(momentum) * (mean - target)


def merge_steps(mean, var, total_mean, total_var):
    """M3: moments over all steps, ``[C]``, from those of every step, ``[T, C]``."""
    total_mean[...] = mean.mean(0, dtype=np.float64)
    total_var[...] = var.mean(0, dtype=np.float64) + ((mean - mean.mean(0, dtype=np.float64)) ** 2).mean(0)


def normalised_moments(mean, var, centre, factor, offset, normalised_mean, normalised_var):
    """B10: mean and variance of (x - centre) factor + offset, for x of this mean and variance; all ``[C]``."""
    normalised_mean[...] = (mean - centre) * factor + offset
    normalised_var[...] = var * factor**2


def divergence(mean, var, target_mean, target_var, eps, weight, n, value, p_offset, p_slope):
    """D4, D5, D6: the divergence objective and its gradient on the potentials, per channel.

    Args:
        mean, var: of a channel's n potentials over time, samples and positions; ``[C]``.
        target_mean, target_var: of the normal distribution that is aimed at; ``[C]``.
        eps: added to both variances, so that a silent channel stays finite.
        weight: factor of the objective in the loss; the objective is the mean of J over channels.
        n: potentials a channel.
        value: out, weight J / C ``[C]``; its sum is what the loss gains.
        p_offset, p_slope: out, its gradient dL/du = p_offset + p_slope u; ``[C]``.
    """
    v, w = var + mean.dtype.type(eps), target_var + mean.dtype.type(eps)
    gap = mean - target_mean
    factor = mean.dtype.type(weight / len(mean))
    value[...] = factor * (((v + gap**2) / w + (w + gap**2) / v) / 2 - 1)  # D4
    slope = factor / mean.dtype.type(n) * (1 / w - (w + gap**2) / v**2)  # D6
    p_offset[...] = factor / mean.dtype.type(n) * gap * (1 / w + 1 / v) - slope * mean  # D5
    p_slope[...] = slope
