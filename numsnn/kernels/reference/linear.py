"""The linear layer.

The arrays are x ``[M, I]``, w ``[I, O]``, b ``[O]`` or None, and y ``[M, O]``. `reference.conv` documents the arguments
active, way, kept and visible, and the returned name of a route.
"""

from ..types import AUTO


def linear_forward(x, w, b, y, active=None, way=AUTO, kept=None):
    """W1: y = x w + b. x may be uint8 spikes; y is the output."""
    y[...] = x.astype(w.dtype) @ w
    if b is not None:
        y += b
    return "reference"


def linear_backward_weight(x, dy, dw, active=None, way=AUTO):
    """W2: dw = x^T dy, the output."""
    dw[...] = x.astype(dy.dtype).T @ dy
    return "reference"


def linear_backward_input(dy, w, dx, way=AUTO, visible=None):
    """W2: dx = dy w^T, the output."""
    dx[...] = dy @ w.T
    if visible is not None:
        dx *= visible
    return "reference"


def bias_backward(dy, db):
    """W3: db ``[O]`` = sum of dy ``[M, O]`` over rows."""
    db[...] = dy.sum(0)
