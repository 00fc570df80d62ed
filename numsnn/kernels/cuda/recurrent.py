"""Neurons with memory beyond the potential, as CUDA kernels. `reference.recurrent` documents them.

Without lateral weights, a thread takes one neuron through all time steps, with the neuron's state in registers. With
lateral weights, a block of threads takes one sample (`lateral`). The gradient of the lateral weights is one matrix
product after the kernel.
"""

from functools import cache

import numpy as np

from .. import equations as eq
from ..extended import extended_step, extended_step_back
from ..steps import reset_kind
from . import lateral
from .array import fill
from .elementwise import add
from .inline.recurrent_steps import step_before
from .inline.tuples import adder
from .linear import linear_backward_weight
from .run.api import cuda
from .run.compile import kernel
from .run.launch import launch, launch_flat, scratch
from .run.reduce import add_up
from .run.tiles import HEAVY_THREADS, cut, lay_out, leave_sum


@cache
def _forward_kernel(cdf, reset, decay_input, synapse, adaptive, refractory, carry):
    """The forward kernel of one kind of neuron without lateral weights.

    Args:
        cdf: distribution function of the surrogate in relaxed mode, or None for spikes.
        reset: "hard", "soft", "delayed" or "none".
        decay_input: whether the current is scaled by 1 - beta.
        synapse, adaptive, refractory: which extensions the neuron has.
        carry: whether the state of an earlier pass is carried on.
    """
    fires = eq.CDF["rectangle"] if cdf is None else cdf
    kind = reset in ("soft", "delayed"), reset == "delayed", reset == "hard"
    flags = cdf is not None, *kind, decay_input, synapse, adaptive, refractory

    @kernel
    def recurrent_forward(
        i,
        beta,
        gamma,
        rho,
        kappa,
        theta,
        d,
        v_reset,
        steps_held,
        alpha,
        u,
        s,
        j,
        a,
        held,
        carried,
        steps,
        rows,
        channels,
    ):
        c, stride, lanes = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x, rows * channels, cuda.blockDim.y
        first = cuda.blockIdx.x * lanes + cuda.threadIdx.y
        for m in range(first, rows if c < channels else 0, cuda.gridDim.x * lanes):
            row = m * channels + c
            # The whole state of the neuron is in registers while the thread goes through time.
            values = beta[c], gamma[c], rho[c], kappa[c], theta[c], alpha[c]
            v = current = adapted = fired = rest = type(v_reset)(0)
            if carry:
                v, current, adapted = carried[row], carried[stride + row], carried[2 * stride + row]
                fired, rest = carried[3 * stride + row], carried[4 * stride + row]
            for t in range(steps):
                at = t * stride + row
                state, drop = (v, current, adapted, rest), d[t * channels + c]
                u[at], fired, resting, state = extended_step(
                    fires, i[at], state, drop, values, v_reset, steps_held, flags
                )
                v, current, adapted, rest = state
                s[at] = fired
                if synapse:
                    j[at] = current
                if adaptive:
                    a[at] = adapted
                if refractory:
                    held[at] = resting
            if carry:
                carried[row], carried[stride + row], carried[2 * stride + row] = v, current, adapted
                carried[3 * stride + row], carried[4 * stride + row] = fired, rest

    return recurrent_forward


def recurrent_forward(i, beta, extensions, firing, reset, d, decay_input, relaxed, stored, carried=None):
    """See `reference.recurrent.recurrent_forward`."""
    w, gamma, rho, kappa, refractory = extensions
    u, s, j, a, held = stored
    if u is None:
        u = j = a = scratch.get("unread potentials", i.shape, i.dtype)
        held = scratch.get("unread rest", i.shape, np.uint8) if refractory else None
    theta, alpha, cdf = firing.theta, firing.alpha, eq.CDF[firing.family] if relaxed else None
    _, rows, channels = i.shape
    real = i.dtype.type
    kind, v_reset = reset_kind(reset.value, i.dtype)
    parts = cdf, kind, decay_input, gamma is not None, kappa is not None, refractory > 0
    values = beta, *(beta if x is None else x for x in (gamma, rho, kappa)), theta
    stored = (u if j is None else j), (u if a is None else a), (s if held is None else held)
    flat = tuple(x.reshape(-1) for x in (u, s, *stored))
    if w is None:
        plan = cut(rows, channels, 1, heavy=True)
        launch(
            _forward_kernel(*parts, carried is not None),
            plan.grid,
            plan.block,
            i.reshape(-1),
            *values,
            d.reshape(-1),
            v_reset,
            real(refractory),
            alpha,
            *flat,
            (i if carried is None else carried).reshape(-1),
            *i.shape,
        )
        return
    blocks, threads = min(rows, lateral.MOST_BLOCKS), min(channels, lateral.THREADS)
    state = carried
    if carried is None:
        state = scratch.get("state of lateral neurons", (5, rows, channels), real)
        fill(state, 0)
    arriving = scratch.get("what arrives at lateral neurons", (blocks * channels,), real)
    launch(
        lateral.forward_kernel(real, lateral.LIST, *parts),
        blocks,
        threads,
        i.reshape(-1),
        w.reshape(-1),
        *values,
        d.reshape(-1),
        v_reset,
        real(refractory),
        alpha,
        *flat,
        state.reshape(-1),
        arriving,
        *i.shape,
    )


@cache
def _backward_kernel(
    dtype,
    density,
    reset,
    detach_reset,
    decay_input,
    synapse,
    adaptive,
    refractory,
    direct,
    ended,
    carry,
    leave,
    learned,
):
    """The backward kernel of one kind of neuron without lateral weights.

    Args:
        dtype: float type.
        density: density of the surrogate.
        reset, detach_reset: "hard", "soft", "delayed" or "none", and whether the spike in the reset is a constant.
        decay_input: whether the current is scaled by 1 - beta.
        synapse, adaptive, refractory: which extensions the neuron has.
        direct: whether a loss acts on the potential itself.
        ended: whether it acts only up to a row's last real step.
        carry: whether the forward pass started from a carried state.
        leave: whether the gradient of the potential before the first step is stored.
        learned: six booleans: whether the gradients of beta, gamma, rho, kappa, theta and alpha are needed.
    """
    kind = reset in ("soft", "delayed"), reset == "delayed", reset == "hard"
    there = *kind, synapse, adaptive, refractory, carry
    flags = *kind, not detach_reset, decay_input, synapse, adaptive, direct
    count, add_changes = sum(learned), adder(learned, dtype)
    sums = max(1, count)

    @kernel
    def recurrent_backward(
        ds,
        u,
        s,
        j,
        a,
        held,
        beta,
        gamma,
        rho,
        kappa,
        theta,
        d,
        v_reset,
        alpha,
        p_centre,
        p_offset,
        p_slope,
        ends,
        di,
        start,
        dstart,
        partial_sums,
        steps,
        rows,
        channels,
    ):
        total, room, real = cuda.local.array(sums, dtype), cuda.shared.array(HEAVY_THREADS, dtype), type(v_reset)
        column, lane, columns, lanes = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x, cuda.blockDim.y
        block, c, stride = cuda.blockIdx.x, cuda.blockIdx.y * columns + column, rows * channels
        for n in range(sums):
            total[n] = real(0)
        for m in range(block * lanes + lane, rows if c < channels else 0, cuda.gridDim.x * lanes):
            row = m * channels + c
            # slopes holds dL/dv and dL/da of the step after, and gamma dL/dj.
            slopes = real(0), real(0), real(0)
            for t in range(steps - 1, -1, -1):
                at, acts = t * stride + row, not ended or t < ends[m]
                values = (
                    beta[c],
                    gamma[c],
                    rho[c],
                    kappa[c],
                    theta[c],
                    real(1) / alpha[c],
                    d[t * channels + c],
                    p_centre[c],
                    p_offset[c] if acts else real(0),
                    p_slope[c] if acts else real(0),
                )
                now, before = step_before(
                    (u, s, j, a, held), start, at, row, stride, t, (beta[c], theta[c], kappa[c]), v_reset, there
                )
                di[at], slopes, changes = extended_step_back(
                    density, ds[at], slopes, now, before, values, v_reset, flags
                )
                add_changes(total, 0, 1, changes)
            if leave:
                dstart[row] = slopes[0]
        # The block adds up the sums of its threads, one gradient at a time, in order.
        for n in range(count):
            lay_out(total, n, 1, column, columns, lane, room)
            cuda.syncthreads()
            leave_sum(room, n, 1, column, columns, lane, lanes, block, c, channels, partial_sums)
            cuda.syncthreads()

    return recurrent_backward


def recurrent_backward(
    ds, stored, beta, extensions, firing, reset, d, decay_input, direct, di, dlateral, wanted, start=None, dstart=None
):
    """See `reference.recurrent.recurrent_backward`."""
    w, gamma, rho, kappa, _ = extensions
    u, s, j, a, held = stored
    theta, alpha, density, detach_reset = firing.theta, firing.alpha, eq.DENSITY[firing.family], reset.detached
    *pull, ends = (*(beta,) * 3, None) if direct is None else direct
    _, rows, channels = u.shape
    real = u.dtype.type
    totals = *wanted.values, wanted.theta, wanted.alpha
    learned = tuple(total is not None for total in totals)
    asked = [total for total in totals if total is not None]
    kind, v_reset = reset_kind(reset.value, u.dtype)
    parts = (
        real,
        density,
        kind,
        detach_reset,
        decay_input,
        gamma is not None,
        kappa is not None,
        held is not None,
        direct is not None,
        ends is not None,
        start is not None,
        dstart is not None,
        learned,
    )
    stored = u, s, u if j is None else j, u if a is None else a, s if held is None else held
    flat = tuple(x.reshape(-1) for x in (ds, *stored))
    values = (
        beta,
        *(beta if x is None else x for x in (gamma, rho, kappa)),
        theta,
        d.reshape(-1),
        v_reset,
        alpha,
        *pull,
        beta if ends is None else ends,
        di.reshape(-1),
        (u if start is None else start).reshape(-1),
        (u if dstart is None else dstart).reshape(-1),
    )
    if w is None:
        plan = cut(rows, channels, 1, heavy=True)
        partial_sums = scratch.get("sums of gradients", (max(1, len(asked)), plan.row_blocks, channels), real)
        launch(_backward_kernel(*parts), plan.grid, plan.block, *flat, *values, partial_sums, *u.shape)
    else:
        blocks, threads = min(rows, lateral.MOST_BLOCKS), min(channels, lateral.THREADS)
        partial_sums = scratch.get("sums of gradients", (max(1, len(asked)), blocks, channels), real)
        state = scratch.get("gradients of lateral neurons", (4, blocks, channels), real)
        back = scratch.get("lateral weights, transposed", (channels * channels,), real)
        launch_flat(lateral.transpose, back.size, w.reshape(-1), back, channels)
        launch(
            lateral.backward_kernel(real, lateral.LIST, *parts[1:]),
            blocks,
            threads,
            *flat,
            back,
            *values,
            state,
            partial_sums.reshape(-1),
            *u.shape,
        )
        _weight_gradient(s, di, dlateral, start)
    add_up(partial_sums, asked)


def _weight_gradient(s, di, dlateral, start):
    """X3: dlateral = sum over steps of the spikes of the step before, transposed, times dL/di of the step.

    Before the first step, the spikes are those of the carried state `start`.
    """
    steps, _, channels = di.shape
    before, behind = s[:-1].reshape(-1, channels), di[1:].reshape(-1, channels)
    if steps > 1:
        linear_backward_weight(before, behind, dlateral)
    else:
        fill(dlateral, 0)
    if start is not None:
        first = scratch.get("gradient of lateral weights at the start", dlateral.shape, dlateral.dtype)
        linear_backward_weight(start[3], di[0], first)
        add(dlateral, first, dlateral)
