"""Fully connected layer on BLAS, one thread a block; `reference.linear` is the text it equals."""

import numpy as np

from .launch import count_tiles, parallel_for, scratch, single_threaded_blas
from .reduce import column_sum

ROWS = 256
"""Rows (forward, input gradient) or inputs (weight gradient) of a block."""


def _as_real(x, dtype, purpose):
    """x itself, or a copy in scratch memory where it holds spikes."""
    if x.dtype == dtype:
        return x
    real = scratch.get(purpose, x.shape, dtype)
    real[...] = x
    return real


def _blocks(total, body):
    """body(slice) for blocks of ROWS that cover 0..total-1, on all threads."""

    def work(lo, hi):
        for block in range(lo, hi):
            body(slice(block * ROWS, min(total, (block + 1) * ROWS)))

    with single_threaded_blas:
        parallel_for(work, count_tiles(total, ROWS))


def linear_forward(x, w, b, y):
    """See `reference.linear.linear_forward`."""

    def block(rows):
        np.matmul(_as_real(x[rows], w.dtype, "linear x"), w, out=y[rows])
        if b is not None:
            y[rows] += b

    _blocks(len(x), block)


def linear_backward_weight(x, dy, dw):
    """See `reference.linear.linear_backward_weight`. A block owns the weights of its inputs."""

    def block(inputs):
        np.matmul(_as_real(x[:, inputs], dy.dtype, "linear x").T, dy, out=dw[inputs])

    _blocks(x.shape[1], block)


def linear_backward_input(dy, w, dx):
    """See `reference.linear.linear_backward_input`."""
    _blocks(len(dy), lambda rows: np.matmul(dy[rows], w.T, out=dx[rows]))


def bias_backward(dy, db):
    """See `reference.linear.bias_backward`."""
    column_sum(dy, db)
