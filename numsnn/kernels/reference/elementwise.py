"""Joins and copies along time."""


def add(a, b, y):
    """y = a + b, any shapes that agree; a and b may be uint8 spikes."""
    y[...] = a.astype(y.dtype) + b.astype(y.dtype)


def repeat(x, y):
    """y[t] = x for every step: x ``[F]``, y ``[T, F]``."""
    y[...] = x


def sum_steps(dy, dx):
    """dx = sum of dy[t] over t: dy ``[T, F]``, dx ``[F]``."""
    dx[...] = dy.sum(0)
