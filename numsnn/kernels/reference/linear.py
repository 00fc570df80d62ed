"""Fully connected layer on rows: x ``[M, I]``, w ``[I, O]``, b ``[O]`` or None, y ``[M, O]``. active, way and
kept: see `reference.conv`."""

from ..types import AUTO


def linear_forward(x, w, b, y, active=None, way=AUTO, kept=None):
    """W1: y = x w + b; x may be uint8 spikes."""
    y[...] = x.astype(w.dtype) @ w
    if b is not None:
        y += b
    return "reference"


def linear_backward_weight(x, dy, dw, active=None, way=AUTO):
    """W2: dw = x^T dy."""
    dw[...] = x.astype(dy.dtype).T @ dy
    return "reference"


def linear_backward_input(dy, w, dx, way=AUTO, visible=None):
    """W2: dx = dy w^T. visible: see `reference.conv.conv2d_backward_input`."""
    dx[...] = dy @ w.T
    if visible is not None:
        dx *= visible
    return "reference"


def bias_backward(dy, db):
    """W3: db = sum of dy ``[M, O]`` over rows."""
    db[...] = dy.sum(0)
