"""Neurons with lateral weights, as CUDA kernels: a block takes a sample through all steps.

The block lists what comes along the lateral weights, going forward the spikes of the step before, going back the
gradients of the step behind; then every thread adds the listed rows of weights for its channels. Silent neurons cost
nothing, threads of a block read neighbouring weights, and any number of channels goes: what a neuron keeps from step
to step stays in device memory, which the block alone touches.
"""

from functools import cache

import numpy as np

from .. import equations as eq
from ..steps import extended_step
from .inline.recurrent_steps import step_back, step_before
from .inline.tuples import adder
from .run.api import cuda
from .run.compile import device, kernel

THREADS = 256
"""Of a block, at most; as many can be started however many registers a thread takes."""

MOST_BLOCKS = 528
"""Of a launch: four per multiprocessor of a large device."""

LIST = 1024
"""Neurons that are listed at a time."""

RESIDUES = 64
"""Threads that list: each has every 64th neuron, so that they read neighbouring memory."""

COUNTS = RESIDUES + 1
"""Of each of them, and of all."""


@device
def count_factors(values, at, count, thread, threads, counts):
    """counts[r] = how many of values[at], ... values[at + count - 1] are not zero, by residues r."""
    residues = min(RESIDUES, count)
    for residue in range(thread, residues, threads):
        found = 0
        for k in range(residue, count, residues):
            found += values[at + k] != 0
        counts[residue] = found


@device
def list_factors(values, at, count, thread, threads, counts, index, factors):
    """index, factors = those that were counted, residue by residue; counts[RESIDUES] = how many there are. Synchronise
    in front of it and behind it."""
    residues = min(RESIDUES, count)
    for residue in range(thread, residues, threads):
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
    """total plus the listed factors times column c of their rows of weights."""
    at = base * channels + c
    for n in range(0, count - 3, 4):
        a = factors[n] * w[index[n] * channels + at] + factors[n + 1] * w[index[n + 1] * channels + at]
        b = factors[n + 2] * w[index[n + 2] * channels + at] + factors[n + 3] * w[index[n + 3] * channels + at]
        total += a + b
    for n in range(count - count % 4, count):
        total += factors[n] * w[index[n] * channels + at]
    return total


@cache
def forward_kernel(dtype, list_most, surrogate, reset, decay_input, synapse, adaptive, refractory):
    """The forward kernel of one kind of neuron; surrogate is None for spikes, reset is "hard", "soft", "none"."""
    cdf = eq.CDF[surrogate or "rectangle"]
    flags = surrogate is not None, reset == "soft", reset == "hard", decay_input, synapse, adaptive, refractory

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
                for c in range(thread, channels, threads):
                    k, own = at + c, row + c
                    before = state[own], state[stride + own], state[2 * stride + own], state[4 * stride + own]
                    values, drop = (beta[c], gamma[c], rho[c], kappa[c], theta[c], alpha[c]), d[t * channels + c]
                    u[k], s_t, resting, behind = extended_step(
                        cdf, arriving[mine + c], before, drop, values, v_reset, steps_held, flags
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
    dtype, list_most, surrogate, reset, detach_reset, decay_input, synapse, adaptive, refractory, direct, carry, learned
):
    """The backward kernel of one kind of neuron; direct: a loss acts on the potential itself; learned: for which of
    beta, gamma, rho, kappa, theta and alpha a gradient is wanted."""
    density, soft, hard = eq.DENSITY[surrogate], reset == "soft", reset == "hard"
    there = soft, hard, synapse, adaptive, refractory, carry
    flags = soft, hard, not detach_reset, decay_input, synapse, adaptive, direct
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
        p_offset,
        p_slope,
        di,
        start,
        state,
        shares,
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
                shares[n * apart + block * channels + c] = real(0)
        for m in range(block, rows, cuda.gridDim.x):
            for c in range(thread, channels, threads):
                for n in range(4):
                    state[n, block, c] = real(0)
            for t in range(steps - 1, -1, -1):
                row, at = m * channels, (t * rows + m) * channels
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
                        p_offset[c],
                        p_slope[c],
                    )
                    now, before = step_before(
                        (u, s, j, a, held), start, at + c, row + c, stride, t, theta[c], kappa[c], v_reset, there
                    )
                    slopes = state[0, block, c], state[1, block, c], state[2, block, c]
                    di[at + c], slopes, changes = step_back(
                        density, state[3, block, c], slopes, now, before, values, v_reset, flags
                    )
                    state[0, block, c], state[1, block, c], state[2, block, c] = slopes
                    add_changes(shares, block * channels + c, apart, changes)
                cuda.syncthreads()

    return recurrent_backward_lateral


@kernel
def transpose(x, y, size, count):
    """y ``[size, size]`` = x transposed, both flat."""
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[k] = x[k % size * size + k // size]


@kernel
def add(x, y, count):
    """y += x, both flat."""
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[k] += x[k]
