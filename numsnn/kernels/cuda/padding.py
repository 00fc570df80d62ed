"""Rows of batches in which sequences have different lengths, as CUDA kernels. `reference.padding` documents them."""

from .inline.rows import launch_rows
from .run.api import cuda
from .run.compile import kernel


@kernel
def _gather_rows(x, index, y):
    rows, width = y.shape
    c, first = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < width:
        for k in range(first, rows, stride):
            y[k, c] = x[index[k], c]


def gather_rows(x, index, y):
    """See `reference.padding.gather_rows`."""
    launch_rows(_gather_rows, *y.shape, x, index, y)


@kernel
def _scatter_rows(x, place, y):
    rows, width = y.shape
    c, first = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < width:
        for m in range(first, rows, stride):
            y[m, c] = x[place[m], c] if place[m] >= 0 else y.dtype.type(0)


def scatter_rows(x, place, y):
    """See `reference.padding.scatter_rows`."""
    launch_rows(_scatter_rows, *y.shape, x, place, y)


@kernel
def _clear_rows(x, place):
    rows, width = x.shape
    c, first = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < width:
        for m in range(first, rows, stride):
            if place[m] < 0:
                x[m, c] = x.dtype.type(0)


def clear_rows(x, place):
    """See `reference.padding.clear_rows`."""
    launch_rows(_clear_rows, *x.shape, x, place)
