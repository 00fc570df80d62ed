"""Group normalisation (Wu and He 2018, arXiv:1803.08494). Each sample and step has moments of its own, so that the
result does not depend on the batch. With one group it is layer normalisation (Ba et al. 2016, arXiv:1607.06450).

x is ``[B, M, C]``: B samples times steps, M positions, and C channels in G groups. moments is a `types.Moments` of
shape ``[B, G]``, and affine a `types.Affine` without a scale.
"""

import numpy as np


def _grouped(x, groups):
    """x ``[B, M, C]`` with its channels in groups, ``[B, M, G, C/G]``."""
    return x.reshape(*x.shape[:2], groups, -1)


def _normalised(x, mean, var, eps):
    """B12: (x - mean) / sqrt(var + eps), ``[B, M, G, C/G]``, and 1 / sqrt(var + eps), ``[B, 1, G, 1]``."""
    inverse = 1 / np.sqrt(var + var.dtype.type(eps))[:, None, :, None]
    return (_grouped(x, mean.shape[1]) - mean[:, None, :, None]) * inverse, inverse


def groupnorm_forward(x, affine, moments, y):
    """B12: y = gamma (x - mean) / sqrt(var + eps) + beta. The outputs are y and moments.

    Mean and variance are taken over the positions and the group's channels.
    """
    (gamma, beta, eps), (mean, var) = affine.unscaled(), moments
    parts = _grouped(x, mean.shape[1])
    mean[...] = parts.mean((1, 3))
    var[...] = ((parts - mean[:, None, :, None]) ** 2).mean((1, 3))
    y[...] = gamma * _normalised(x, mean, var, eps)[0].reshape(x.shape) + beta


def groupnorm_backward(dy, x, affine, moments, dx, dgamma, dbeta):
    """B13: gradients of `groupnorm_forward`, whose moments depend on x. dx is None if it is not needed."""
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
