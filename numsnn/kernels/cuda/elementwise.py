"""Joins, copies along time and channels, and delays; `reference.elementwise` is the text it equals."""

from .api import cuda
from .compile import kernel
from .launch import launch_flat
from .rows import launch_rows


def _launch_elements(kernel, *arrays):
    """Over the elements of arrays of one shape."""
    launch_flat(kernel, arrays[0].size, *(array.reshape(-1) for array in arrays))


@kernel
def _add(a, b, y, count):
    real = y.dtype.type
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[k] = real(a[k]) + real(b[k])


def add(a, b, y):
    """See `reference.elementwise.add`."""
    _launch_elements(_add, a, b, y)


@kernel
def _and_forward(a, s, y, count):
    real = y.dtype.type
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[k] = real(a[k]) * real(s[k])


def and_forward(a, s, y):
    """See `reference.elementwise.and_forward`."""
    _launch_elements(_and_forward, a, s, y)


@kernel
def _and_backward(dy, a, s, da, ds, count):
    real = dy.dtype.type
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        slope = dy[k]
        da[k] = slope * real(s[k])
        ds[k] = slope * real(a[k])


def and_backward(dy, a, s, da, ds):
    """See `reference.elementwise.and_backward`."""
    _launch_elements(_and_backward, dy, a, s, da, ds)


@kernel
def _iand_forward(a, s, y, count):
    real = y.dtype.type
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[k] = (real(1) - real(a[k])) * real(s[k])


def iand_forward(a, s, y):
    """See `reference.elementwise.iand_forward`."""
    _launch_elements(_iand_forward, a, s, y)


@kernel
def _iand_backward(dy, a, s, da, ds, count):
    real = dy.dtype.type
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        slope = dy[k]
        da[k] = -slope * real(s[k])
        ds[k] = slope * (real(1) - real(a[k]))


def iand_backward(dy, a, s, da, ds):
    """See `reference.elementwise.iand_backward`."""
    _launch_elements(_iand_backward, dy, a, s, da, ds)


@kernel
def _repeat(x, y, count):
    for f in range(cuda.grid(1), count, cuda.gridsize(1)):
        value = x[f]
        for t in range(y.shape[0]):
            y[t, f] = value


def repeat(x, y):
    """See `reference.elementwise.repeat`."""
    launch_flat(_repeat, x.size, x, y)


@kernel
def _sum_steps(dy, dx, count):
    for f in range(cuda.grid(1), count, cuda.gridsize(1)):
        total = dy[0, f]
        for t in range(1, dy.shape[0]):
            total += dy[t, f]
        dx[f] = total


def sum_steps(dy, dx):
    """See `reference.elementwise.sum_steps`."""
    launch_flat(_sum_steps, dx.size, dy, dx)


@kernel
def _concat(x, first, y):
    rows, channels = x.shape
    c, row = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < channels:
        for m in range(row, rows, stride):
            y[m, first + c] = x[m, c]


def concat(x, first, y):
    """See `reference.elementwise.concat`."""
    launch_rows(_concat, *x.shape, x, first, y)


@kernel
def _split(dy, first, dx):
    rows, channels = dx.shape
    c, row = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < channels:
        for m in range(row, rows, stride):
            dx[m, c] = dy[m, first + c]


def split(dy, first, dx):
    """See `reference.elementwise.split`."""
    launch_rows(_split, *dx.shape, dy, first, dx)


@kernel
def _delay_forward(x, steps, reach, past, y):
    """A thread goes through all steps of a row and channel: it alone reads and writes the past there. Nothing of past
    is touched where reach is 0."""
    length, rows, channels = x.shape
    value = y.dtype.type
    c, row = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < channels:
        delay = steps[c]
        for m in range(row, rows, stride):
            for t in range(length):
                at = t - delay
                if at >= 0:
                    y[t, m, c] = x[at, m, c]
                elif at >= -reach:
                    y[t, m, c] = value(past[reach + at, m, c])
                else:
                    y[t, m, c] = value(0)
            for k in range(reach):
                at = length - reach + k
                past[k, m, c] = past.dtype.type(x[at, m, c]) if at >= 0 else past[k + length, m, c]


def delay_forward(x, steps, past, y):
    """See `reference.elementwise.delay_forward`."""
    reach = len(past)
    launch_rows(_delay_forward, *x.shape[1:], x, steps, reach, past if reach else y, y)


@kernel
def _delay_backward(dy, steps, dx):
    length, rows, channels = dy.shape
    c, row = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < channels:
        delay = steps[c]
        for m in range(row, rows, stride):
            for t in range(length):
                at = t + delay
                dx[t, m, c] = dy[at, m, c] if at < length else dy.dtype.type(0)


def delay_backward(dy, steps, dx):
    """See `reference.elementwise.delay_backward`."""
    launch_rows(_delay_backward, *dy.shape[1:], dy, steps, dx)
