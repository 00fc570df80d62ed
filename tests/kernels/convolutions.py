"""Convolutions of every kind, and what bounds their rounding errors."""

import naive
import numpy as np
from targets import reference

from numsnn.kernels.types import Geometry

# (B, H, W, I), (kh, kw, O), stride, padding, groups, and dilation if it is not 1
CASES = {
    "3x3": ((2, 5, 7, 3), (3, 3, 4), (1, 1), (1, 1), 1),
    "rectangular": ((1, 7, 5, 2), (3, 2, 3), (2, 1), (1, 0), 1),
    "strided": ((2, 8, 7, 2), (3, 3, 2), (2, 2), (1, 1), 1),
    "positions nobody reads": ((1, 8, 9, 2), (2, 2, 3), (3, 3), (0, 0), 1),
    "grouped": ((1, 6, 5, 4), (3, 3, 6), (1, 1), (1, 1), 2),
    "depthwise": ((2, 5, 5, 3), (3, 3, 3), (1, 1), (1, 1), 3),
    "depthwise, two outputs each": ((1, 5, 6, 2), (3, 3, 4), (2, 1), (1, 1), 2),
    "depthwise, many channels": ((2, 5, 6, 9), (3, 3, 9), (1, 1), (1, 1), 9),
    "depthwise, many channels, three outputs each": ((1, 6, 5, 5), (2, 3, 15), (1, 2), (0, 1), 5),
    "many small groups": ((2, 4, 5, 10), (3, 2, 15), (2, 1), (1, 1), 5),
    "more channels than a tile": ((1, 4, 5, 9), (2, 2, 18), (1, 1), (0, 1), 1),
    "1x1": ((2, 3, 5, 5), (1, 1, 3), (1, 1), (0, 0), 1),
    "1x1 strided": ((2, 4, 5, 3), (1, 1, 4), (2, 3), (0, 0), 1),
    "as large as the padded picture": ((2, 3, 4, 2), (5, 6, 3), (1, 1), (1, 1), 1),
    "padded beyond the kernel": ((1, 3, 2, 2), (2, 2, 2), (1, 2), (2, 3), 1),
    "dilated": ((1, 7, 6, 3), (3, 2, 4), (1, 1), (2, 1), 1, (2, 3)),
    "dilated horizontally": ((2, 5, 8, 2), (2, 3, 3), (1, 2), (1, 2), 1, (1, 2)),
    "dilated and strided": ((1, 9, 8, 2), (3, 3, 3), (2, 2), (2, 3), 1, (2, 3)),
    "taps that meet every other class": ((1, 7, 9, 2), (2, 3, 2), (4, 3), (1, 2), 1, (2, 6)),
    "dilated groups": ((1, 6, 7, 4), (2, 3, 6), (1, 2), (1, 2), 2, (3, 2)),
    "dilated depthwise": ((2, 7, 6, 5), (3, 3, 5), (2, 1), (2, 2), 5, (2, 2)),
    "one pixel, one channel": ((1, 1, 1, 1), (1, 1, 1), (1, 1), (0, 0), 1),
}


def draw(name, real):
    """x, w, b, dy of a case, and the arguments that are not arrays."""
    shape, (kh, kw, outputs), stride, padding, groups, *dilated = CASES[name]
    dilation = dilated[0] if dilated else (1, 1)
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape).astype(real)
    w = rng.normal(size=(kh, kw, shape[3] // groups, outputs)).astype(real)
    b = rng.normal(size=outputs).astype(real)
    dy = rng.normal(size=naive.output_shape(shape, (kh, kw), stride, padding, outputs, dilation)).astype(real)
    return x, w, b, dy, Geometry(stride, padding, groups, dilation)


def run(k, x, w, b, dy, geometry):
    """y, dw and dx of one target, in memory that held NaN."""
    y, dw, dx = (np.full_like(like, np.nan) for like in (dy, w, np.zeros(x.shape, w.dtype)))
    k.conv2d_forward(x, w, b, geometry, y)
    k.conv2d_backward_weight(x, dy, geometry, dw)
    k.conv2d_backward_input(dy, w, geometry, dx)
    return y, dw, dx


def magnitudes(x, w, b, dy, geometry):
    """The sums of absolute terms behind y, dw and dx, and how many terms each has at most."""
    b = None if b is None else np.abs(b).astype(np.float64)
    x, w, dy = (np.abs(a).astype(np.float64) for a in (x, w, dy))
    terms = w[..., 0].size + 1, dy[..., 0].size, w[:, :, 0].size
    return list(zip(terms, run(reference, x, w, b, dy, geometry), strict=True))
