"""Updates by the optimiser, in place, of all parameters of a network at once.

value, grad and the optimiser's moments are vectors of the same length. segments, a `types.Segments`, cuts them into one
segment per parameter. factor comes from the schedule and multiplies every learning rate. After the update, each value
is limited to its bounds.
"""

from itertools import pairwise

import numpy as np


def _parts(segments, factor, *vectors):
    """For each segment: views of the vectors, the learning rate, the weight decay and the two bounds."""
    ends, settings = segments
    for (first, last), (lr, decay, low, high) in zip(pairwise((0, *ends)), settings.T, strict=True):
        yield [None if x is None else x[first:last] for x in vectors], lr * lr.dtype.type(factor), decay, low, high


def sgd_update(value, grad, velocity, segments, factor, momentum):
    """O1, O2, O3, O7: stochastic gradient descent. Weight decay is added to the gradient.

    momentum is a `types.Momentum`. velocity is None for gradient descent without momentum.
    """
    share = value.dtype.type(momentum.share)
    for (x, g, v), lr, decay, low, high in _parts(segments, factor, value, grad, velocity):
        step = g + decay * x  # O1
        if v is not None:
            v[...] = share * v + step  # O2
            step = step + share * v if momentum.nesterov else v  # O3
        x[...] = np.clip(x - lr * step, low, high)  # O7


def adam_update(value, grad, first, second, segments, factor, adam, corrections):
    """O4, O5, O6, O7: Adam (Kingma and Ba 2015, arXiv:1412.6980) with bias correction.

    first and second are the moments. adam is a `types.Adam`, and corrections ``[2, P]`` holds the bias corrections that
    it returns for the current update of each segment. Weight decay is added to the gradient. With adam.decoupled, it is
    subtracted from the value instead (AdamW, Loshchilov and Hutter 2019, arXiv:1711.05101).
    """
    real, (beta1, beta2, eps, decoupled) = value.dtype.type, adam
    parts = _parts(segments, factor, value, grad, first, second)
    for ((x, g, m, v), lr, decay, low, high), (correction1, correction2) in zip(parts, corrections.T, strict=True):
        if not decoupled:
            g = g + decay * x
        m += real(1 - beta1) * (g - m)  # O4
        v += real(1 - beta2) * (g * g - v)  # O4
        shrunk = x - lr * decay * x if decoupled else x  # O6
        moved = shrunk - lr * correction1 * m / (np.sqrt(v) * correction2 + real(eps))  # O5
        x[...] = np.clip(moved, low, high)  # O7


def sum_squares(x):
    """O8: the sum of the squares of x, computed in float64, as a Python float."""
    return float((x.astype(np.float64) ** 2).sum())


def scale(x, factor):
    """O8: multiply x by factor, in place."""
    x *= x.dtype.type(factor)
