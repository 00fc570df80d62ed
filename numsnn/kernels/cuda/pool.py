"""Sum, average and max pooling, as CUDA kernels. `reference.pool` documents them.

A thread computes elements of the array that is written: of the output in the forward pass, and of the input's gradient
in the backward pass, where it sums the gradients of the filter windows that contain its position. Neighbouring threads
take neighbouring channels.
"""

from math import prod

import numpy as np

from .inline.pixels import flat, inside, launch_pixels, pixel_at, windows
from .run.api import cuda
from .run.compile import kernel


def _launch(kernel, written, read, window, *arguments):
    """Launch a kernel over the elements of the array that it writes. It gets the extents of both arrays, read and
    written."""
    launch_pixels(
        kernel,
        prod(written.shape[:3]),
        written.shape[3],
        read.shape[1:],
        written.shape[1:3],
        *map(tuple, window),
        *arguments,
    )


@kernel
def _sum_forward(source, target, window, stride, padding, x, inverse, y, pixels):
    channels = source[2]
    m = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if m < pixels:
        image, row, column = pixel_at(m, target[0], target[1])
        c = cuda.threadIdx.x
        while c < channels:
            total = type(inverse)(0)
            for ky in range(window[0]):
                iy = row * stride[0] - padding[0] + ky
                for kx in range(window[1]):
                    ix = column * stride[1] - padding[1] + kx
                    if inside(iy, source[0]) and inside(ix, source[1]):
                        total += x[np.uint64(((image * source[0] + iy) * source[1] + ix) * channels + c)]
            y[np.uint64(m * channels + c)] = total * inverse
            c += cuda.blockDim.x


def sum_pool2d_forward(x, window, divisor, y):
    """See `reference.pool.sum_pool2d_forward`."""
    _launch(_sum_forward, y, x, window, flat(x), y.dtype.type(1 / divisor), flat(y))


@kernel
def _sum_backward(source, target, window, stride, padding, dy, inverse, dx, pixels):
    channels = source[2]
    m = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if m < pixels:
        image, row, column = pixel_at(m, target[0], target[1])
        top, bottom = windows(row, window[0], stride[0], padding[0], source[0])
        left, right = windows(column, window[1], stride[1], padding[1], source[1])
        c = cuda.threadIdx.x
        while c < channels:
            total = type(inverse)(0)
            for oy in range(top, bottom):
                for ox in range(left, right):
                    total += dy[np.uint64(((image * source[0] + oy) * source[1] + ox) * channels + c)]
            dx[np.uint64(m * channels + c)] = total * inverse
            c += cuda.blockDim.x


def sum_pool2d_backward(dy, window, divisor, dx):
    """See `reference.pool.sum_pool2d_backward`."""
    _launch(_sum_backward, dx, dy, window, flat(dy), dy.dtype.type(1 / divisor), flat(dx))


@kernel
def _max_forward(source, target, window, stride, padding, x, y, index, pixels):
    channels = source[2]
    m = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if m < pixels:
        image, row, column = pixel_at(m, target[0], target[1])
        c = cuda.threadIdx.x
        # winner is -1 until the window's first position inside of the picture, so that no start value can win.
        while c < channels:
            best, winner = x.dtype.type(0), -1
            for ky in range(window[0]):
                iy = row * stride[0] - padding[0] + ky
                for kx in range(window[1]):
                    ix = column * stride[1] - padding[1] + kx
                    if inside(iy, source[0]) and inside(ix, source[1]):
                        value = x[np.uint64(((image * source[0] + iy) * source[1] + ix) * channels + c)]
                        if winner < 0 or value > best:
                            best, winner = value, ky * window[1] + kx
            y[np.uint64(m * channels + c)] = best
            index[np.uint64(m * channels + c)] = winner
            c += cuda.blockDim.x


def max_pool2d_forward(x, window, y, index):
    """See `reference.pool.max_pool2d_forward`."""
    _launch(_max_forward, y, x, window, flat(x), flat(y), flat(index))


@kernel
def _max_backward(source, target, window, stride, padding, dy, index, dx, pixels):
    channels = source[2]
    m = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if m < pixels:
        image, row, column = pixel_at(m, target[0], target[1])
        top, bottom = windows(row, window[0], stride[0], padding[0], source[0])
        left, right = windows(column, window[1], stride[1], padding[1], source[1])
        c = cuda.threadIdx.x
        # Each window that contains this position adds its gradient if its maximum was taken here.
        while c < channels:
            total = dx.dtype.type(0)
            for oy in range(top, bottom):
                for ox in range(left, right):
                    tap = (row + padding[0] - oy * stride[0]) * window[1] + column + padding[1] - ox * stride[1]
                    at = np.uint64(((image * source[0] + oy) * source[1] + ox) * channels + c)
                    if index[at] == tap:
                        total += dy[at]
            dx[np.uint64(m * channels + c)] = total
            c += cuda.blockDim.x


def max_pool2d_backward(dy, index, window, dx):
    """See `reference.pool.max_pool2d_backward`."""
    _launch(_max_backward, dx, dy, window, flat(dy), flat(index), flat(dx))
