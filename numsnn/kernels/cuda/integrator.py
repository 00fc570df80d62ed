"""The leaky integrator, as CUDA kernels. `reference.integrator` documents it.

A thread takes one neuron through all time steps, with its potential, or delta in the backward pass, in a register.
"""

from functools import cache

from .. import equations as eq
from ..steps import integrator_step_back
from .run.api import cuda
from .run.compile import kernel
from .run.launch import launch, scratch
from .run.reduce import add_up
from .run.tiles import HEAVY_THREADS, cut, lay_out, leave_sum


@cache
def _kernels(dtype, decay_input, carry, learn_beta, leave=False):

    @kernel
    def integrator_forward(i, beta, u, carried, steps, rows, channels):
        c, stride, lanes = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x, rows * channels, cuda.blockDim.y
        first = cuda.blockIdx.x * lanes + cuda.threadIdx.y
        for m in range(first, rows if c < channels else 0, cuda.gridDim.x * lanes):
            row, b = m * channels + c, beta[c]
            real = type(b)
            gain = eq.input_gain(b, decay_input)
            before = carried[row] if carry else real(0)
            for t in range(steps):
                before = eq.charge(before, real(i[t * stride + row]), b, gain)
                u[t * stride + row] = before
            if carry:
                carried[row] = before

    @kernel
    def integrator_backward(du, i, u, beta, di, start, dstart, partial_sums, steps, rows, channels):
        total, room = cuda.local.array(1, dtype), cuda.shared.array(HEAVY_THREADS, dtype)
        column, lane, columns, lanes = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x, cuda.blockDim.y
        block, c, stride = cuda.blockIdx.x, cuda.blockIdx.y * columns + column, rows * channels
        total[0] = dtype(0)
        for m in range(block * lanes + lane, rows if c < channels else 0, cuda.gridDim.x * lanes):
            row, b = m * channels + c, beta[c]
            real = type(b)
            delta = real(0)
            for t in range(steps - 1, -1, -1):
                at = t * stride + row
                before = current = real(0)
                if learn_beta:
                    before = u[at - stride] if t > 0 else start[row] if carry else real(0)
                    current = real(i[at])
                delta, di[at], change = integrator_step_back(du[at], delta, before, current, b, decay_input)
                if learn_beta:
                    total[0] += change
            if leave:
                dstart[row] = b * delta
        if learn_beta:
            lay_out(total, 0, 1, column, columns, lane, room)
            cuda.syncthreads()
            leave_sum(room, 0, 1, column, columns, lane, lanes, block, c, channels, partial_sums)

    return integrator_forward, integrator_backward


def integrator_forward(i, beta, decay_input, u, carried=None):
    """See `reference.integrator.integrator_forward`."""
    steps, rows, channels = u.shape
    plan = cut(rows, channels, 1, heavy=True)
    forward, _ = _kernels(u.dtype.type, decay_input, carried is not None, False)
    state = (u if carried is None else carried).reshape(-1)
    launch(forward, plan.grid, plan.block, i.reshape(-1), beta, u.reshape(-1), state, steps, rows, channels)


def integrator_backward(du, i, u, beta, decay_input, di, dbeta, start=None, dstart=None):
    """See `reference.integrator.integrator_backward`."""
    steps, rows, channels = u.shape
    plan = cut(rows, channels, 1, heavy=True)
    _, backward = _kernels(u.dtype.type, decay_input, start is not None, dbeta is not None, dstart is not None)
    partial_sums = scratch.get("sums of gradients", (1, plan.row_blocks, channels), u.dtype)
    launch(
        backward,
        plan.grid,
        plan.block,
        du.reshape(-1),
        i.reshape(-1),
        u.reshape(-1),
        beta,
        di.reshape(-1),
        (u if start is None else start).reshape(-1),
        (u if dstart is None else dstart).reshape(-1),
        partial_sums,
        steps,
        rows,
        channels,
    )
    if dbeta is not None:
        add_up(partial_sums, [dbeta])
