"""Group normalisation: statistics of every sample and step by itself, hence any batch size (Wu and He 2018,
arXiv:1803.08494). One group makes it layer normalisation (Ba et al. 2016, arXiv:1607.06450).

x ``[B, M, C]``: B samples and steps of M positions; the C channels are cut into G groups. moments is a
`types.Moments` ``[B, G]``, affine a `types.Affine` without a scale.
"""

import numpy as np


def _grouped(x, groups):
    """``[B, M, C]`` -> ``[B, M, G, C/G]``."""
    return x.reshape(*x.shape[:2], groups, -1)


def _normalised(x, mean, var, eps):
    """B12: (x - mean) / sqrt(var + eps), and the second factor, both ``[B, M, G, C/G]`` or broadcast to it."""
    inverse = 1 / np.sqrt(var + var.dtype.type(eps))[:, None, :, None]
    return (_grouped(x, mean.shape[1]) - mean[:, None, :, None]) * inverse, inverse


def groupnorm_forward(x, affine, moments, y):
    """B12: y = gamma (x - mean) / sqrt(var + eps) + beta; the moments, over positions and the group's channels, are
    results too."""
    (gamma, beta, eps), (mean, var) = affine.unscaled(), moments
    parts = _grouped(x, mean.shape[1])
    mean[...] = parts.mean((1, 3))
    var[...] = ((parts - mean[:, None, :, None]) ** 2).mean((1, 3))
    y[...] = gamma * _normalised(x, mean, var, eps)[0].reshape(x.shape) + beta


def groupnorm_backward(dy, x, affine, moments, dx, dgamma, dbeta):
    """B13: gradients of `groupnorm_forward`, the moments being functions of x; dx is None where nobody needs it."""
    (gamma, _, eps), (mean, var) = affine.unscaled(), moments
    normalised, inverse = _normalised(x, mean, var, eps)
    dbeta[...] = dy.sum((0, 1))  # B13
    dgamma[...] = (dy * normalised.reshape(x.shape)).sum((0, 1))
    if dx is None:
        return
    slope = _grouped(gamma * dy, mean.shape[1])
    mean_slope = slope.mean((1, 3), keepdims=True)
    projection = (slope * normalised).mean((1, 3), keepdims=True)
    dx[...] = (inverse * (slope - mean_slope - normalised * projection)).reshape(x.shape)
