"""Convolution in many small groups, such as a depthwise one, without patches. `reference.conv` documents it.

The matrix product of a small group is too narrow for registers, but all groups compute the same. Channels are therefore
rearranged so that groups are the last axis, ``[..., groups]``. A tap is then a few multiply-adds of vectors of groups.
Groups of one input channel and few outputs are computed by `depthwise`.
A tile is a number of rows of the array that is written. The weight gradient is summed over each tile, and then the
tiles' partial sums are added in order.
"""

import numpy as np

from ...compile import kernel, register_jitable
from ..inline.local import local
from ..inline.taps import MOST_COPIES
from ..inline.vector import REGISTER_BYTES
from ..run.launch import count_tiles, launch, rows_per_tile
from ..run.reduce import sum_tiles
from . import depthwise

WEIGHT_TILES = 64
"""Largest number of tiles of the weight gradient. Each tile has a partial sum that is as large as the weights."""


PRODUCT, NUMBER = 1.3, 0.7
"""Nanoseconds of one core per vector of groups that is multiplied, and per number that is rearranged."""


def cost(w, groups) -> float:
    """Nanoseconds of one core per position, for weights ``[kh, kw, I, groups J]``."""
    kh, kw, inputs, outputs = w.shape
    products = kh * kw * inputs * outputs / groups * count_tiles(groups, REGISTER_BYTES // 4)
    return products * PRODUCT + (kh * inputs * groups + outputs) * NUMBER


FEW_GROUPS = 4
"""Number of groups of one input channel up to which vectors of positions (`planes`) are faster at stride 1: vectors of
groups are nearly empty."""


def worth_it(w, groups, dense, planes) -> bool:
    """Whether this route is faster than the route dense.

    Args:
        w: weights ``[kh, kw, I, groups J]``.
        groups: number of groups.
        dense: nanoseconds per position that the route dense takes for all groups.
        planes: whether it is computed by `planes`, at stride 1.
    """
    if single(w, groups):
        return groups > FEW_GROUPS or not planes
    return groups > 1 and cost(w, groups) < dense


def single(w, groups):
    """Whether each group has one input channel and as few output channels as `depthwise` takes."""
    return groups > 1 and w.shape[2] == 1 and w.shape[3] <= MOST_COPIES * groups


def _apart(w, groups):
    """A copy of weights ``[kh, kw, I, groups J]`` with groups as the last axis: ``[kh, kw, I, J, groups]``."""
    kh, kw, inputs, outputs = w.shape
    return np.ascontiguousarray(w.reshape(kh, kw, inputs, groups, outputs // groups).swapaxes(3, 4))


@register_jitable
def _take_apart(row, apart):
    """Copy a row of pixels ``[W, groups I]`` to an array with groups as the last axis, ``[W, I, groups]``."""
    width, members, groups = apart.shape
    for x in range(width):
        for g in range(groups):
            for i in range(members):
                apart[x, i, g] = row[x, g * members + i]


@register_jitable
def _put_together(apart, row):
    """Copy a row of pixels back: the inverse of `_take_apart`."""
    width, members, groups = apart.shape
    for x in range(width):
        for g in range(groups):
            for i in range(members):
                row[x, g * members + i] = apart[x, i, g]


@kernel
def _forward_rows(x, w, b, stride, padding, dilation, y, rows, lo, hi):
    _, source_height, source_width, _ = x.shape
    images, height, width, _ = y.shape
    kh, kw, inputs, outputs, groups = w.shape
    real = type(w[0, 0, 0, 0, 0])
    # One row of the input and one row of outputs, both with groups as the last axis. With one channel per group, the
    # arrays x and y already have this order, and are used themselves.
    source = local((source_width, inputs, groups), x.dtype)
    total = local((width, outputs, groups), w.dtype)
    for row in range(lo * rows, min(images * height, hi * rows)):
        image, oy = row // height, row % height
        if outputs == 1:
            total = y[image, oy].reshape(width, outputs, groups)
        for ox in range(width):
            for o in range(outputs):
                for g in range(groups):
                    total[ox, o, g] = b[o, g]
        for ky in range(kh):
            iy = oy * stride[0] - padding[0] + ky * dilation[0]
            if 0 <= iy < source_height:
                if inputs == 1:
                    source = x[image, iy].reshape(source_width, inputs, groups)
                else:
                    _take_apart(x[image, iy], source)
                for ox in range(width):
                    for kx in range(kw):
                        ix = ox * stride[1] - padding[1] + kx * dilation[1]
                        if 0 <= ix < source_width:
                            for i in range(inputs):
                                for o in range(outputs):
                                    for g in range(groups):
                                        total[ox, o, g] += real(source[ix, i, g]) * w[ky, kx, i, o, g]
        if outputs > 1:
            _put_together(total, y[image, oy])


def forward(x, w, b, stride, padding, groups, dilation, y):
    """See `reference.conv.conv2d_forward`."""
    if single(w, groups):
        depthwise.forward(x, w, b, stride, padding, dilation, y)
        return
    images, height, width, outputs = y.shape
    rows = rows_per_tile(width * outputs)
    bias = np.zeros(outputs, w.dtype) if b is None else b
    bias = np.ascontiguousarray(bias.reshape(groups, -1).T)
    tiles = count_tiles(images * height, rows)
    launch(_forward_rows, tiles, x, _apart(w, groups), bias, stride, padding, dilation, y, rows)


@kernel
def _input_gradient_rows(dy, w, stride, padding, dilation, dx, rows, lo, hi):
    _, height, width, _ = dy.shape
    images, source_height, source_width, _ = dx.shape
    kh, kw, inputs, outputs, groups = w.shape
    real = type(w[0, 0, 0, 0, 0])
    # One row of dy and one row of dx, both with groups as the last axis; see `_forward_rows`.
    gradient = local((width, outputs, groups), dy.dtype)
    total = local((source_width, inputs, groups), dx.dtype)
    for row in range(lo * rows, min(images * source_height, hi * rows)):
        image, iy = row // source_height, row % source_height
        if inputs == 1:
            total = dx[image, iy].reshape(source_width, inputs, groups)
        total[:] = real(0)
        for ky in range(kh):
            below = iy + padding[0] - ky * dilation[0]
            oy = below // stride[0]
            if oy * stride[0] == below and 0 <= oy < height:
                if outputs == 1:
                    gradient = dy[image, oy].reshape(width, outputs, groups)
                else:
                    _take_apart(dy[image, oy], gradient)
                for ix in range(source_width):
                    for kx in range(kw):
                        beside = ix + padding[1] - kx * dilation[1]
                        ox = beside // stride[1]
                        if ox * stride[1] == beside and 0 <= ox < width:
                            for i in range(inputs):
                                for o in range(outputs):
                                    for g in range(groups):
                                        total[ix, i, g] += real(gradient[ox, o, g]) * w[ky, kx, i, o, g]
        if inputs > 1:
            _put_together(total, dx[image, iy])


def backward_input(dy, w, stride, padding, groups, dilation, dx):
    """See `reference.conv.conv2d_backward_input`."""
    if single(w, groups):
        depthwise.backward_input(dy, w, stride, padding, dilation, dx)
        return
    images, height, width, channels = dx.shape
    rows = rows_per_tile(width * channels)
    tiles = count_tiles(images * height, rows)
    launch(_input_gradient_rows, tiles, dy, _apart(w, groups), stride, padding, dilation, dx, rows)


@kernel
def _weight_gradient_tiles(x, dy, stride, padding, dilation, parts, rows, lo, hi):
    _, source_height, source_width, _ = x.shape
    images, height, width, _ = dy.shape
    _, kh, kw, inputs, outputs, groups = parts.shape
    real = type(parts[0, 0, 0, 0, 0, 0])
    # One row of the input and one row of dy, both with groups as the last axis; total is the tile's partial sum.
    source = local((source_width, inputs, groups), x.dtype)
    gradient = local((width, outputs, groups), dy.dtype)
    for tile in range(lo, hi):
        total = parts[tile]
        total[:] = real(0)
        for row in range(tile * rows, min(images * height, (tile + 1) * rows)):
            image, oy = row // height, row % height
            if outputs == 1:
                gradient = dy[image, oy].reshape(width, outputs, groups)
            else:
                _take_apart(dy[image, oy], gradient)
            for ky in range(kh):
                iy = oy * stride[0] - padding[0] + ky * dilation[0]
                if 0 <= iy < source_height:
                    if inputs == 1:
                        source = x[image, iy].reshape(source_width, inputs, groups)
                    else:
                        _take_apart(x[image, iy], source)
                    for ox in range(width):
                        for kx in range(kw):
                            ix = ox * stride[1] - padding[1] + kx * dilation[1]
                            if 0 <= ix < source_width:
                                for i in range(inputs):
                                    for o in range(outputs):
                                        for g in range(groups):
                                            total[ky, kx, i, o, g] += real(source[ix, i, g]) * gradient[ox, o, g]


def backward_weight(x, dy, stride, padding, groups, dilation, dw):
    """See `reference.conv.conv2d_backward_weight`."""
    if single(dw, groups):
        depthwise.backward_weight(x, dy, stride, padding, dilation, dw)
        return
    images, height, width, channels = dy.shape
    kh, kw, inputs, _ = dw.shape
    rows = max(rows_per_tile(width * channels), count_tiles(images * height, WEIGHT_TILES))
    tiles = count_tiles(images * height, rows)
    parts = np.empty((tiles, kh, kw, inputs, channels // groups, groups), dw.dtype)
    launch(_weight_gradient_tiles, tiles, x, dy, stride, padding, dilation, parts, rows)
    total = np.empty(parts.shape[1:], dw.dtype)
    sum_tiles(parts, total)
    dw[...] = total.swapaxes(3, 4).reshape(dw.shape)
