"""Neurons with lateral weights, as CUDA kernels. A block of threads takes one sample through all time steps.

In each step, the block lists the numbers that are not zero and pass through the lateral weights: forward the spikes of
the step before, and backward the gradients of the step after. Then each thread adds the listed rows of weights for its
channels. Silent neurons therefore cost nothing, and neighbouring threads read neighbouring weights. The state of the
neurons is in device memory, which only this block uses, so that there may be any number of channels.
"""

from functools import cache

import numpy as np

from .. import equations as eq
from ..extended import extended_step, extended_step_back
from .inline.recurrent_steps import step_before
from .inline.tuples import adder
from .run.api import cuda
from .run.compile import device, kernel

THREADS = 256
"""Largest number of threads per block. Blocks of this size can be launched for any number of registers per thread."""

MOST_BLOCKS = 528
"""Largest number of blocks per launch: four per multiprocessor of a large GPU."""

LIST = 1024
"""Number of neurons whose numbers are listed at a time."""

RESIDUES = 64
"""Number of threads that list. Each one takes every 64th neuron, so that they read neighbouring memory."""

COUNTS = RESIDUES + 1
"""Number of counters: one per listing thread, and one for all."""


@device
def count_factors(values, at, count, thread, threads, counts):
    """Count the numbers that are not zero in values[at], ... values[at + count - 1].

    counts[r] gets the count of the elements at + k whose k has the remainder r when divided by RESIDUES.
    """
    residues = min(RESIDUES, count)
    for residue in range(thread, residues, threads):
        found = 0
        for k in range(residue, count, residues):
            found += values[at + k] != 0
        counts[residue] = found


@device
def list_factors(values, at, count, thread, threads, counts, index, factors):
    """List the numbers that `count_factors` counted, ordered by remainder, and their total in counts[RESIDUES].

    index gets their offsets from `at`, and factors their values. Synchronise the block before and after the call.
    """
    residues = min(RESIDUES, count)
    for residue in range(thread, residues, threads):
        # Each thread begins after the entries of the remainders before its own, so that the order is fixed.
        place = 0
        for other in range(residue):
            place += counts[other]
        for k in range(residue, count, residues):
            factor = values[at + k]
            if factor != 0:
                index[place], factors[place] = k, factor
                place += 1
        if residue == residues - 1:
            counts[RESIDUES] = place


@device
def add_rows(count, index, factors, w, base, channels, c, total):
    """Return total plus the sum of the listed factors times column c of their rows of weights."""
    # Four rows at a time, whose reads wait for memory together.
    at = base * channels + c
    for n in range(0, count - 3, 4):
        a = factors[n] * w[index[n] * channels + at] + factors[n + 1] * w[index[n + 1] * channels + at]
        b = factors[n + 2] * w[index[n + 2] * channels + at] + factors[n + 3] * w[index[n + 3] * channels + at]
        total += a + b
    for n in range(count - count % 4, count):
        total += factors[n] * w[index[n] * channels + at]
    return total


@cache
def forward_kernel(dtype, list_most, cdf, reset, decay_input, synapse, adaptive, refractory):
    """The forward kernel of one kind of neuron with lateral weights.

    list_most is the number of neurons that are listed at a time. The other arguments are those of the forward kernel in
    `cuda.recurrent`.
    """
    fires = eq.CDF["rectangle"] if cdf is None else cdf
    kind = reset in ("soft", "delayed"), reset == "delayed", reset == "hard"
    flags = cdf is not None, *kind, decay_input, synapse, adaptive, refractory

    @kernel
    def recurrent_forward_lateral(
        i,
        w,
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
        state,
        arriving,
        steps,
        rows,
        channels,
    ):
        counts = cuda.shared.array(COUNTS, np.int32)
        index = cuda.shared.array(list_most, np.int32)
        factors = cuda.shared.array(list_most, dtype)
        thread, threads, stride = cuda.threadIdx.x, cuda.blockDim.x, rows * channels
        mine = cuda.blockIdx.x * channels
        for m in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
            for t in range(steps):
                # arriving starts as the input of the step, to which the lateral input is added, list by list.
                row, at = m * channels, (t * rows + m) * channels
                for c in range(thread, channels, threads):
                    arriving[mine + c] = i[at + c]
                for base in range(0, channels, list_most):
                    place, count = 3 * stride + row + base, min(list_most, channels - base)
                    count_factors(state, place, count, thread, threads, counts)
                    cuda.syncthreads()
                    list_factors(state, place, count, thread, threads, counts, index, factors)
                    cuda.syncthreads()
                    for c in range(thread, channels, threads):
                        arriving[mine + c] = add_rows(
                            counts[RESIDUES], index, factors, w, base, channels, c, arriving[mine + c]
                        )
                    cuda.syncthreads()
                # Then each thread takes the step for its channels; state holds v, j, a, spikes and refractory steps.
                for c in range(thread, channels, threads):
                    k, own = at + c, row + c
                    before = state[own], state[stride + own], state[2 * stride + own], state[4 * stride + own]
                    values, drop = (beta[c], gamma[c], rho[c], kappa[c], theta[c], alpha[c]), d[t * channels + c]
                    u[k], s_t, resting, behind = extended_step(
                        fires, arriving[mine + c], before, drop, values, v_reset, steps_held, flags
                    )
                    v, current, adapted, rest = behind
                    s[k] = s_t
                    state[own], state[stride + own], state[2 * stride + own] = v, current, adapted
                    state[3 * stride + own], state[4 * stride + own] = s_t, rest
                    if synapse:
                        j[k] = current
                    if adaptive:
                        a[k] = adapted
                    if refractory:
                        held[k] = resting
                cuda.syncthreads()

    return recurrent_forward_lateral


@cache
def backward_kernel(
    dtype,
    list_most,
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
    """The backward kernel of one kind of neuron with lateral weights.

    list_most is the number of neurons that are listed at a time. The other arguments are those of the backward kernel
    in `cuda.recurrent`.
    """
    kind = reset in ("soft", "delayed"), reset == "delayed", reset == "hard"
    there = *kind, synapse, adaptive, refractory, carry
    flags = *kind, not detach_reset, decay_input, synapse, adaptive, direct
    wanted, add_changes = sum(learned), adder(learned, dtype)

    @kernel
    def recurrent_backward_lateral(
        ds,
        u,
        s,
        j,
        a,
        held,
        w,
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
        state,
        partial_sums,
        steps,
        rows,
        channels,
    ):
        counts = cuda.shared.array(COUNTS, np.int32)
        index = cuda.shared.array(list_most, np.int32)
        factors = cuda.shared.array(list_most, dtype)
        thread, threads, stride = cuda.threadIdx.x, cuda.blockDim.x, rows * channels
        block, real, apart = cuda.blockIdx.x, type(v_reset), cuda.gridDim.x * channels
        for c in range(thread, channels, threads):
            for n in range(wanted):
                partial_sums[n * apart + block * channels + c] = real(0)
        for m in range(block, rows, cuda.gridDim.x):
            for c in range(thread, channels, threads):
                for n in range(4):
                    state[n, block, c] = real(0)
            for t in range(steps - 1, -1, -1):
                # state[3] is dL/ds: that of the next layer, plus di of the step after through the lateral weights.
                row, at, acts = m * channels, (t * rows + m) * channels, not ended or t < ends[m]
                for c in range(thread, channels, threads):
                    state[3, block, c] = ds[at + c]
                for base in range(0, channels if t < steps - 1 else 0, list_most):
                    values, count = at + stride + base, min(list_most, channels - base)
                    count_factors(di, values, count, thread, threads, counts)
                    cuda.syncthreads()
                    list_factors(di, values, count, thread, threads, counts, index, factors)
                    cuda.syncthreads()
                    for c in range(thread, channels, threads):
                        state[3, block, c] = add_rows(
                            counts[RESIDUES], index, factors, w, base, channels, c, state[3, block, c]
                        )
                    cuda.syncthreads()
                for c in range(thread, channels, threads):
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
                        (u, s, j, a, held),
                        start,
                        at + c,
                        row + c,
                        stride,
                        t,
                        (beta[c], theta[c], kappa[c]),
                        v_reset,
                        there,
                    )
                    slopes = state[0, block, c], state[1, block, c], state[2, block, c]
                    di[at + c], slopes, changes = extended_step_back(
                        density, state[3, block, c], slopes, now, before, values, v_reset, flags
                    )
                    state[0, block, c], state[1, block, c], state[2, block, c] = slopes
                    add_changes(partial_sums, block * channels + c, apart, changes)
                cuda.syncthreads()
            if leave:
                for c in range(thread, channels, threads):
                    dstart[m * channels + c] = state[0, block, c]

    return recurrent_backward_lateral


@kernel
def transpose(x, y, size, count):
    """Copy x ``[size, size]``, transposed, to y. Both arrays are flat."""
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[k] = x[k % size * size + k // size]
