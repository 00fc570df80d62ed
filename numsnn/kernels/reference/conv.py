"""Two-dimensional convolution (cross-correlation), channels last.

x ``[B, H, W, I]``, w ``[kh, kw, I/groups, O]``, b ``[O]`` or None, y ``[B, Ho, Wo, O]`` with
Ho = (H + 2 ph - kh) // sh + 1; geometry is a `types.Geometry`. Written as a sum over the taps of the kernel: every tap
is one matrix product between a shifted, strided view of the input and that tap's weights.
"""

import numpy as np

from ..types import AUTO


def _padded(x, padding, dtype):
    (ph, pw) = padding
    return np.pad(x.astype(dtype), ((0, 0), (ph, ph), (pw, pw), (0, 0)))


def _tap(padded, ky, kx, stride, height, width):
    """The view of the padded input that tap (ky, kx) sees, one entry an output position."""
    (sh, sw) = stride
    return padded[:, ky : ky + sh * height : sh, kx : kx + sw * width : sw][:, :height, :width]


def _groups(groups, channels_in, channels_out):
    """Pairs of channel slices (input, output), one a group."""
    i, o = channels_in // groups, channels_out // groups
    return [(slice(g * i, (g + 1) * i), slice(g * o, (g + 1) * o)) for g in range(groups)]


def active_inputs(x, dtype, memory=None):
    """What a target wants to know of an input ``[B, H, W, I]`` (or ``[M, I]``) before it computes with it, once for the
    forward pass and the weight gradient: where it is not zero. Here, nothing.

    memory is an earlier answer, to be used again; dtype the weights'.
    """


def conv2d_forward(x, w, b, geometry, y, active=None, way=AUTO, kept=None):
    """W4: y[b, oy, ox] = sum over taps of x[b, oy sh + ky - ph, ox sw + kx - pw] w[ky, kx] + b; x may be uint8.

    Targets that know several ways to compute this choose one, or take the one asked for (a `types.Way`); all give its
    name back. active is what `active_inputs` said of x; kept a dict for weights that never change, in which a target
    may keep what it makes of them.
    """
    stride, padding, groups = geometry
    padded = _padded(x, padding, w.dtype)
    y[...] = 0 if b is None else b
    for ky, kx in np.ndindex(w.shape[:2]):
        view = _tap(padded, ky, kx, stride, *y.shape[1:3])
        for i, o in _groups(groups, x.shape[3], y.shape[3]):
            y[..., o] += view[..., i] @ w[ky, kx][:, o]
    return "reference"


def conv2d_backward_weight(x, dy, geometry, dw, active=None, way=AUTO):
    """W5: dw[ky, kx] = sum over positions of x's tap view^T dy."""
    stride, padding, groups = geometry
    padded = _padded(x, padding, dy.dtype)
    for ky, kx in np.ndindex(dw.shape[:2]):
        view = _tap(padded, ky, kx, stride, *dy.shape[1:3])
        for i, o in _groups(groups, x.shape[3], dy.shape[3]):
            dw[ky, kx][:, o] = np.tensordot(view[..., i], dy[..., o], axes=([0, 1, 2], [0, 1, 2]))
    return "reference"


def lacks(way, dtype):
    """What this target has instead of a way that it lacks for networks of this dtype, in words; None where it has it.

    Every route is a way to compute what this target computes, so that it has them all."""
    return None if way.precision == "float32" else "device 'reference' has precision 'float32' only"


def visible_limit(w, geometry, way=AUTO):
    """Share of visible elements up to which `conv2d_backward_input` leaves out the others; 0 where it never does."""
    return 1.0


def conv2d_backward_input(dy, w, geometry, dx, way=AUTO, visible=None):
    """W6: every tap adds dy w[ky, kx]^T back onto the positions of dx that it has read.

    It is also the forward pass of the transposed convolution; dy may be uint8 spikes.

    visible is uint8 of dx's shape, 0 where nobody looks at dx and 1 elsewhere; None looks everywhere. Where nobody
    looks, dx is 0, or what it would be without: a target leaves out what makes it faster.
    """
    stride, (ph, pw), groups = geometry
    batch, height, width, channels = dx.shape
    padded = np.zeros((batch, height + 2 * ph, width + 2 * pw, channels), dx.dtype)
    for ky, kx in np.ndindex(w.shape[:2]):
        view = _tap(padded, ky, kx, stride, *dy.shape[1:3])
        for i, o in _groups(groups, channels, dy.shape[3]):
            view[..., i] += dy[..., o] @ w[ky, kx][:, o].T
    dx[...] = padded[:, ph : ph + height, pw : pw + width]
    if visible is not None:
        dx *= visible
    return "reference"
