"""Two-dimensional convolution (cross-correlation), channels last.

The arrays are x ``[B, H, W, I]``, w ``[kh, kw, I/groups, O]``, b ``[O]`` or None, and y ``[B, Ho, Wo, O]``. With the
same padding at all borders Ho = (H + 2 ph - dh (kh - 1) - 1) // sh + 1, and Wo likewise; any other Ho is computed, too.
geometry is a `types.Geometry`, and way a `types.Way`. The convolution is written as a sum over the taps of the filter.
Each tap is one matrix product of a shifted, strided view of the input and the weights of this tap.

Each function returns the name of the route that it took.
"""

import numpy as np

from ..types import AUTO


def _borders(source, target, kernel, geometry):
    """The widths of the borders of zeros (before, behind) that the filter reads, vertically and horizontally.

    Args:
        source, target, kernel: extents (vertical, horizontal) of the input, the output and the filter.
    """
    stride, padding, _, dilation = geometry
    reached = [(out - 1) * s + d * (k - 1) + 1 for out, s, d, k in zip(target, stride, dilation, kernel, strict=True)]
    return [(p, max(0, last - p - size)) for last, p, size in zip(reached, padding, source, strict=True)]


def _padded(x, target, kernel, geometry, dtype):
    return np.pad(x.astype(dtype), [(0, 0), *_borders(x.shape[1:3], target, kernel, geometry), (0, 0)])


def _tap(padded, down, across, stride, height, width):
    """The view of the padded input that a tap reads, with one entry per output position.

    down and across are the distances of the tap from the corner of the filter, in pixels.
    """
    (sh, sw) = stride
    return padded[:, down : down + sh * height : sh, across : across + sw * width : sw][:, :height, :width]


def _groups(groups, channels_in, channels_out):
    """Pairs of channel slices (input, output), one pair per group."""
    i, o = channels_in // groups, channels_out // groups
    return [(slice(g * i, (g + 1) * i), slice(g * o, (g + 1) * o)) for g in range(groups)]


def active_inputs(x, dtype, memory=None):
    """Find the active inputs of x ``[B, H, W, I]`` or ``[M, I]``, for the forward pass and the weight gradient.

    A device that has no use for them returns None, as the reference does.

    Args:
        x: input of one or several layers.
        dtype: dtype of the weights.
        memory: an earlier result, whose memory is used again, or None.
    """


def conv2d_forward(x, w, b, geometry, y, active=None, way=AUTO, kept=None):
    """W4: y[b, oy, ox] = sum over taps of x[b, oy sh + ky dh - ph, ox sw + kx dw - pw] w[ky, kx] + b.

    Args:
        x: input, real or uint8.
        w, b: weights and bias.
        geometry: stride, padding, groups and dilation.
        y: output.
        active: the result of `active_inputs` for x, or None.
        way: the route that the user asks for. With "auto", a device with several routes chooses one.
        kept: a dict for weights that never change, in which a device may keep prepared weights; or None.

    Returns:
        the name of the route.
    """
    stride, _, groups, (dh, dw) = geometry
    padded = _padded(x, y.shape[1:3], w.shape[:2], geometry, w.dtype)
    y[...] = 0 if b is None else b
    for ky, kx in np.ndindex(w.shape[:2]):
        view = _tap(padded, ky * dh, kx * dw, stride, *y.shape[1:3])
        for i, o in _groups(groups, x.shape[3], y.shape[3]):
            y[..., o] += view[..., i] @ w[ky, kx][:, o]
    return "reference"


def conv2d_backward_weight(x, dy, geometry, dw, active=None, way=AUTO, active_dy=None):
    """W5: dw[ky, kx] = sum over positions of view^T dy, the output. view is what tap (ky, kx) reads of x.

    active_dy is the result of `active_inputs` for dy, if this is the gradient of a transposed convolution, whose input
    is dy; or None.
    """
    stride, _, groups, (down, across) = geometry
    padded = _padded(x, dy.shape[1:3], dw.shape[:2], geometry, dy.dtype)
    for ky, kx in np.ndindex(dw.shape[:2]):
        view = _tap(padded, ky * down, kx * across, stride, *dy.shape[1:3])
        for i, o in _groups(groups, x.shape[3], dy.shape[3]):
            dw[ky, kx][:, o] = np.tensordot(view[..., i], dy[..., o], axes=([0, 1, 2], [0, 1, 2]))
    return "reference"


def lacks(way, dtype):
    """A message if this device lacks the route or precision of `way` for networks of this dtype, else None.

    The reference accepts every route, because all routes compute the same result.
    """
    return None if way.precision == "float32" else "device 'reference' has precision 'float32' only"


def visible_limit(w, geometry, way=AUTO):
    """The share of visible elements up to which `conv2d_backward_input` skips the others. It is 0 if it never does."""
    return 1.0


def conv2d_backward_input(dy, w, geometry, dx, way=AUTO, visible=None, active=None):
    """W6: each tap adds dy w[ky, kx]^T to the positions of dx that it has read.

    This is also the forward pass of the transposed convolution, for which dy may be uint8 spikes.

    Args:
        dy: gradient of the output.
        w, geometry, way: as in the forward pass.
        dx: output, gradient of the input.
        visible: uint8, shape of dx, 1 for the elements of dx that are needed, or None if all are. The other elements
            become either 0 or their true value, because a device skips them only if this makes it faster.
        active: the result of `active_inputs` for dy, or None.

    Returns:
        the name of the route.
    """
    stride, (ph, pw), groups, (dh, dw) = geometry
    height, width, channels = dx.shape[1:]
    padded = _padded(np.zeros_like(dx), dy.shape[1:3], w.shape[:2], geometry, dx.dtype)
    for ky, kx in np.ndindex(w.shape[:2]):
        view = _tap(padded, ky * dh, kx * dw, stride, *dy.shape[1:3])
        for i, o in _groups(groups, channels, dy.shape[3]):
            view[..., i] += dy[..., o] @ w[ky, kx][:, o].T
    dx[...] = padded[:, ph : ph + height, pw : pw + width]
    if visible is not None:
        dx *= visible
    return "reference"
