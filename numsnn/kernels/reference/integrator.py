"""The leaky integrator, a neuron that does not spike: u[t] = beta u[t-1] + gain i[t] (docs/method.md, X16)."""

import numpy as np


def integrator_forward(i, beta, decay_input, u, carried=None):
    """X16: u from i, both ``[T, M, C]``; beta ``[C]``; decay_input scales the current by 1 - beta.

    carried is in and out, the potential ``[M, C]`` before the first and after the last step; None starts from 0.
    """
    gain = 1 - beta if decay_input else np.ones_like(beta)
    before = np.zeros_like(u[0]) if carried is None else carried
    for t in range(len(i)):
        u[t] = beta * before + gain * i[t].astype(u.dtype)  # X16
        before = u[t]
    if carried is not None:
        carried[...] = before


def integrator_backward(du, i, u, beta, decay_input, di, dbeta, start=None):
    """X17, X18, X19: di ``[T, M, C]`` and, where it is not None, dbeta ``[C]`` from du; start ``[M, C]`` is what
    the forward pass was carried on from, a constant."""
    gain = 1 - beta if decay_input else np.ones_like(beta)
    e = np.zeros_like(di[0])
    if dbeta is not None:
        dbeta[...] = 0
    for t in reversed(range(len(u))):
        delta = du[t] + beta * e  # X17
        di[t] = gain * delta  # X18
        if dbeta is not None:
            before = u[t - 1] if t else (0 if start is None else start)
            dbeta += (delta * (before - (i[t].astype(u.dtype) if decay_input else 0))).sum(0)  # X19
        e = delta
