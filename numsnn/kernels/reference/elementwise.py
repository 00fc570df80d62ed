"""Joins, copies along time and channels, and delays."""

import numpy as np


def add(a, b, y):
    """W9: y = a + b, any shapes that agree; a and b may be uint8 spikes."""
    y[...] = a.astype(y.dtype) + b.astype(y.dtype)


def repeat(x, y):
    """W12: y[t] = x for every step: x ``[F]``, y ``[T, F]``."""
    y[...] = x


def sum_steps(dy, dx):
    """W12: dx = sum of dy[t] over t: dy ``[T, F]``, dx ``[F]``."""
    dx[...] = dy.sum(0)


def and_forward(a, s, y):
    """W10: y = a s, any shapes that agree: both paths fire (SEW ResNet's AND, Fang et al. 2021, arXiv:2102.04159)."""
    y[...] = a.astype(y.dtype) * s.astype(y.dtype)


def and_backward(dy, a, s, da, ds):
    """W10: da = dy s, ds = dy a."""
    da[...] = dy * s
    ds[...] = dy * a


def iand_forward(a, s, y):
    """W11: y = (1 - a) s: the shortcut s fires and the branch a does not (SEW ResNet's IAND)."""
    y[...] = (1 - a.astype(y.dtype)) * s.astype(y.dtype)


def iand_backward(dy, a, s, da, ds):
    """W11: da = -dy s, ds = dy (1 - a)."""
    da[...] = -dy * s
    ds[...] = dy * (1 - a.astype(dy.dtype))


def concat(x, first, y):
    """W13: write x ``[M, C]`` into y's channels from first on: one call for each part that makes up y ``[M, C']``."""
    y[:, first : first + x.shape[1]] = x


def split(dy, first, dx):
    """W13: dx ``[M, C]`` = dy's channels from first on: the adjoint of `concat`."""
    dx[...] = dy[:, first : first + dx.shape[1]]


def delay_forward(x, steps, past, y):
    """W14: y[t, m, c] = x[t - steps[c], m, c]: x, y ``[T, M, C]`` of one dtype, steps ``[C]`` of whole numbers.

    Before its first step x is preceded by past ``[K, M, C]`` and, before that, by zeros; then past becomes the last K
    steps of what was seen. K is 0 where nothing is carried on.
    """
    seen = np.concatenate([past.astype(x.dtype), x])
    for t in range(len(x)):
        at = len(past) + t - steps
        y[t] = np.where(at >= 0, seen[np.maximum(at, 0), :, np.arange(len(steps))].T, 0)
    past[...] = seen[len(x) :]


def delay_backward(dy, steps, dx):
    """W14: dx[t, m, c] = dy[t + steps[c], m, c], zero beyond the last step: the adjoint of `delay_forward` in x."""
    for t in range(len(dy)):
        at = t + steps
        inside = at < len(dy)
        dx[t] = np.where(inside, dy[np.where(inside, at, 0), :, np.arange(len(steps))].T, 0)
