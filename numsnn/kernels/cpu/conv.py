"""Convolution as matrix products of gathered patches, on BLAS; `reference.conv` is the text it equals.

All three passes use one gather. Output row r and tap k of a strided convolution read input row r stride - pad + k; the
input gradient is the convolution of dy with the flipped kernel, which reads row (r - (kh - 1 - pad) + k) / stride where
that is whole. Tiles are blocks of output rows, so that the gathered patches stay in cache. The weight gradient is owned
tap by tap (and block of input channels by block), and each owner adds up its tiles in order. Many small groups go
without patches and BLAS: `grouped`.
"""

import numpy as np

from . import grouped
from .compile import kernel
from .launch import count_tiles, parallel_for, scratch, single_threaded_blas

PATCH_ELEMENTS = 131072
"""Gathered elements of a tile: 512 KiB of float32."""

CHANNEL_BLOCK = 64
"""Input channels that one owner of weight gradients takes."""


@kernel
def _gather(x, first_channel, multiply, divide, pad, height, patches, lo, hi):
    """Patches of the global rows lo..hi-1, where row = image * height + r, for all their columns.

    x is ``[B, H, W, C]``, patches ``[hi - lo, width, kh, kw, channels]`` with x's channels from first_channel on. Tap k
    at position r reads (r multiply - pad + k) / divide, and zero outside x or between its positions.
    """
    _, source_height, source_width, _ = x.shape
    _, width, kh, kw, channels = patches.shape
    zero = type(patches[0, 0, 0, 0, 0])(0)
    for row in range(lo, hi):
        image, r = row // height, row % height
        for ky in range(kh):
            at_y = r * multiply[0] - pad[0] + ky
            y = at_y // divide[0]
            inside_y = at_y == y * divide[0] and 0 <= y < source_height
            for column in range(width):
                for kx in range(kw):
                    at_x = column * multiply[1] - pad[1] + kx
                    x0 = at_x // divide[1]
                    if inside_y and at_x == x0 * divide[1] and 0 <= x0 < source_width:
                        for c in range(channels):
                            patches[row - lo, column, ky, kx, c] = x[image, y, x0, first_channel + c]
                    else:
                        for c in range(channels):
                            patches[row - lo, column, ky, kx, c] = zero


def _correlate(x, weights, b, multiply, divide, pad, y):
    """y = gathered patches of x times weights, for weights ``[kh, kw, I, O]`` a group (a list), plus b or None."""
    images, height, width, _ = y.shape
    kh, kw, channels, outputs = weights[0].shape
    taps = kh * kw * channels
    matrices = [w.reshape(taps, outputs) for w in weights]
    block = max(1, PATCH_ELEMENTS // (width * taps))
    rows = y.reshape(images * height, width, -1)

    def work(lo, hi):
        for tile in range(lo, hi):
            first, last = tile * block, min(len(rows), (tile + 1) * block)
            patches = scratch.get("conv patches", (last - first, width, kh, kw, channels), y.dtype)
            out = rows[first:last].reshape((last - first) * width, -1)
            for g, matrix in enumerate(matrices):
                _gather(x, g * channels, multiply, divide, pad, height, patches, first, last)
                np.matmul(patches.reshape(-1, taps), matrix, out=out[:, g * outputs : (g + 1) * outputs])
            if b is not None:
                out += b

    with single_threaded_blas:
        parallel_for(work, count_tiles(len(rows), block))


def conv2d_forward(x, w, b, stride, padding, groups, y):
    """See `reference.conv.conv2d_forward`."""
    if grouped.worth_it(w, groups):
        grouped.forward(x, w, b, stride, padding, groups, y)
    else:
        _correlate(x, np.split(w, groups, axis=3), b, stride, (1, 1), padding, y)


def conv2d_backward_input(dy, w, stride, padding, groups, dx):
    """See `reference.conv.conv2d_backward_input`: dy correlated with the flipped, transposed kernel."""
    if grouped.worth_it(w, groups):
        grouped.backward_input(dy, w, stride, padding, groups, dx)
        return
    kh, kw = w.shape[:2]
    flipped = np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))
    pad = (kh - 1 - padding[0], kw - 1 - padding[1])
    _correlate(dy, np.split(flipped, groups, axis=2), None, (1, 1), stride, pad, dx)


def conv2d_backward_weight(x, dy, stride, padding, groups, dw):
    """See `reference.conv.conv2d_backward_weight`."""
    if grouped.worth_it(dw, groups):
        grouped.backward_weight(x, dy, stride, padding, groups, dw)
        return
    images, height, width, channels_out = dy.shape
    kh, kw, channels, _ = dw.shape
    outputs = channels_out // groups
    channel_blocks = count_tiles(channels, CHANNEL_BLOCK)
    block = max(1, PATCH_ELEMENTS // (width * min(channels, CHANNEL_BLOCK)))
    gradients = dy.reshape(images * height * width, channels_out)

    def owner(item):
        """Sum one tap, group and channel block over all tiles."""
        item, part = divmod(item, channel_blocks)
        tap, g = divmod(item, groups)
        ky, kx = divmod(tap, kw)
        first_channel = part * CHANNEL_BLOCK
        size = min(CHANNEL_BLOCK, channels - first_channel)
        total = dw[ky, kx, first_channel : first_channel + size, g * outputs : (g + 1) * outputs]
        total[...] = 0
        share = scratch.get("conv share", (size, outputs), dy.dtype)
        for first in range(0, images * height, block):
            last = min(images * height, first + block)
            patches = scratch.get("conv patches", (last - first, width, 1, 1, size), dy.dtype)
            source_pad = (padding[0] - ky, padding[1] - kx)
            _gather(x, g * channels + first_channel, stride, (1, 1), source_pad, height, patches, first, last)
            dy_tile = gradients[first * width : last * width, g * outputs : (g + 1) * outputs]
            np.matmul(patches.reshape(-1, size).T, dy_tile, out=share)
            total += share

    def work(lo, hi):
        for item in range(lo, hi):
            owner(item)

    with single_threaded_blas:
        parallel_for(work, kh * kw * groups * channel_blocks)
