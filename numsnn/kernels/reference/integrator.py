"""The leaky integrator, a neuron that does not spike: u[t] = beta u[t-1] + gain i[t] (docs/method.md, X16)."""

import numpy as np


def integrator_forward(i, beta, decay_input, u, carried=None):
    """X16: compute the potentials u from the current i.

    Args:
        i: input current, ``[T, M, C]``.
        beta: leak, ``[C]``.
        decay_input: whether the current is scaled by 1 - beta.
        u: output, potentials, ``[T, M, C]``.
        carried: ``[M, C]``, the potential before the first step, replaced by that after the last step. With None, the
            integrator starts from 0.
    """
    gain = 1 - beta if decay_input else np.ones_like(beta)
    before = np.zeros_like(u[0]) if carried is None else carried
    for t in range(len(i)):
        u[t] = beta * before + gain * i[t].astype(u.dtype)  # X16
        before = u[t]
    if carried is not None:
        carried[...] = before


def integrator_backward(du, i, u, beta, decay_input, di, dbeta, start=None, dstart=None):
    """X17, X18, X19, X20: gradients of `integrator_forward`.

    Args:
        du: gradient of the potentials, ``[T, M, C]``.
        i, u, beta, decay_input: arguments of the forward pass.
        di: output, gradient of the current, ``[T, M, C]``.
        dbeta: output, gradient of beta, ``[C]``, or None.
        start: the carried potential that the forward pass started from, ``[M, C]``, a constant; None for 0.
        dstart: output, gradient of the potential before the first step, ``[M, C]``; None if it is not needed.
    """
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
    if dstart is not None:
        dstart[...] = beta * e  # X20
