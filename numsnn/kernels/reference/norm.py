"""Moments over samples and batch normalisation. Rows are everything that is averaged over (T, N, H, W)."""

import numpy as np


def moments(x, mean, var):
    """Mean and (biased) variance of every group and channel: x ``[G, M, C]`` -> mean, var ``[G, C]``."""
    mean[...] = x.mean(1)
    var[...] = ((x - mean[:, None]) ** 2).mean(1)


def running_update(running, value, momentum):
    """running <- (1 - momentum) running + momentum value, in place; both ``[C]``."""
    running += running.dtype.type(momentum) * (value - running)


def batchnorm_forward(x, gamma, beta, mean, var, eps, scale, y):
    """y = scale gamma (x - mean) / sqrt(var + eps) + beta, for x ``[M, C]``.

    mean and var are the batch's in training and the running ones at inference. scale is 1, or the threshold of the
    neuron behind it in the threshold-dependent form (tdBN, Zheng et al. 2021, arXiv:2011.05280).
    """
    y[...] = x.dtype.type(scale) * gamma * (x - mean) / np.sqrt(var + x.dtype.type(eps)) + beta


def batchnorm_backward(dy, x, gamma, mean, var, eps, scale, frozen, dx, dgamma, dbeta):
    """Gradients of `batchnorm_forward`; dx is None where nobody needs it.

    With frozen statistics mean and var are constants; otherwise they are functions of x (the batch's own).
    """
    real = x.dtype.type
    inverse = 1 / np.sqrt(var + real(eps))
    normalised = (x - mean) * inverse
    dbeta[...] = dy.sum(0)
    projection = (dy * normalised).sum(0)
    dgamma[...] = real(scale) * projection
    if dx is None:
        return
    rows = real(len(x))
    centred = dy if frozen else dy - dbeta / rows - normalised * (projection / rows)
    dx[...] = real(scale) * gamma * inverse * centred
