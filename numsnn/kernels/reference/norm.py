"""Moments over samples, batch normalisation, and scales that differ from step to step.

M counts the rows that moments are taken over: steps, samples and positions. affine is a `types.Affine`, and moments a
`types.Moments` of shape ``[C]``.
"""

import numpy as np


def moments(x, mean, var, running=None, momentum=1.0):
    """B1, B2: the mean and biased variance over rows, per group and channel.

    x is ``[G, M, C]``, and the outputs mean and var are ``[G, C]``. Both are summed in float64. If running is not None,
    a `types.Moments` of shape ``[G, C]``, it is updated by them in place, as `running_update` does.
    """
    mean[...] = x.mean(1, dtype=np.float64)  # B1
    var[...] = x.var(1, dtype=np.float64)  # B1
    if running is not None:
        running_update(running.mean, mean, momentum)
        running_update(running.var, var, momentum)


def running_update(running, value, momentum):
    """B2, D8: running <- (1 - momentum) running + momentum value, in place. Both arrays are ``[C]``."""
    running += running.dtype.type(momentum) * (value - running)  # B2, D8


def batchnorm_forward(x, affine, moments, y):
    """B3: y = scale gamma (x - mean) / sqrt(var + eps) + beta, for x and the output y ``[M, C]``.

    The caller passes the moments of the batch in training, and the running ones at inference. scale is 1, or in the
    threshold-dependent form (tdBN, Zheng et al. 2021, arXiv:2011.05280) the threshold of the neuron that follows.
    """
    (gamma, beta, eps, scale), (mean, var) = affine, moments
    y[...] = x.dtype.type(scale) * gamma * (x - mean) / np.sqrt(var + x.dtype.type(eps)) + beta


def batchnorm_factor(affine, var, factor):
    """B4: factor = scale gamma / sqrt(var + eps), the output, ``[C]``.

    With it, the result of `batchnorm_forward` is (x - mean) factor + beta.
    """
    gamma, _, eps, scale = affine
    factor[...] = factor.dtype.type(scale) * gamma / np.sqrt(var + factor.dtype.type(eps))


def batchnorm_backward(dy, x, affine, moments, frozen, dx, dgamma, dbeta, sums=None):
    """B5, B6, B7, B8: gradients of `batchnorm_forward`.

    Args:
        dy, x: gradient of the output, and input, ``[M, C]``.
        affine, moments: as in the forward pass.
        frozen: whether the moments are constants. Otherwise they are those of x, and depend on it.
        dx: output, ``[M, C]``. It may be dy itself, and is None if it is not needed.
        dgamma, dbeta: outputs, ``[C]``.
        sums: ``[2, C]``, the sums of dy and of dy (x - mean) over rows, if they are known already; else None.
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
    """B9: folded_w = w f and folded_b = (b - mean) f + beta, with f = scale gamma / sqrt(var + eps).

    This folds a normalisation into the weights ``[..., O]`` and the bias ``[O]`` (or None) of the layer before it. It
    is computed in float64, because it is done only once. folded_w and folded_b are the outputs.
    """
    (gamma, beta, eps, scale), (mean, var) = affine, moments
    factor = scale * gamma.astype(np.float64) / np.sqrt(var.astype(np.float64) + eps)
    folded_w[...] = w * factor
    folded_b[...] = ((0 if b is None else b) - mean.astype(np.float64)) * factor + beta


def scale_steps_forward(x, p, y):
    """B11: y[t] = p[t] x[t], for x and the output y ``[T, M, C]`` and p ``[T]``."""
    y[...] = p[:, None, None] * x


def scale_steps_backward(dy, x, p, dx, dp):
    """B11: dx[t] = p[t] dy[t] and dp[t] = sum of dy[t] x[t] over rows and channels, the outputs."""
    dp[...] = (dy * x).sum((1, 2))
    dx[...] = p[:, None, None] * dy
