"""Fully connected layer on rows: x ``[M, I]``, w ``[I, O]``, b ``[O]`` or None, y ``[M, O]``."""


def linear_forward(x, w, b, y):
    """y = x w + b; x may be uint8 spikes."""
    y[...] = x.astype(w.dtype) @ w
    if b is not None:
        y += b


def linear_backward_weight(x, dy, dw):
    """dw = x^T dy."""
    dw[...] = x.astype(dy.dtype).T @ dy


def linear_backward_input(dy, w, dx):
    """dx = dy w^T."""
    dx[...] = dy @ w.T


def bias_backward(dy, db):
    """db = sum of dy ``[M, O]`` over rows."""
    db[...] = dy.sum(0)
