"""Optimiser updates, in place, on arrays of any shape."""

import numpy as np


def sgd_update(value, grad, velocity, lr, momentum, nesterov, decay):
    """g = grad + decay value; velocity = momentum velocity + g; value -= lr (g + momentum velocity if nesterov else
    velocity). velocity is None without momentum."""
    real = value.dtype.type
    step = grad + real(decay) * value
    if velocity is not None:
        velocity[...] = real(momentum) * velocity + step
        step = step + real(momentum) * velocity if nesterov else velocity
    value -= real(lr) * step


def adam_update(value, grad, first, second, lr, beta1, beta2, eps, decay, decoupled, step):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) with bias correction at step = 1, 2, ...; decay is added to the
    gradient, or with decoupled (AdamW, Loshchilov and Hutter 2019, arXiv:1711.05101) taken off the value."""
    real = value.dtype.type
    g = grad if decoupled else grad + real(decay) * value
    first += real(1 - beta1) * (g - first)
    second += real(1 - beta2) * (g * g - second)
    if decoupled:
        value -= real(lr * decay) * value
    rate = real(lr / (1 - beta1**step))
    value -= rate * first / (np.sqrt(second) * real((1 - beta2**step) ** -0.5) + real(eps))


def sum_squares(x):
    """Sum of squares of x as a Python float."""
    return float((x.astype(np.float64) ** 2).sum())


def scale(x, factor):
    """x *= factor."""
    x *= x.dtype.type(factor)


def clamp(x, low, high):
    """Bring x into [low, high]."""
    np.clip(x, low, high, out=x)
