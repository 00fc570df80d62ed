"""Convolution in groups of few channels, such as a depthwise one, without tiles. `reference.conv` documents it.

A tile of a matrix product would be mostly empty. Each thread computes elements of the result, and reads the factors
from memory. Neighbouring threads take neighbouring channels, so that they read neighbouring or the same numbers. The
weight gradient is summed over slices of the output pixels, and then the partial sums are added in order.
"""

from functools import cache
from math import prod

import numpy as np

from ..inline.pixels import check_pixels, divide, flat, inside, launch_pixels, pixel_at, tap_finder, windows
from ..run.api import cuda
from ..run.compile import kernel
from ..run.launch import ceil_div, launch_flat, scratch
from ..run.reduce import sum_parts

LEAST_CHANNELS = 8
"""Least number of input and of output channels per group that fill the tiles of a matrix product well enough."""

SHARE_PIXELS, MOST_SHARES = 128, 512
"""Output pixels per thread in the weight gradient, if there are enough, and the largest number of slices of pixels."""


def worth_it(w, groups) -> bool:
    """Whether this route is faster than the others for weights w ``[kh, kw, I/groups, O]``."""
    return groups > 1 and min(w.shape[2], w.shape[3] // groups) < LEAST_CHANNELS


@kernel
def _forward_pixels(
    x, w, b, biased, source, target, kernel_size, stride, padding, dilation, groups, inputs, outputs, y, pixels
):
    """Compute y. A thread takes one pixel, and some channels in turn.

    biased is 1, or 0 if there is no bias; then b is any array. inputs and outputs are channels per group.
    """
    real = w.dtype.type
    channels = groups * outputs
    m = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if m < pixels:
        image, row, column = pixel_at(m, target[0], target[1])
        o = cuda.threadIdx.x
        while o < channels:
            group = divide(o, outputs)
            total = b[o] if biased else real(0)
            for ky in range(kernel_size[0]):
                iy = row * stride[0] - padding[0] + ky * dilation[0]
                for kx in range(kernel_size[1]):
                    ix = column * stride[1] - padding[1] + kx * dilation[1]
                    if inside(iy, source[0]) and inside(ix, source[1]):
                        first = (((image * source[0] + iy) * source[1] + ix) * groups + group) * inputs
                        weights = (ky * kernel_size[1] + kx) * inputs * channels + o
                        for i in range(inputs):
                            total += real(x[np.uint64(first + i)]) * w[np.uint64(weights + i * channels)]
            y[np.uint64(m * channels + o)] = total
            o += cuda.blockDim.x


def forward(x, w, b, stride, padding, groups, dilation, y):
    """See `reference.conv.conv2d_forward`."""
    launch_pixels(
        _forward_pixels,
        prod(y.shape[:3]),
        y.shape[3],
        flat(x),
        flat(w),
        flat(w) if b is None else b,
        int(b is not None),
        x.shape[1:3],
        y.shape[1:3],
        w.shape[:2],
        tuple(stride),
        tuple(padding),
        tuple(dilation),
        groups,
        w.shape[2],
        w.shape[3] // groups,
        flat(y),
    )


@cache
def _input_kernel(dilated):
    """The kernel of dx. A thread takes one pixel, and some channels in turn. Only dilated filters need divisions."""
    tap_of = tap_finder(dilated)

    @kernel
    def input_pixels(
        dy, w, source, target, kernel_size, stride, padding, dilation, groups, inputs, outputs, dx, pixels
    ):
        """Compute dx. source is the extent of dy, and target that of dx. inputs and outputs are channels per group."""
        real = w.dtype.type
        channels = groups * inputs
        m = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        if m < pixels:
            image, row, column = pixel_at(m, target[0], target[1])
            top, bottom = windows(row, (kernel_size[0] - 1) * dilation[0] + 1, stride[0], padding[0], source[0])
            left, right = windows(column, (kernel_size[1] - 1) * dilation[1] + 1, stride[1], padding[1], source[1])
            c = cuda.threadIdx.x
            while c < channels:
                group = divide(c, inputs)
                i = c - group * inputs
                total = real(0)
                for oy in range(top, bottom):
                    ky = tap_of(row + padding[0] - oy * stride[0], dilation[0])
                    for ox in range(left, right):
                        kx = tap_of(column + padding[1] - ox * stride[1], dilation[1])
                        if not dilated or (ky >= 0 and kx >= 0):
                            first = (((image * source[0] + oy) * source[1] + ox) * groups + group) * outputs
                            weights = (((ky * kernel_size[1] + kx) * inputs + i) * groups + group) * outputs
                            for o in range(outputs):
                                total += real(dy[np.uint64(first + o)]) * w[np.uint64(weights + o)]
                dx[np.uint64(m * channels + c)] = total
                c += cuda.blockDim.x

    return input_pixels


def backward_input(dy, w, stride, padding, groups, dilation, dx):
    """See `reference.conv.conv2d_backward_input`."""
    launch_pixels(
        _input_kernel(tuple(dilation) != (1, 1)),
        prod(dx.shape[:3]),
        dx.shape[3],
        flat(dy),
        flat(w),
        dy.shape[1:3],
        dx.shape[1:3],
        w.shape[:2],
        tuple(stride),
        tuple(padding),
        tuple(dilation),
        groups,
        w.shape[2],
        w.shape[3] // groups,
        flat(dx),
    )


@kernel
def _weight_elements(
    x, dy, pixels, share, source, target, kernel_size, stride, padding, dilation, groups, inputs, channels, y, count
):
    """Compute partial sums of dw. Element [s, ky, kx, i, o] of y is the sum over the pixels of slice s."""
    real = dy.dtype.type
    for e in range(cuda.grid(1), count, cuda.gridsize(1)):
        # The index of the element says its slice, tap and channels; the sum over the slice's pixels is in a register.
        o, rest = e % channels, e // channels
        i, rest = rest % inputs, rest // inputs
        kx, rest = rest % kernel_size[1], rest // kernel_size[1]
        ky, begin = rest % kernel_size[0], rest // kernel_size[0] * share
        down, across = ky * dilation[0] - padding[0], kx * dilation[1] - padding[1]
        member = o // (channels // groups) * inputs + i
        total = real(0)
        for m in range(begin, min(pixels, begin + share)):
            image, row, column = pixel_at(m, target[0], target[1])
            iy, ix = row * stride[0] + down, column * stride[1] + across
            if inside(iy, source[0]) and inside(ix, source[1]):
                at = ((image * source[0] + iy) * source[1] + ix) * groups * inputs + member
                total += real(x[np.uint64(at)]) * dy[np.uint64(m * channels + o)]
        y[e] = total


def backward_weight(x, dy, stride, padding, groups, dilation, dw):
    """See `reference.conv.conv2d_backward_weight`."""
    pixels, (*kernel_size, inputs, channels) = prod(dy.shape[:3]), dw.shape
    check_pixels(pixels)
    share = ceil_div(pixels, min(MOST_SHARES, ceil_div(pixels, SHARE_PIXELS)))
    shares = ceil_div(pixels, share)
    sums = scratch.get("weight gradients", (shares, dw.size), dw.dtype) if shares > 1 else dw
    launch_flat(
        _weight_elements,
        sums.size,
        flat(x),
        flat(dy),
        pixels,
        share,
        x.shape[1:3],
        dy.shape[1:3],
        tuple(kernel_size),
        tuple(stride),
        tuple(padding),
        tuple(dilation),
        groups,
        inputs,
        channels,
        flat(sums),
    )
    if shares > 1:
        sum_parts(sums, flat(dw))
