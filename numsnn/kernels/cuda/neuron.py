"""The leaky integrate-and-fire neuron over all time steps, as CUDA kernels; `reference.neuron` is the text it equals.

A thread takes one channel, or four neighbouring ones, of a row through all steps with the potentials in registers. What
it reads does not depend on them, so that the reads of several steps are under way at a time. The backward pass goes
through time in segments whose potentials it computes again and keeps in registers; of a longer sequence, a sweep before
leaves the potential at the start of every segment.
"""

from functools import cache

import numpy as np

from .. import equations as eq
from ..steps import after_reset, reset_kind
from .array import fill, to_host
from .inline.moments import lay_out_potentials, merge, merge_tile
from .inline.vector import NUMBERS, SPIKES, WIDTH, step, width_of
from .run.api import cuda
from .run.compile import device, kernel
from .run.launch import ceil_div, launch, launch_flat, scratch
from .run.reduce import add_up
from .run.tiles import FILL, HEAVY_THREADS, THREADS, cut, lay_out, leave_share

CHUNK = {1: 8, WIDTH: 4}
"""Width -> steps of the forward pass whose currents are read at a time."""

SEGMENT = {1: 8, WIDTH: 4}
"""Width -> steps whose potentials the backward pass keeps in registers."""

MEASURED_CHANNELS = 32
"""That a block takes where it measures potentials: whole cache lines, and many rows, for few shares of moments."""

LEAST_WIDE = 4 * FILL
"""Elements of a layer and step from which on threads take four channels."""


@device
def potential(i, v, d, beta, centre, factor, offset, normed, decay_input):
    """The potential after charging."""
    one = type(i)(1)
    current = eq.normalise(i, centre, factor, offset) if normed else i
    return eq.correct(eq.charge(v, current, beta, one - beta if decay_input else one), d)


@device
def keep(a, b, first, width, own_a, own_b):
    """The values of the thread's channels, in registers."""
    for c in range(width):
        own_a[c], own_b[c] = a[first + c], b[first + c]


@device
def keep_inverse(a, b, first, width, own_a, own_b):
    """The values of the one, and the inverses of the other's."""
    for c in range(width):
        own_a[c], own_b[c] = a[first + c], type(b[first + c])(1) / b[first + c]


@device
def begin(load, start, at, width, carry, v):
    """The potential before the first step: zero, or what was carried on."""
    for c in range(width):
        v[c] = type(start[0])(0)
    if carry:
        load(start, at, v, 0)


@device
def see(u, n, width, theta, inverse_width, reach, marks):
    """Mark the potentials u[n + ...] within reach of the surrogate, and count them; a NaN is marked."""
    count = 0
    for c in range(width):
        unseen = abs((u[n + c] - theta[c]) * inverse_width[c]) > reach
        marks[c] = 0 if unseen else 1
        count += 0 if unseen else 1
    return count


@cache
def _forward_kernel(real, width, surrogate, reset, decay_input, normed, store, carry, moments, visibility):
    """The forward kernel of one kind of neuron; surrogate is None for spikes, reset is "hard", "soft", "none"."""
    relaxed = surrogate is not None
    cdf = eq.CDF[surrogate or "rectangle"]
    soft, hard = reset == "soft", reset == "hard"
    chunk, size = CHUNK[width], CHUNK[width] * width
    room_size = size * THREADS if moments else 1
    (load, save), save_spikes = NUMBERS[width], SPIKES[width][2]

    @kernel
    def lif_forward(
        i,
        centre,
        factor,
        offset,
        beta,
        theta,
        d,
        v_reset,
        alpha,
        u,
        s,
        carried,
        shares,
        visible,
        seen,
        reach,
        steps,
        rows,
        channels,
    ):
        b, th, inv = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
        ce, fa, off = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
        v, fired = cuda.local.array(width, real), cuda.local.array(width, real)
        x, drop = cuda.local.array(size, real), cuda.local.array(size, real)
        room = cuda.shared.array(room_size, real)
        column, lane, columns, lanes = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x, cuda.blockDim.y
        block, blocks, threads = cuda.blockIdx.x, cuda.gridDim.x, lanes * columns
        first, stride = (cuda.blockIdx.y * columns + column) * width, rows * channels
        if first < channels:
            keep(beta, theta, first, width, b, th)
            keep(centre, factor, first, width, ce, fa)
            keep_inverse(offset, alpha, first, width, off, inv)
        count = 0
        for tile in range(block, (rows + lanes - 1) // lanes, blocks):
            m = tile * lanes + lane
            active = m < rows and first < channels
            if active:
                begin(load, carried, m * channels + first, width, carry, v)
            for t in range(0, steps, chunk):
                at, at_drop = (t * rows + m) * channels + first, t * channels + first
                at_output = at
                for k in range(chunk):
                    if active and t + k < steps:
                        load(i, at, x, k * width)
                        load(d, at_drop, drop, k * width)
                        at, at_drop = step(at, stride), step(at_drop, channels)
                for k in range(chunk):
                    if active and t + k < steps:
                        for c in range(width):
                            n = k * width + c
                            x[n] = potential(x[n], v[c], drop[n], b[c], ce[c], fa[c], off[c], normed, decay_input)
                            above = x[n] - th[c]
                            fired[c] = cdf(above * inv[c]) if relaxed else real(eq.fire(above))
                            v[c] = after_reset(x[n], fired[c], th[c], v_reset, soft, hard)
                        save_spikes(fired, s, at_output)
                        if store:
                            save(x, k * width, u, at_output)
                        if visibility:
                            count += see(x, k * width, width, th, inv, reach, fired)
                            save_spikes(fired, visible, at_output)
                        at_output = step(at_output, stride)
                if moments:
                    lay_out_potentials(x, size, lane * columns + column, threads, room)
                    cuda.syncthreads()
                    height, earlier = min(lanes, rows - tile * lanes), (tile - block) // blocks * lanes
                    for k in range(lane, size, lanes):
                        now, c = t + k // width, first + k % width
                        if now < steps and c < channels:
                            merge_tile(room, k * threads + column, columns, height, earlier, block, now, c, shares)
                    cuda.syncthreads()
            if carry and active:
                save(v, 0, carried, m * channels + first)
        if visibility:
            cuda.atomic.add(seen, 0, count)  # whole numbers, whose sum does not depend on their order

    return lif_forward


def lif_forward(
    i,
    beta,
    theta,
    d,
    v_reset,
    decay_input,
    surrogate,
    alpha,
    u,
    s,
    carried=None,
    norm=None,
    mean=None,
    var=None,
    visible=None,
    reach=0.0,
):
    """See `reference.neuron.lif_forward`."""
    real = i.dtype.type
    kind, reset = reset_kind(v_reset, i.dtype)
    steps, rows, channels = i.shape
    numbers = (x for x in (i, d, u, carried) if x is not None)
    width = width_of(tuple(numbers), tuple(x for x in (s, visible) if x is not None), LEAST_WIDE * steps)
    flags = norm is not None, u is not None, carried is not None, mean is not None, visible is not None
    plan = cut(rows, channels, width, most_columns=MEASURED_CHANNELS // width if mean is not None else None)
    measured = (2, plan.row_blocks, steps, channels) if mean is not None else (1, 1, 1, 1)
    shares = scratch.get("shares of moments", measured, real)
    seen = scratch.get("visible potentials", (1,), np.int64)
    if visible is not None:
        fill(seen, 0)
    # the kernel never touches the stand-ins of what is not there
    flat = (x.reshape(-1) for x in (i if u is None else u, s, i if carried is None else carried))
    launch(
        _forward_kernel(real, width, surrogate, kind, decay_input, *flags),
        plan.grid,
        plan.block,
        i.reshape(-1),
        *(norm or (beta, beta, beta)),
        beta,
        theta,
        d.reshape(-1),
        reset,
        alpha,
        *flat,
        shares,
        (s if visible is None else visible).reshape(-1),
        seen,
        real(reach),
        steps,
        rows,
        channels,
    )
    if mean is not None:
        merge(shares, plan.lanes, rows, mean, var)
    return None if visible is None else int(to_host(seen)[0]) / i.size


@device
def read_segment(load, x, t, at, stride, steps, segment, width, own):
    """own = x of the steps t ... t + segment - 1, as far as there are; returns where the next one would be."""
    for k in range(segment):
        if t + k < steps:
            load(x, at, own, k * width)
            at = step(at, stride)
    return at


@device
def charge_again(
    load,
    load_spikes,
    spike_of,
    i,
    s,
    d,
    t,
    at,
    stride,
    steps,
    first,
    channels,
    own,
    v_reset,
    flags,
    segment,
    width,
    x,
    fired,
    v,
    u,
):
    """The potentials u after charging of the steps t ... t + segment - 1, as far as there are; v from before the first
    to after the last; their currents x and spikes. at: where the first step is found."""
    beta, theta, centre, factor, offset = own
    normed, decay_input, soft, hard = flags
    real = type(v_reset)
    at_drop = t * channels + first
    for k in range(segment):
        if t + k < steps:
            load(i, at, x, k * width)
            fired[k] = load_spikes(s, at)
            load(d, at_drop, u, k * width)
            at, at_drop = step(at, stride), step(at_drop, channels)
    for k in range(segment):
        if t + k < steps:
            for c in range(width):
                n = k * width + c
                u[n] = potential(x[n], v[c], u[n], beta[c], centre[c], factor[c], offset[c], normed, decay_input)
                v[c] = after_reset(u[n], real(spike_of(fired[k], c)), theta[c], v_reset, soft, hard)


@device
def gradient_step(
    density,
    spike_of,
    k,
    width,
    own,
    inverse_width,
    p_offset,
    p_slope,
    v_reset,
    x,
    u,
    fired,
    opening,
    flags,
    detach_reset,
    learned,
    direct,
    places,
    g,
    e,
    total,
):
    """The k-th step of a segment, back: g from dL/ds to dL/di, e from dL/dv behind the step to before it. Gradients of
    parameters are added to the thread's totals, each at its place: leak, threshold, width, normalisation."""
    beta, theta, centre, factor, offset = own
    normed, decay_input, soft, hard = flags
    learn_beta, learn_theta, learn_alpha = learned
    real = type(v_reset)
    zero, one = real(0), real(1)
    for c in range(width):
        n, s_t = k * width + c, real(spike_of(fired[k], c))
        z = (u[n] - theta[c]) * inverse_width[c]
        phi, q = density(z) * inverse_width[c], g[n]
        if soft and not detach_reset:
            q = eq.spike_gradient_soft(q, e[c], theta[c])
        if hard and not detach_reset:
            q = eq.spike_gradient_hard(q, e[c], u[n], v_reset)
        p = p_offset[c] + p_slope[c] * u[n] if direct else zero
        delta = eq.potential_gradient(q, e[c], s_t if hard else zero, phi, p)
        g[n] = (one - beta[c] if decay_input else one) * delta
        if learn_beta:
            before = opening[c]
            if k > 0:
                fell = real(spike_of(fired[k - 1], c))
                before = after_reset(u[n - width], fell, theta[c], v_reset, soft, hard)
            current = eq.normalise(x[n], centre[c], factor[c], offset[c]) if normed else x[n]
            total[places[0] * width + c] += delta * (before - (current if decay_input else zero))
        if learn_theta:
            total[places[1] * width + c] -= q * phi + (e[c] * s_t if soft else zero)
        if learn_alpha:
            total[places[2] * width + c] += eq.width_gradient(q, phi, z)
        if normed:
            total[places[3] * width + c] += g[n]
            total[(places[3] + 1) * width + c] += g[n] * (x[n] - centre[c])
        e[c] = beta[c] * delta


@cache
def _backward_kernel(real, width, surrogate, reset, detach_reset, decay_input, normed, learned, direct, carry):
    """The backward kernel of one kind of neuron; learned: whether leak, threshold and width are; direct: a loss acts on
    the potential itself."""
    density = eq.DENSITY[surrogate]
    flags = normed, decay_input, reset == "soft", reset == "hard"
    places = tuple(sum(learned[:n]) for n in range(4))
    count = places[3] + 2 * normed
    segment, size, sums = SEGMENT[width], SEGMENT[width] * width, max(1, count) * width
    room_size = HEAVY_THREADS * width
    (load, save), (load_spikes, spike_of, _) = NUMBERS[width], SPIKES[width]
    mark = real if width == 1 else np.uint32

    @kernel
    def lif_backward(
        ds,
        i,
        s,
        centre,
        factor,
        offset,
        beta,
        theta,
        d,
        v_reset,
        alpha,
        p_offset,
        p_slope,
        di,
        start,
        states,
        shares,
        steps,
        rows,
        channels,
    ):
        b, th, inv = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
        ce, fa, off = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
        po, ps, opening = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(width, real)
        v, e, total = cuda.local.array(width, real), cuda.local.array(width, real), cuda.local.array(sums, real)
        x, u, g = cuda.local.array(size, real), cuda.local.array(size, real), cuda.local.array(size, real)
        fired, room = cuda.local.array(segment, mark), cuda.shared.array(room_size, real)
        column, lane, columns, lanes = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x, cuda.blockDim.y
        block, blocks = cuda.blockIdx.x, cuda.gridDim.x
        first, stride = (cuda.blockIdx.y * columns + column) * width, rows * channels
        if first < channels:
            keep(beta, theta, first, width, b, th)
            keep(centre, factor, first, width, ce, fa)
            keep_inverse(offset, alpha, first, width, off, inv)
            keep(p_offset, p_slope, first, width, po, ps)
        for n in range(sums):
            total[n] = real(0)
        own = b, th, ce, fa, off
        for m in range(block * lanes + lane, rows if first < channels else 0, blocks * lanes):
            row, last = m * channels + first, (steps - 1) // segment
            begin(load, start, row, width, carry, v)
            for j in range(last):
                if j > 0:
                    save(v, 0, states, (j - 1) * stride + row)
                charge_again(
                    load,
                    load_spikes,
                    spike_of,
                    i,
                    s,
                    d,
                    j * segment,
                    j * segment * stride + row,
                    stride,
                    steps,
                    first,
                    channels,
                    own,
                    v_reset,
                    flags,
                    segment,
                    width,
                    x,
                    fired,
                    v,
                    u,
                )
            for c in range(width):
                e[c] = real(0)
            for j in range(last, -1, -1):
                t, at = j * segment, j * segment * stride + row
                if j == 0:
                    begin(load, start, row, width, carry, v)
                elif j < last:
                    load(states, (j - 1) * stride + row, v, 0)
                for c in range(width):
                    opening[c] = v[c]
                place = read_segment(load, ds, t, at, stride, steps, segment, width, g)
                charge_again(
                    load,
                    load_spikes,
                    spike_of,
                    i,
                    s,
                    d,
                    t,
                    at,
                    stride,
                    steps,
                    first,
                    channels,
                    own,
                    v_reset,
                    flags,
                    segment,
                    width,
                    x,
                    fired,
                    v,
                    u,
                )
                for k in range(segment - 1, -1, -1):
                    if t + k < steps:
                        gradient_step(
                            density,
                            spike_of,
                            k,
                            width,
                            own,
                            inv,
                            po,
                            ps,
                            v_reset,
                            x,
                            u,
                            fired,
                            opening,
                            flags,
                            detach_reset,
                            learned,
                            direct,
                            places,
                            g,
                            e,
                            total,
                        )
                        place = step(place, -stride)
                        save(g, k * width, di, place)
        for n in range(count):
            lay_out(total, n, width, column, columns, lane, room)
            cuda.syncthreads()
            leave_share(room, n, width, column, columns, lane, lanes, block, first, channels, shares)
            cuda.syncthreads()

    return lif_backward


def lif_backward(
    ds,
    i,
    s,
    beta,
    theta,
    d,
    v_reset,
    detach_reset,
    decay_input,
    surrogate,
    alpha,
    p_offset,
    p_slope,
    di,
    dbeta,
    dtheta,
    dalpha,
    start=None,
    norm=None,
    dnorm=None,
):
    """See `reference.neuron.lif_backward`."""
    direct = p_offset is not None
    kind, reset = reset_kind(v_reset, i.dtype)
    learned = dbeta is not None, dtheta is not None, dalpha is not None
    flags = norm is not None, learned, direct, start is not None
    steps, rows, channels = i.shape
    numbers = (x for x in (ds, i, d, di, start) if x is not None)
    width = width_of(tuple(numbers), (s,), LEAST_WIDE * steps)
    plan = cut(rows, channels, width, heavy=True)
    totals = [x for x in (dbeta, dtheta, dalpha, *(() if norm is None else dnorm)) if x is not None]
    shares = scratch.get("shares of gradients", (max(1, len(totals)), plan.row_blocks, channels), i.dtype)
    kept = max(0, ceil_div(steps, SEGMENT[width]) - 2)
    states = scratch.get("potentials of segments", (max(1, kept * rows * channels),), i.dtype)
    compiled = _backward_kernel(i.dtype.type, width, surrogate, kind, detach_reset, decay_input, *flags)
    launch(
        compiled,
        plan.grid,
        plan.block,
        ds.reshape(-1),
        i.reshape(-1),
        s.reshape(-1),
        *(norm or (beta, beta, beta)),
        beta,
        theta,
        d.reshape(-1),
        reset,
        alpha,
        *((p_offset, p_slope) if direct else (beta, beta)),
        di.reshape(-1),
        (i if start is None else start).reshape(-1),
        states,
        shares,
        steps,
        rows,
        channels,
    )
    add_up(shares, totals)


@cache
def _reset_kernel(reset):
    soft, hard = reset == "soft", reset == "hard"

    @kernel
    def lif_reset(u, s, theta, v_reset, v, channels, count):
        for k in range(cuda.grid(1), count, cuda.gridsize(1)):
            v[k] = after_reset(u[k], type(v_reset)(s[k]), theta[k % channels], v_reset, soft, hard)

    return lif_reset


def lif_reset(u, s, theta, v_reset, v):
    """See `reference.neuron.lif_reset`."""
    kind, reset = reset_kind(v_reset, u.dtype)
    launch_flat(_reset_kernel(kind), u.size, u.reshape(-1), s.reshape(-1), theta, reset, v.reshape(-1), u.shape[-1])
