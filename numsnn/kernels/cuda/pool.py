"""Average and max pooling; `reference.pool` is the text it equals. A thread owns a number of what is written: of the
output going forward, of the input going back, where it collects from the windows that hold it. Neighbouring threads own
neighbouring channels."""

import numpy as np

from .api import cuda
from .compile import device, kernel
from .launch import launch_flat
from .product import cut, flat, inside


def _extents(x, kernel, stride, padding, y):
    """What kernels take to find their way: extents ``(B, H, W, C)`` of the picture and of the output, the window."""
    return x.shape, y.shape, tuple(kernel), tuple(stride), tuple(padding)


@device
def _windows(position, window, stride, padding, extent):
    """The windows that hold a position: the first, and the one after the last."""
    first = (position + padding - window) // stride + 1
    return max(0, first), min(extent, (position + padding) // stride + 1)


@kernel
def _avg_forward(x, source, target, window, stride, padding, inverse, y, count):
    for e in range(cuda.grid(1), count, cuda.gridsize(1)):
        image, oy, ox = cut(e // target[3], target[1], target[2])
        total = type(inverse)(0)
        for ky in range(window[0]):
            iy = oy * stride[0] - padding[0] + ky
            for kx in range(window[1]):
                ix = ox * stride[1] - padding[1] + kx
                if inside(iy, source[1]) and inside(ix, source[2]):
                    total += x[np.uint64(((image * source[1] + iy) * source[2] + ix) * source[3] + e % source[3])]
        y[e] = total * inverse


def avg_pool2d_forward(x, kernel, stride, padding, y):
    """See `reference.pool.avg_pool2d_forward`."""
    inverse = y.dtype.type(1 / (kernel[0] * kernel[1]))
    launch_flat(_avg_forward, y.size, flat(x), *_extents(x, kernel, stride, padding, y), inverse, flat(y))


@kernel
def _avg_backward(dy, source, target, window, stride, padding, inverse, dx, count):
    for e in range(cuda.grid(1), count, cuda.gridsize(1)):
        image, iy, ix = cut(e // source[3], source[1], source[2])
        top, bottom = _windows(iy, window[0], stride[0], padding[0], target[1])
        left, right = _windows(ix, window[1], stride[1], padding[1], target[2])
        total = type(inverse)(0)
        for oy in range(top, bottom):
            for ox in range(left, right):
                total += dy[np.uint64(((image * target[1] + oy) * target[2] + ox) * target[3] + e % source[3])]
        dx[e] = total * inverse


def avg_pool2d_backward(dy, kernel, stride, padding, dx):
    """See `reference.pool.avg_pool2d_backward`."""
    inverse = dy.dtype.type(1 / (kernel[0] * kernel[1]))
    launch_flat(_avg_backward, dx.size, flat(dy), *_extents(dx, kernel, stride, padding, dy), inverse, flat(dx))


@kernel
def _max_forward(x, source, target, window, stride, padding, y, index, count):
    for e in range(cuda.grid(1), count, cuda.gridsize(1)):
        image, oy, ox = cut(e // target[3], target[1], target[2])
        best, winner = x.dtype.type(0), -1
        for ky in range(window[0]):
            iy = oy * stride[0] - padding[0] + ky
            for kx in range(window[1]):
                ix = ox * stride[1] - padding[1] + kx
                if inside(iy, source[1]) and inside(ix, source[2]):
                    value = x[np.uint64(((image * source[1] + iy) * source[2] + ix) * source[3] + e % source[3])]
                    if winner < 0 or value > best:
                        best, winner = value, ky * window[1] + kx
        y[e] = best
        index[e] = winner


def max_pool2d_forward(x, kernel, stride, padding, y, index):
    """See `reference.pool.max_pool2d_forward`."""
    launch_flat(_max_forward, y.size, flat(x), *_extents(x, kernel, stride, padding, y), flat(y), flat(index))


@kernel
def _max_backward(dy, index, source, target, window, stride, padding, dx, count):
    for e in range(cuda.grid(1), count, cuda.gridsize(1)):
        image, iy, ix = cut(e // source[3], source[1], source[2])
        top, bottom = _windows(iy, window[0], stride[0], padding[0], target[1])
        left, right = _windows(ix, window[1], stride[1], padding[1], target[2])
        total = dx.dtype.type(0)
        for oy in range(top, bottom):
            for ox in range(left, right):
                tap = (iy + padding[0] - oy * stride[0]) * window[1] + ix + padding[1] - ox * stride[1]
                at = np.uint64(((image * target[1] + oy) * target[2] + ox) * target[3] + e % source[3])
                if index[at] == tap:
                    total += dy[at]
        dx[e] = total


def max_pool2d_backward(dy, index, kernel, stride, padding, dx):
    """See `reference.pool.max_pool2d_backward`."""
    launch_flat(
        _max_backward, dx.size, flat(dy), flat(index), *_extents(dx, kernel, stride, padding, dy), flat(dx)
    )
