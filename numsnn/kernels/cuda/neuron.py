"""Neurons that follow a rule (`kernels.rules`) over all time steps, as CUDA kernels. `reference.neuron` documents them.

A thread takes one channel, or four neighbouring channels, of a row through all time steps. It keeps the potentials and
the rule's states in registers. No read depends on these, so that the currents of several steps are read at once.
The backward pass goes through time in segments. It computes the potentials of a segment again and keeps them in
registers. For a longer sequence, a sweep before this stores the potential and states at the start of every segment.
"""

from functools import cache

import numpy as np

from .. import equations as eq
from ..steps import after_reset, reset_kind, subtraction
from .array import fill, to_host
from .inline.moments import lay_out_potentials, merge, merge_tile
from .inline.neuron_steps import (
    back_stepper,
    begin,
    charger,
    keep,
    keep_all,
    keep_inverse,
    load_all,
    read_segment,
    recharger,
    save_all,
    see,
)
from .inline.vector import NUMBERS, SPIKES, WIDTH, step, width_of
from .run.api import cuda
from .run.compile import kernel
from .run.launch import ceil_div, launch, launch_flat, scratch
from .run.reduce import add_up
from .run.tiles import FILL, HEAVY_THREADS, THREADS, cut, lay_out, leave_sum

CHUNK = {1: 8, WIDTH: 4}
"""Channels per thread -> steps of the forward pass whose currents are read at once."""

SEGMENT = {1: 8, WIDTH: 4}
"""Channels per thread -> steps per segment, whose potentials the backward pass keeps in registers."""

WHOLE = 8, 10, 16
"""Lengths of longer segments. Each is used for sequences that fit into one segment, which need no sweep."""

MOST_KEPT = 64
"""Largest number of inputs, potentials, gradients and states of such a segment that a thread keeps."""

WIDE_STATES, WIDE_VALUES = 1, 4
"""Largest number of states and of values of a rule for which a thread of the backward pass takes four channels. More
of them do not fit into registers."""

MEASURED_CHANNELS = 32
"""Channels per block if moments are measured: whole cache lines, and many rows, so that there are few partial sums."""

LEAST_WIDE = 4 * FILL
"""Least number of elements per layer and step for which threads take four channels."""


@cache
def _forward_kernel(rule, real, width, cdf, reset, normed, store, record, carry, measured, visibility):
    """The forward kernel of one kind of neuron.

    Args:
        rule, real: rule of the neuron, and float type.
        width: number of channels per thread.
        cdf: distribution function of the surrogate in relaxed mode, or None for spikes.
        reset: "hard", "soft", "delayed" or "none".
        normed: whether the kernel normalises the input before it charges the potential.
        store, record: whether potentials are stored, and whether states are.
        carry: whether the state of an earlier pass is carried on.
        measured: whether moments of the potentials are computed.
        visibility: whether visible potentials are marked.
    """
    relaxed, soft, hard, fall = cdf is not None, reset in ("soft", "delayed"), reset == "hard", subtraction(reset)
    fires = eq.CDF["rectangle"] if cdf is None else cdf
    charge, parts, many = charger(rule, real, width, normed), 1 + len(rule.states), len(rule.values)
    chunk, size, state, numbers = CHUNK[width], CHUNK[width] * width, parts * width, max(1, many) * width
    room_size = size * THREADS if measured else 1
    (load, save), save_spikes = NUMBERS[width], SPIKES[width][2]

    @kernel
    def neuron_forward(
        i,
        centre,
        factor,
        offset,
        values,
        theta,
        d,
        v_reset,
        alpha,
        u,
        s,
        states,
        carried,
        tile_moments,
        visible,
        seen,
        reach,
        steps,
        rows,
        channels,
    ):
        # Registers of the thread: the parameters of its channels, which all rows use; now, the potential and states;
        # x and drop, the inputs (then potentials) and corrections of a chunk of steps.
        own_values, th, inv = (
            cuda.local.array(numbers, real),
            cuda.local.array(width, real),
            cuda.local.array(width, real),
        )
        ce, fa, off = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
        now, fired = cuda.local.array(state, real), cuda.local.array(width, real)
        x, drop = cuda.local.array(size, real), cuda.local.array(size, real)
        room = cuda.shared.array(room_size, real)
        column, lane, columns, lanes = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x, cuda.blockDim.y
        block, blocks, threads = cuda.blockIdx.x, cuda.gridDim.x, lanes * columns
        first, stride = (cuda.blockIdx.y * columns + column) * width, rows * channels
        if first < channels:
            keep_all(values, many, channels, first, width, own_values)
            keep(centre, factor, first, width, ce, fa)
            keep(offset, theta, first, width, off, th)
            keep_inverse(alpha, first, width, inv)
        own, count = (own_values, th, ce, fa, off), 0
        for tile in range(block, (rows + lanes - 1) // lanes, blocks):
            m = tile * lanes + lane
            active = m < rows and first < channels
            if active:
                begin(load, carried, m * channels + first, stride, width, parts, carry, now)
            for t in range(0, steps, chunk):
                at, at_drop = (t * rows + m) * channels + first, t * channels + first
                at_output = at
                # All reads of the chunk are issued first, and wait for memory together.
                for k in range(chunk):
                    if active and t + k < steps:
                        load(i, at, x, k * width)
                        load(d, at_drop, drop, k * width)
                        at, at_drop = step(at, stride), step(at_drop, channels)
                for k in range(chunk):
                    if active and t + k < steps:
                        for c in range(width):
                            n = k * width + c
                            x[n] = charge(x[n], drop[n], c, own, now)
                            above = x[n] - th[c]
                            fired[c] = fires(above * inv[c]) if relaxed else real(eq.fire(above))
                            lost = fall(th[c], (own_values[c],))
                            now[c] = after_reset(x[n], fired[c], lost, v_reset, soft, hard)
                        save_spikes(fired, s, at_output)
                        if store:
                            save(x, k * width, u, at_output)
                        if record:
                            save_all(save, now, 1, parts - 1, width, states, at_output, steps * stride)
                        if visibility:
                            count += see(x, k * width, width, th, inv, reach, fired)
                            save_spikes(fired, visible, at_output)
                        at_output = step(at_output, stride)
                if measured:  # the rows of a channel meet in shared memory, and one lane per step and channel merges
                    lay_out_potentials(x, size, lane * columns + column, threads, room)
                    cuda.syncthreads()
                    height, earlier = min(lanes, rows - tile * lanes), (tile - block) // blocks * lanes
                    for k in range(lane, size, lanes):
                        at_step, c = t + k // width, first + k % width
                        if at_step < steps and c < channels:
                            merge_tile(
                                room, k * threads + column, columns, height, earlier, block, at_step, c, tile_moments
                            )
                    cuda.syncthreads()
            if carry and active:
                save_all(save, now, 0, parts, width, carried, m * channels + first, stride)
        if visibility:
            cuda.atomic.add(seen, 0, count)  # a sum of whole numbers does not depend on their order

    return neuron_forward


def neuron_forward(
    rule, i, values, firing, reset, d, relaxed, u, s, states=None, carried=None, norm=None, moments=None, visible=None
):
    """See `reference.neuron.neuron_forward`."""
    real, theta = i.dtype.type, firing.theta
    kind, v_reset = reset_kind(reset.value, i.dtype)
    steps, rows, channels = i.shape
    numbers = (x for x in (i, d, u, states, carried) if x is not None)
    width = width_of(tuple(numbers), tuple(x for x in (s, visible) if x is not None), LEAST_WIDE * steps)
    parts = u is not None, states is not None, carried is not None, moments is not None, visible is not None
    plan = cut(rows, channels, width, most_columns=MEASURED_CHANNELS // width if moments is not None else None)
    measured = (2, plan.row_blocks, steps, channels) if moments is not None else (1, 1, 1, 1)
    tile_moments = scratch.get("moments of blocks", measured, real)
    seen = scratch.get("visible potentials", (1,), np.int64)
    if visible is not None:
        fill(seen, 0)
    # An argument that is None is replaced by some array of the right type, which the kernel does not touch.
    outs = i if u is None else u, s, i if states is None else states, i if carried is None else carried
    launch(
        _forward_kernel(rule, real, width, eq.CDF[firing.family] if relaxed else None, kind, norm is not None, *parts),
        plan.grid,
        plan.block,
        i.reshape(-1),
        *(norm or (theta, theta, theta)),
        (values if rule.values else theta).reshape(-1),
        theta,
        d.reshape(-1),
        v_reset,
        firing.alpha,
        *(x.reshape(-1) for x in outs),
        tile_moments,
        (s if visible is None else visible).reshape(-1),
        seen,
        real(firing.reach),
        steps,
        rows,
        channels,
    )
    if moments is not None:
        merge(tile_moments, plan.lanes, rows, *moments)
    return None if visible is None else int(to_host(seen)[0]) / i.size


def segment_of(steps: int, width: int, states: int) -> int:
    """The number of steps per segment, for `width` channels per thread and a rule with `states` states."""
    whole = (length for length in WHOLE if steps <= length and length * width * (3 + states) <= MOST_KEPT)
    return next(whole, SEGMENT[width])


@cache
def _backward_kernel(
    rule, real, width, segment, density, reset, attached, normed, learned, direct, ended, carry, leave
):
    """The backward kernel of one kind of neuron.

    Args:
        rule, real, width, reset, normed, carry: as for the forward kernel.
        segment: number of steps whose potentials a thread keeps in registers.
        density: density of the surrogate.
        attached: whether the spike in the reset has a gradient.
        learned: one boolean per value of the rule, one for the threshold and one for the width: whether it is learned.
        direct: whether a loss acts on the potential itself.
        ended: whether it acts only up to a row's last real step.
        leave: whether the gradient of the potential before the first step is stored.
    """
    parts, many = 1 + len(rule.states), len(rule.values)
    charge_again = recharger(rule, real, width, segment, reset, normed)
    gradient_step = back_stepper(rule, real, width, segment, density, reset, attached, normed, learned, direct)
    count, size, state = sum(learned) + 2 * normed, segment * width, parts * width
    sums, numbers, past = max(1, count) * width, max(1, many) * width, max(1, parts - 1) * size
    room_size, mark, (load, save) = HEAVY_THREADS * width, real if width == 1 else np.uint32, NUMBERS[width]

    @kernel
    def neuron_backward(
        ds,
        i,
        s,
        centre,
        factor,
        offset,
        values,
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
        kept,
        partial_sums,
        steps,
        rows,
        channels,
    ):
        # Registers of the thread. Parameters of its channels; now and opening, the potential at the present step and
        # at the start of the segment; slopes, dL/dv and dL/dstates; total, the thread's sums of gradients. Of a
        # segment: inputs x, potentials u, gradients g, spikes fired and states history.
        own_values, th, inv = (
            cuda.local.array(numbers, real),
            cuda.local.array(width, real),
            cuda.local.array(width, real),
        )
        ce, fa, off = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
        pc, po, ps = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
        opening = cuda.local.array(width, real)
        now, slopes = cuda.local.array(state, real), cuda.local.array(state, real)
        x, u, g = cuda.local.array(size, real), cuda.local.array(size, real), cuda.local.array(size, real)
        history, total = cuda.local.array(past, real), cuda.local.array(sums, real)
        fired, room = cuda.local.array(segment, mark), cuda.shared.array(room_size, real)
        column, lane, columns, lanes = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x, cuda.blockDim.y
        block, blocks = cuda.blockIdx.x, cuda.gridDim.x
        first, stride = (cuda.blockIdx.y * columns + column) * width, rows * channels
        if first < channels:
            keep_all(values, many, channels, first, width, own_values)
            keep(centre, factor, first, width, ce, fa)
            keep(offset, theta, first, width, off, th)
            keep_all(p_centre, 1, channels, first, width, pc)
            keep(p_offset, p_slope, first, width, po, ps)
            keep_inverse(alpha, first, width, inv)
        for n in range(sums):
            total[n] = real(0)
        own, pull = (own_values, th, ce, fa, off), (pc, po, ps)
        for m in range(block * lanes + lane, rows if first < channels else 0, blocks * lanes):
            row, last = m * channels + first, (steps - 1) // segment
            begin(load, start, row, stride, width, parts, carry, now)
            # The sweep: up to the last segment, whose start stays in registers; the first one's is known.
            for j in range(last):
                if j > 0:
                    save_all(save, now, 0, parts, width, kept, (j - 1) * parts * stride + row, stride)
                t, at = j * segment, j * segment * stride + row
                charge_again(i, s, d, t, at, stride, steps, first, channels, own, v_reset, x, fired, now, history, u)
            # Downwards: each segment is charged again from its start, and then its steps are taken back.
            for n in range(parts * width):
                slopes[n] = real(0)
            for j in range(last, -1, -1):
                t, at = j * segment, j * segment * stride + row
                if j == 0:
                    begin(load, start, row, stride, width, parts, carry, now)
                elif j < last:
                    load_all(load, kept, (j - 1) * parts * stride + row, stride, width, parts, now)
                for c in range(width):
                    opening[c] = now[c]
                place = read_segment(load, ds, t, at, stride, steps, segment, width, g)
                charge_again(i, s, d, t, at, stride, steps, first, channels, own, v_reset, x, fired, now, history, u)
                for k in range(segment - 1, -1, -1):
                    if t + k < steps:
                        acts = not ended or t + k < ends[m]
                        gradient_step(k, acts, own, inv, pull, v_reset, x, fired, opening, history, u, g, slopes, total)
                        place = step(place, -stride)
                        save(g, k * width, di, place)
            if leave:
                save(slopes, 0, dstart, row)
        # The block adds up the sums of its threads, one gradient at a time, in order.
        for n in range(count):
            lay_out(total, n, width, column, columns, lane, room)
            cuda.syncthreads()
            leave_sum(room, n, width, column, columns, lane, lanes, block, first, channels, partial_sums)
            cuda.syncthreads()

    return neuron_backward


def neuron_backward(
    rule, ds, i, s, values, firing, reset, d, direct, di, wanted, start=None, norm=None, dnorm=None, dstart=None
):
    """See `reference.neuron.neuron_backward`."""
    real, theta = i.dtype.type, firing.theta
    kind, v_reset = reset_kind(reset.value, i.dtype)
    totals = *wanted.values, wanted.theta, wanted.alpha
    learned = tuple(total is not None for total in totals)
    totals = [x for x in (*totals, *(() if norm is None else dnorm)) if x is not None]
    steps, rows, channels = i.shape
    numbers = (x for x in (ds, i, d, di, start, dstart) if x is not None)
    light = len(rule.states) <= WIDE_STATES and len(rule.values) <= WIDE_VALUES
    width = width_of(tuple(numbers), (s,), LEAST_WIDE * steps) if light else 1
    segment, plan = segment_of(steps, width, len(rule.states)), cut(rows, channels, width, heavy=True)
    partial_sums = scratch.get("sums of gradients", (max(1, len(totals)), plan.row_blocks, channels), i.dtype)
    kept = max(0, ceil_div(steps, segment) - 2) * (1 + len(rule.states))
    kept = scratch.get("potentials of segments", (max(1, kept * rows * channels),), i.dtype)
    *pull, ends = (*(theta,) * 3, None) if direct is None else direct
    parts = (x is not None for x in (direct, ends, start, dstart))
    flags = not reset.detached, norm is not None, learned, *parts
    launch(
        _backward_kernel(rule, real, width, segment, eq.DENSITY[firing.family], kind, *flags),
        plan.grid,
        plan.block,
        ds.reshape(-1),
        i.reshape(-1),
        s.reshape(-1),
        *(norm or (theta, theta, theta)),
        (values if rule.values else theta).reshape(-1),
        theta,
        d.reshape(-1),
        *(v_reset, firing.alpha, *pull, theta if ends is None else ends),
        di.reshape(-1),
        (i if start is None else start).reshape(-1),
        (i if dstart is None else dstart).reshape(-1),
        *(kept, partial_sums, steps, rows, channels),
    )
    add_up(partial_sums, totals)


@cache
def _reset_kernel(reset):
    """The kernel of the reset alone; reset is "hard", "soft" or "none"."""
    soft, hard = reset == "soft", reset == "hard"

    @kernel
    def neuron_reset(u, s, theta, v_reset, v, channels, count):
        for k in range(cuda.grid(1), count, cuda.gridsize(1)):
            v[k] = after_reset(u[k], type(v_reset)(s[k]), theta[k % channels], v_reset, soft, hard)

    return neuron_reset


def neuron_reset(u, s, theta, reset, v):
    """See `reference.neuron.neuron_reset`."""
    kind, v_reset = reset_kind(reset.value, u.dtype)
    launch_flat(_reset_kernel(kind), u.size, u.reshape(-1), s.reshape(-1), theta, v_reset, v.reshape(-1), u.shape[-1])
