"""Sum, average and max pooling, channels last, of x ``[B, H, W, C]`` to y ``[B, Ho, Wo, C]``.

Ho = (H + 2 ph - kh) // sh + 1, and Wo likewise. window is a `types.Window`. An average is a sum with the window's
number of positions as divisor, so that it includes padded zeros, as PyTorch's default does. A maximum is never taken at
a padded position.
"""

import numpy as np

from .conv import _tap


def sum_pool2d_forward(x, window, divisor, y):
    """W7: y is the sum over each filter window, divided by divisor. x may be uint8 spikes."""
    kernel, stride, (ph, pw) = window
    padded = np.pad(x.astype(y.dtype), ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    y[...] = 0
    for ky, kx in np.ndindex(kernel):
        y += _tap(padded, ky, kx, stride, *y.shape[1:3])
    y /= divisor


def sum_pool2d_backward(dy, window, divisor, dx):
    """W7: each position of a filter window gets the window's gradient, divided by divisor. dx is the output."""
    kernel, stride, (ph, pw) = window
    batch, height, width, channels = dx.shape
    padded = np.zeros((batch, height + 2 * ph, width + 2 * pw, channels), dx.dtype)
    for ky, kx in np.ndindex(kernel):
        _tap(padded, ky, kx, stride, *dy.shape[1:3])[...] += dy / divisor
    dx[...] = padded[:, ph : ph + height, pw : pw + width]


def max_pool2d_forward(x, window, y, index):
    """W8: y is the maximum over each filter window, in the dtype of x.

    index, the second output, has the shape of y and the dtype `Window.index_dtype`. It is the tap ky kw + kx of the
    maximum, or the first one of several equal maxima.
    """
    kernel, stride, (ph, pw) = window
    padded = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    inside = np.pad(np.ones(x.shape, bool), ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    index[...] = -1
    for ky, kx in np.ndindex(kernel):
        value = _tap(padded, ky, kx, stride, *y.shape[1:3])
        valid = _tap(inside, ky, kx, stride, *y.shape[1:3])
        better = valid & ((index < 0) | (value > y))
        y[better] = value[better]
        index[better] = ky * kernel[1] + kx


def max_pool2d_backward(dy, index, window, dx):
    """W8: the position of the maximum gets the gradient of its filter window. dx is the output."""
    kernel, stride, (ph, pw) = window
    batch, height, width, channels = dx.shape
    padded = np.zeros((batch, height + 2 * ph, width + 2 * pw, channels), dx.dtype)
    for ky, kx in np.ndindex(kernel):
        _tap(padded, ky, kx, stride, *dy.shape[1:3])[...] += np.where(index == ky * kernel[1] + kx, dy, 0)
    dx[...] = padded[:, ph : ph + height, pw : pw + width]
