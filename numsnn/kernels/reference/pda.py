"""What follows the moments of the potentials: the tracked correction and the divergence objective of PDA, and the width
of a PSG with the rule "window" (docs/method.md, D3, D4, P4)."""

import numpy as np
from scipy.special import ndtr

from ..types import HALVINGS


def shift_update(d, mean, target, momentum):
    """D3: d[t, c] <- d[t, c] + momentum (mean[t, c] - target[c]), in place.

    d and mean are ``[T, C]``, and target is ``[C]``.
    """
    d += d.dtype.type(momentum) * (mean - target)


def merge_steps(moments, total):
    """M3: compute the moments over all steps, total ``[C]``, from those of each step, moments ``[T, C]``.

    Both arguments are `types.Moments`; total is the output.
    """
    mean, var = moments
    total.mean[...] = mean.mean(0, dtype=np.float64)
    total.var[...] = var.mean(0, dtype=np.float64) + ((mean - mean.mean(0, dtype=np.float64)) ** 2).mean(0)


def normalised_moments(moments, norm, normalised):
    """B10: the moments of (x - centre) factor + offset, if x has the given moments. All arrays are ``[C]``.

    norm is a `types.Norm`. normalised, a `types.Moments`, is the output. It may use the arrays of `moments`.
    """
    centre, factor, offset = norm
    normalised.mean[...] = (moments.mean - centre) * factor + offset
    normalised.var[...] = moments.var * factor**2


def divergence(moments, target, objective, value, direct):
    """D4, D5, D6: the divergence objective and its gradient by the potentials, per channel.

    Args:
        moments: a `types.Moments` ``[C]`` of the potentials over steps, samples and positions.
        target: a `types.Moments` ``[C]`` of the normal distribution that PDA aims at.
        objective: a `types.Objective`. The objective is weight times the mean of J over channels.
        value: output, weight J / C, ``[C]``. The loss gains the sum of these.
        direct: output, a `types.Direct` ``[C]``, the gradient dL/du = offset + slope (u - centre) with the mean as
            centre.
    """
    (mean, var), (target_mean, target_var), (weight, eps, n) = moments, target, objective
    v, w = var + mean.dtype.type(eps), target_var + mean.dtype.type(eps)
    gap = mean - target_mean
    factor = mean.dtype.type(weight / len(mean))
    value[...] = factor * (((v + gap**2) / w + (w + gap**2) / v) / 2 - 1)  # D4
    slope = factor / mean.dtype.type(n) * (1 / w - (w + gap**2) / v**2)  # D6
    direct.centre[...] = mean
    direct.offset[...] = factor / mean.dtype.type(n) * gap * (1 / w + 1 / v)  # D5
    direct.slope[...] = slope


def window_width(moments, theta, aim, width):
    """P4: the width at which the surrogate sees a share of the potentials, if these are normally distributed.

    Args:
        moments: a `types.Moments` of the potentials, ``[C]``, or ``[1]`` for one width, to which the mean threshold
            belongs.
        theta: thresholds, ``[C]``.
        aim: a `types.SeenShare`.
        width: output, ``[C]``.
    """
    share, reach, low, high = aim
    mean, var = (x.astype(np.float64) for x in moments)
    gap = mean - (theta if len(mean) == len(theta) else theta.mean(dtype=np.float64))
    dev = np.maximum(np.sqrt(var), 1e-3 * low)
    low, high = np.full_like(gap, low), np.full_like(gap, high)
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        below = ndtr((reach * middle - gap) / dev) - ndtr((-reach * middle - gap) / dev) < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    width[...] = np.sqrt(low * high)
