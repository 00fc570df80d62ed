"""Joins, rectified linear units, copies along time and channels, and delays."""

import numpy as np


def add(a, b, y):
    """W9: y = a + b, for arrays of the same shape. a and b may be uint8 spikes; y is the output."""
    y[...] = a.astype(y.dtype) + b.astype(y.dtype)


def repeat(x, y):
    """W12: y[t] = x for every step t, for x ``[F]`` and the output y ``[T, F]``."""
    y[...] = x


def sum_steps(dy, dx):
    """W12: dx = sum of dy[t] over t, for dy ``[T, F]`` and the output dx ``[F]``."""
    dx[...] = dy.sum(0)


def and_forward(a, s, y):
    """W10: y = a s, for arrays of the same shape: 1 where both paths fire.

    This is the AND of SEW ResNet (Fang et al. 2021, arXiv:2102.04159).
    """
    y[...] = a.astype(y.dtype) * s.astype(y.dtype)


def and_backward(dy, a, s, da, ds):
    """W10: da = dy s and ds = dy a, the outputs."""
    da[...] = dy * s
    ds[...] = dy * a


def iand_forward(a, s, y):
    """W11: y = (1 - a) s: 1 where the shortcut s fires and the branch a does not. This is the IAND of SEW ResNet."""
    y[...] = (1 - a.astype(y.dtype)) * s.astype(y.dtype)


def iand_backward(dy, a, s, da, ds):
    """W11: da = -dy s and ds = dy (1 - a), the outputs."""
    da[...] = -dy * s
    ds[...] = dy * (1 - a.astype(dy.dtype))


def relu_forward(x, y):
    """W15: y = max(x, 0), for arrays of the same shape; a NaN stays a NaN."""
    y[...] = np.maximum(x, 0)


def relu_backward(dy, y, dx):
    """W15: dx = dy where y > 0, and 0 elsewhere.

    y is the output of the forward pass. dx, the output, may be dy itself.
    """
    dx[...] = np.where(y > 0, dy, 0)


def concat(x, first, y):
    """W13: copy x ``[M, C]`` to the channels of y ``[M, C']`` from first on. Each input of the join needs one call."""
    y[:, first : first + x.shape[1]] = x


def split(dy, first, dx):
    """W13: copy the channels of dy from first on to dx ``[M, C]``. This is the adjoint of `concat`."""
    dx[...] = dy[:, first : first + dx.shape[1]]


def delay_forward(x, steps, past, y):
    """W14: y[t, m, c] = x[t - steps[c], m, c].

    Args:
        x: ``[T, M, C]``.
        steps: ``[C]``, whole numbers, the delay of each channel in steps.
        past: ``[K, M, C]``, the K inputs before the first step of x; before these, inputs count as 0. Afterwards it
            holds the last K inputs. K is 0 if no state is carried.
        y: output, ``[T, M, C]``, of the dtype of x.
    """
    seen = np.concatenate([past.astype(x.dtype), x])
    for t in range(len(x)):
        at = len(past) + t - steps
        y[t] = np.where(at >= 0, seen[np.maximum(at, 0), :, np.arange(len(steps))].T, 0)
    past[...] = seen[len(x) :]


def delay_backward(dy, steps, dx):
    """W14: dx[t, m, c] = dy[t + steps[c], m, c], or 0 after the last step: the adjoint of `delay_forward` in x."""
    for t in range(len(dy)):
        at = t + steps
        inside = at < len(dy)
        dx[t] = np.where(inside, dy[np.where(inside, at, 0), :, np.arange(len(steps))].T, 0)
