"""The input gradient of a convolution for visible elements only. The work is proportional to their number.

A surrogate of limited reach passes no gradient to potentials far from the threshold: dL/ds is multiplied by 0 there.
Only the other elements, the visible ones, are computed. Each of them is a sum over the taps of dot products of a row of
dy, which all elements of a pixel share, and a row of weights (`blocks.dot_rows`).
"""

import numpy as np

from ...compile import kernel
from ..inline.blocks import dot_rows
from ..inline.local import local
from ..inline.nonzero import list_places
from ..run.launch import count_tiles, launch, scratch

TABLE_BYTES = 640 << 10
"""Bytes of weights that are used at a time, so that they stay in the second-level cache."""

TILE_BYTES = 128 << 10
"""Bytes of the output's gradient per tile. They are read again for every block of weights."""

MOST_PIXELS = 256
"""Largest number of pixels per tile."""


def share(visible) -> float:
    """The share of visible elements."""
    return np.count_nonzero(visible.view(np.bool_)) / visible.size


@kernel
def _pack_channels(w, packed, lo, hi):
    """Copy w ``[taps, I, O]`` to packed ``[I, taps, O]``, where the weights of an input channel are contiguous."""
    taps, _, outputs = w.shape
    for c in range(lo, hi):
        for tap in range(taps):
            source, target = w[tap, c], packed[c, tap]
            for k in range(outputs):
                target[k] = source[k]


@kernel
def _tiles(visible, dy, packed, kernel_size, stride, padding, dilation, dx, block, pixels, lo, hi):
    """Compute dx for tiles of input pixels.

    Input channels are processed in blocks, so that the weights of a block stay in the cache for all pixels of the tile.
    """
    images, height, width, channels = dx.shape
    _, out_height, out_width, outputs = dy.shape
    kh, kw = kernel_size
    size = kh * kw * outputs
    seen, slopes, weights, gradient = visible.reshape(-1), dy.reshape(-1), packed.reshape(-1), dx.reshape(-1)
    index = local(block, np.int64)
    slope_at, weight_at = local(kh * kw, np.int64), local(kh * kw, np.int64)
    for tile in range(lo, hi):
        first, last = tile * pixels, min(images * height * width, (tile + 1) * pixels)
        gradient[first * channels : last * channels] = type(gradient[0])(0)
        for channel in range(0, channels, block):
            for p in range(first, last):
                at = p * channels + channel
                count = list_places(seen, at, at + min(block, channels - channel), index)
                if count == 0:
                    continue
                # Of each tap that reads this pixel: where its row of dy and its weights begin.
                row, x = p // width, p % width
                image, y = row // height, row % height
                taps = 0
                for ky in range(kh):
                    below = y + padding[0] - ky * dilation[0]
                    oy = below // stride[0]
                    if oy * stride[0] == below and 0 <= oy < out_height:
                        for kx in range(kw):
                            beside = x + padding[1] - kx * dilation[1]
                            ox = beside // stride[1]
                            if ox * stride[1] == beside and 0 <= ox < out_width:
                                slope_at[taps] = ((image * out_height + oy) * out_width + ox) * outputs
                                weight_at[taps] = channel * size + (ky * kw + kx) * outputs
                                taps += 1
                dot_rows(gradient, at, index, 0, count, slopes, slope_at, weights, weight_at, size, outputs, taps)


def backward_input(visible, dy, w, stride, padding, dilation, dx):
    """See `reference.conv.conv2d_backward_input`, for one group. dx is 0 for elements that are not visible."""
    kh, kw, channels, outputs = w.shape
    images, height, width, _ = dx.shape
    taps = kh * kw
    packed = scratch.get("channels of weights", (channels, taps, outputs), w.dtype)
    launch(_pack_channels, channels, w.reshape(taps, channels, outputs), packed)
    block = min(channels, max(1, TABLE_BYTES // packed[0].nbytes))
    block = count_tiles(channels, count_tiles(channels, block))
    pixels = max(1, min(MOST_PIXELS, TILE_BYTES // (outputs * dy.itemsize)))
    launch(
        _tiles,
        count_tiles(images * height * width, pixels),
        visible,
        np.ascontiguousarray(dy),
        packed,
        (kh, kw),
        stride,
        padding,
        dilation,
        dx,
        block,
        pixels,
    )
