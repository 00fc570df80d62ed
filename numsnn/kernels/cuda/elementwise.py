"""Joins, rectified linear units, copies along time and channels, and delays, as CUDA kernels.

`reference.elementwise` documents them.
"""

from .. import steps
from .inline.rows import launch_rows
from .run.api import cuda
from .run.compile import device, kernel
from .run.launch import ceil_div, launch_flat

ELEMENTS = 4
"""Elements per thread. A thread reads all of them before it writes; `rows.ROWS_PER_THREAD` says why."""


def _join_kernel(function):
    """The kernel of y[k] = function(a[k], s[k]), where a and s are converted to the type of y."""

    @kernel
    def join(a, s, y, threads):
        real, count = y.dtype.type, y.shape[0]
        k, stride = cuda.grid(1), cuda.gridsize(1)
        # Four elements are in registers before the first one is written, so that their reads wait together.
        while k + 3 * stride < count:
            second, third, fourth = k + stride, k + 2 * stride, k + 3 * stride
            a_1, a_2, a_3, a_4 = real(a[k]), real(a[second]), real(a[third]), real(a[fourth])
            s_1, s_2, s_3, s_4 = real(s[k]), real(s[second]), real(s[third]), real(s[fourth])
            y[k], y[second] = function(a_1, s_1), function(a_2, s_2)
            y[third], y[fourth] = function(a_3, s_3), function(a_4, s_4)
            k += 4 * stride
        while k < count:
            y[k] = function(real(a[k]), real(s[k]))
            k += stride

    return join


def _join_backward_kernel(function):
    """The kernel of da[k], ds[k] = function(dy[k], a[k], s[k]), where a and s are converted to the type of dy."""

    @kernel
    def join_backward(dy, a, s, da, ds, count):
        real = dy.dtype.type
        for k in range(cuda.grid(1), count, cuda.gridsize(1)):
            da[k], ds[k] = function(dy[k], real(a[k]), real(s[k]))

    return join_backward


@device
def _sum(a, s):
    return a + s


_add_elements, _and_elements, _iand_elements = map(_join_kernel, (_sum, steps.and_join, steps.iand_join))
_and_backward, _iand_backward = map(_join_backward_kernel, (steps.and_join_back, steps.iand_join_back))


def _launch_join(kernel, a, s, y):
    launch_flat(kernel, ceil_div(y.size, ELEMENTS), a.reshape(-1), s.reshape(-1), y.reshape(-1))


def add(a, b, y):
    """See `reference.elementwise.add`."""
    _launch_join(_add_elements, a, b, y)


def and_forward(a, s, y):
    """See `reference.elementwise.and_forward`."""
    _launch_join(_and_elements, a, s, y)


def and_backward(dy, a, s, da, ds):
    """See `reference.elementwise.and_backward`."""
    launch_flat(_and_backward, dy.size, *(array.reshape(-1) for array in (dy, a, s, da, ds)))


def iand_forward(a, s, y):
    """See `reference.elementwise.iand_forward`."""
    _launch_join(_iand_elements, a, s, y)


def iand_backward(dy, a, s, da, ds):
    """See `reference.elementwise.iand_backward`."""
    launch_flat(_iand_backward, dy.size, *(array.reshape(-1) for array in (dy, a, s, da, ds)))


@kernel
def _relu(x, y, count):
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[k] = steps.rectify(x[k])


def relu_forward(x, y):
    """See `reference.elementwise.relu_forward`."""
    launch_flat(_relu, y.size, x.reshape(-1), y.reshape(-1))


@kernel
def _relu_backward(dy, y, dx, count):
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        dx[k] = steps.rectify_back(dy[k], y[k])


def relu_backward(dy, y, dx):
    """See `reference.elementwise.relu_backward`."""
    launch_flat(_relu_backward, dx.size, *(array.reshape(-1) for array in (dy, y, dx)))


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
    """Delay x. A thread goes through all steps of a row and channel, and no other thread uses past there.

    past is not touched if reach is 0.
    """
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
