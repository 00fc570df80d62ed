"""Moments over samples, batch normalisation, and scales that differ from step to step.

Rows are everything that is averaged over (T, N, H, W). affine is a `types.Affine`, moments a `types.Moments`.
"""

import numpy as np


def moments(x, mean, var):
    """B1: mean and (biased) variance of every group and channel: x ``[G, M, C]`` -> mean, var ``[G, C]``."""
    mean[...] = x.mean(1)
    var[...] = ((x - mean[:, None]) ** 2).mean(1)


def running_update(running, value, momentum):
    """B2, D8: running <- (1 - momentum) running + momentum value, in place; both ``[C]``."""
    running += running.dtype.type(momentum) * (value - running)


def batchnorm_forward(x, affine, moments, y):
    """B3: y = scale gamma (x - mean) / sqrt(var + eps) + beta, for x ``[M, C]``.

    The moments are the batch's in training and the running ones at inference. scale is 1, or the threshold of the
    neuron behind it in the threshold-dependent form (tdBN, Zheng et al. 2021, arXiv:2011.05280).
    """
    (gamma, beta, eps, scale), (mean, var) = affine, moments
    y[...] = x.dtype.type(scale) * gamma * (x - mean) / np.sqrt(var + x.dtype.type(eps)) + beta


def batchnorm_factor(affine, var, factor):
    """B4: factor = scale gamma / sqrt(var + eps), all ``[C]``: with it `batchnorm_forward` is
    (x - mean) factor + beta."""
    gamma, _, eps, scale = affine
    factor[...] = factor.dtype.type(scale) * gamma / np.sqrt(var + factor.dtype.type(eps))


def batchnorm_backward(dy, x, affine, moments, frozen, dx, dgamma, dbeta, sums=None):
    """B5, B6, B7, B8: gradients of `batchnorm_forward`; dx is None where nobody needs it, and may be dy itself.

    With frozen statistics the moments are constants; otherwise they are functions of x (the batch's own). sums, where
    somebody has them already, are those of dy and of dy (x - mean), ``[2, C]``.
    """
    (gamma, _, eps, scale), (mean, var) = affine, moments
    real = x.dtype.type
    inverse = 1 / np.sqrt(var + real(eps))
    normalised = (x - mean) * inverse
    if sums is None:
        sums = dy.sum(0), (dy * (x - mean)).sum(0)  # B8
    dbeta[...] = sums[0]  # B5
    projection = sums[1] * inverse
    dgamma[...] = real(scale) * projection  # B6
    if dx is None:
        return
    rows = real(len(x))
    centred = dy if frozen else dy - dbeta / rows - normalised * (projection / rows)
    dx[...] = real(scale) * gamma * inverse * centred  # B7


def batchnorm_fold(w, b, affine, moments, folded_w, folded_b):
    """B9: weights ``[..., O]`` and bias ``[O]`` of a linear layer and the normalisation behind it, in one; b may be
    None.

    With f = scale gamma / sqrt(var + eps): folded_w = w f and folded_b = (b - mean) f + beta. Computed in float64, as
    it is done once.
    """
    (gamma, beta, eps, scale), (mean, var) = affine, moments
    factor = scale * gamma.astype(np.float64) / np.sqrt(var.astype(np.float64) + eps)
    folded_w[...] = w * factor
    folded_b[...] = ((0 if b is None else b) - mean.astype(np.float64)) * factor + beta


def scale_steps_forward(x, p, y):
    """B11: y[t] = p[t] x[t]: x ``[T, M, C]``, p ``[T]``."""
    y[...] = p[:, None, None] * x


def scale_steps_backward(dy, x, p, dx, dp):
    """B11: dx[t] = p[t] dy[t], dp[t] = sum of dy[t] x[t]."""
    dp[...] = (dy * x).sum((1, 2))
    dx[...] = p[:, None, None] * dy
