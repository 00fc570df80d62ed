"""Neurons that follow a rule (`kernels.rules`) over all time steps, compiled. `reference.neuron` documents them.

A tile is a block of rows and channels with all its time steps. The potential of the tile stays in the cache from step
to step, memory is read once, and the inner loop runs over channels and is vectorised. Potentials are not stored: the
backward pass computes the potentials of a tile again, into a work array that stays in the cache. The gradient of a
parameter is first summed over each tile, and then the tiles' partial sums are added in order.
"""

from functools import cache

import numpy as np

from .. import equations as eq
from ..compile import kernel
from ..rules import compiled
from ..steps import after_reset, fire_back, reset_kind, subtraction
from .inline.access import add_all, read, read_all, write, write_all
from .inline.local import local
from .inline.neuron_steps import charge_again_by
from .inline.potentials import finish, measure, see
from .inline.prefetch import ahead
from .inline.runs import clear_run, copy_run
from .norm import merge_moments
from .run.launch import count_tiles, launch, rows_per_tile, scratch
from .run.tiles import LEAST_JOINED, SCRATCH_ELEMENTS, STATE_ELEMENTS, cut, same_memory

MANY = 1 << 22
"""From this number of elements on, a kernel of its own is compiled for passes in which nobody looks at the potentials.
It is 1.02 to 1.17 times as fast."""

_NOWHERE = np.empty((1, 1, 1), np.uint8)
_NO_ENDS = np.empty(1, np.int64)


@cache
def _forward_kernel(rule, real, cdf, reset, normed, looked_at):
    """The forward range kernel of one kind of neuron.

    Args:
        rule, real: rule of the neuron, and float type.
        cdf: distribution function of the surrogate in relaxed mode, or None for spikes.
        reset: "hard", "soft", "delayed" or "none".
        normed: whether the kernel normalises the input before it charges the potential.
        looked_at: whether the kernel can store or measure the potentials, or compare them with the surrogate's reach.
            The kernel's arguments store, measured and visibility select these at run time, so that one kernel is
            compiled for all of them.
    """
    relaxed, soft, hard, fall = cdf is not None, reset in ("soft", "delayed"), reset == "hard", subtraction(reset)
    fires = eq.CDF["rectangle"] if cdf is None else cdf
    (step, _), count, many = compiled(rule, real), len(rule.states), len(rule.values)

    @kernel
    def neuron_forward_tiles(
        i,
        centre,
        factor,
        offset,
        values,
        theta,
        d,
        v_reset,
        inverse_width,
        u,
        s,
        states,
        carried,
        tile_mean,
        tile_square,
        visible,
        seen,
        reach,
        store,
        record,
        carry,
        measured,
        visibility,
        rows,
        width,
        blocks,
        lo,
        hi,
    ):
        steps, total, channels = s.shape
        real = type(v_reset)
        # v and x hold the tile's potential after the reset and the rule's states; u_m holds one row of potentials.
        # shift and drift hold the first row and the summed distances from it, for the moments.
        v, x, u_m = local((rows, width), i.dtype), local((count, rows, width), i.dtype), local(width, i.dtype)
        shift, drift = local(width, i.dtype), local(width, i.dtype)
        for tile in range(lo, hi):
            block, left = tile // blocks, tile % blocks * width
            first, right = block * rows, min(channels, left + width)
            last, n = min(total, first + rows), right - left
            clear_run(v, (0, 0), v.size)
            clear_run(x, (0, 0, 0), x.size)
            if carry:
                for m in range(first, last):
                    copy_run(v, (m - first, 0), carried, (0, m, left), n)
                    for j in range(count):
                        copy_run(x, (j, m - first, 0), carried, (j + 1, m, left), n)
            in_reach = 0
            # Time is the outer loop, so that v and x stay in the cache; the channel loop is the vectorised one.
            for t in range(steps):
                source = min(t, len(i) - 1)  # i may have one step for all
                for m in range(first, last):
                    ahead(i, t, m, first, last, left, n, 1)
                    for c in range(n):
                        k, r = left + c, m - first
                        current, th = read(i, "current", (source, m, k)), read(theta, "value", k)
                        if normed:
                            ce, fa, off = read(centre, "value", k), read(factor, "value", k), read(offset, "value", k)
                            current = eq.normalise(current, ce, fa, off)
                        before, own = read_all(x, "state", (r, c), count), read_all(values, "value", k, many)
                        charged, after = step(current, read(v, "state", (r, c)), before, own)
                        u_t = eq.correct(real(charged), read(d, "value", (t, k)))
                        distance = u_t - th
                        s_t = fires(distance * read(inverse_width, "value", k)) if relaxed else real(eq.fire(distance))
                        write(s, "spike", (t, m, k), s_t)
                        write(v, "state", (r, c), after_reset(u_t, s_t, fall(th, own), v_reset, soft, hard))
                        write_all(x, "state", (r, c), after)
                        if looked_at:
                            write(u_m, "potential", c, u_t)
                    # Potentials are examined row by row, while u_m is in the first-level cache.
                    if looked_at and store:
                        copy_run(u, (t, m, left), u_m, 0, n)
                    if record:
                        for j in range(count):
                            copy_run(states, (j, t, m, left), x, (j, m - first, 0), n)
                    if looked_at and visibility:
                        in_reach += see(
                            u_m, theta[left:right], inverse_width[left:right], reach, visible[t, m, left:right]
                        )
                    if looked_at and measured:
                        measure(u_m, shift, drift, tile_square, block, t, left, n, m == first)
                if looked_at and measured:
                    finish(shift, drift, last - first, tile_mean, tile_square, block, t, left, n)
            seen[tile] = in_reach
            if carry:
                for m in range(first, last):
                    copy_run(carried, (0, m, left), v, (m - first, 0), n)
                    for j in range(count):
                        copy_run(carried, (j + 1, m, left), x, (j, m - first, 0), n)

    return neuron_forward_tiles


def neuron_forward(
    rule, i, values, firing, reset, d, relaxed, u, s, states=None, carried=None, norm=None, moments=None, visible=None
):
    """See `reference.neuron.neuron_forward`."""
    real = i.dtype.type
    kind, v_reset = reset_kind(reset.value, i.dtype)
    cdf = eq.CDF[firing.family] if relaxed else None
    asked = u is not None, states is not None, carried is not None, moments is not None, visible is not None
    store, _, _, measured, visibility = asked
    looked_at = store or measured or visibility or s.size < MANY
    range_kernel = _forward_kernel(rule, real, cdf, kind, norm is not None, looked_at)
    steps, rows, channels = i.shape
    plan = cut(rows, channels, STATE_ELEMENTS // (1 + len(rule.states)), moments is not None, s.size > LEAST_JOINED)
    if i.strides[0] == 0:  # all steps are one, which the kernel reads again and again from the cache
        i = i[:1]
    shape = (2, plan.row_blocks, steps, channels * plan.joined) if moments is not None else (2, 1, 1, 1)
    tile_mean, tile_square = of_tiles = scratch.get("moments of tiles", shape, i.dtype)
    seen = np.empty(plan.count, np.int64)
    # An argument that is None is replaced by some array of the right type, which the kernel does not touch.
    i, s = plan.wide(i, s)
    u = i if u is None else plan.wide(u)[0]
    states = i[None] if states is None else plan.wide(states)[0]
    carried = i if carried is None else plan.wide(carried)[0]
    marks = _NOWHERE if visible is None else plan.wide(visible)[0]
    theta, alpha = firing.theta, firing.alpha
    vectors = *(norm or (theta, theta, theta)), theta, alpha
    centre, factor, offset, theta, inverse_width, values, d = plan.repeated(vectors, values, d)
    launch(
        range_kernel,
        plan.count,
        *(i, centre, factor, offset, values, theta, d, v_reset, inverse_width),
        *(u, s, states, carried, tile_mean, tile_square, marks, seen, real(firing.reach)),
        *(*asked, plan.rows, plan.width, plan.blocks),
    )
    if moments is not None:
        counts = np.full(plan.row_blocks, plan.rows, np.float64)
        counts[-1] = rows // plan.joined - (plan.row_blocks - 1) * plan.rows
        counts = np.repeat(counts, plan.joined)
        of_steps = scratch.get("moments of steps", (2, steps, plan.row_blocks, plan.joined, channels), i.dtype)
        of_steps[...] = np.moveaxis(of_tiles.reshape(2, plan.row_blocks, steps, plan.joined, channels), 1, 2)
        merge_moments(*of_steps.reshape(2, steps, -1, channels), counts, *moments)
    return None if visible is None else int(seen.sum()) / s.size


@cache
def _backward_kernel(rule, real, density, reset, attached, normed, learned, direct, in_place, ended=False):
    """The backward range kernel of one kind of neuron.

    Args:
        rule, real: rule of the neuron, and float type.
        density: density of the surrogate.
        reset: "hard", "soft", "delayed" or "none".
        attached: whether the spike in the reset has a gradient.
        normed: whether the kernel normalises the input before it charges the potential.
        learned: one boolean per value of the rule, one for the threshold and one for the width: whether it is learned.
        direct: whether a loss acts on the potential itself.
        in_place: whether di overwrites ds.
        ended: whether the loss on the potential acts only up to a row's last real step. Default False.
    """
    soft, hard, fall = reset in ("soft", "delayed"), reset == "hard", subtraction(reset)
    learn_late = reset == "delayed" and learned[0]
    *learned_values, learn_theta, learn_alpha = learned
    ds_role = "input gradient" if in_place else "gradient"
    (_, step_back), count, many = compiled(rule, real), len(rule.states), len(rule.values)
    wanted = "".join("1" if learn else "0" for learn in learned_values)
    charge_again = charge_again_by(rule, real, normed, reset)

    @kernel
    def neuron_backward_tiles(
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
        inverse_width,
        p_centre,
        p_offset,
        p_slope,
        ends,
        di,
        start,
        dstart,
        sums,
        carry,
        leave,
        rows,
        width,
        blocks,
        lo,
        hi,
    ):
        steps, total, channels = i.shape
        real = type(v_reset)
        dx = ds if in_place else di  # arrays that share memory must be one array for the compiler, too
        # u[t + 1] holds the tile's potential of step t, and x[:, t] the rule's states before step t. e holds the
        # potential after the reset while they are computed, and then dL/dv. h holds dL/dstates.
        u, e = local((steps + 1, rows, width), i.dtype), local((rows, width), i.dtype)
        x, h = local((count, steps + 1, rows * width), i.dtype), local((count, rows, width), i.dtype)
        for tile in range(lo, hi):
            block, left = tile // blocks, tile % blocks * width
            first, right = block * rows, min(channels, left + width)
            last, n = min(total, first + rows), right - left
            # First the potentials of all steps are computed again, upwards in time.
            for j in range(len(sums)):
                clear_run(sums, (j, block, left), n)
            clear_run(u, (0, 0, 0), e.size)
            clear_run(e, (0, 0), e.size)
            for j in range(count):
                clear_run(x, (j, 0, 0), e.size)
            if carry:
                for m in range(first, last):
                    copy_run(e, (m - first, 0), start, (0, m, left), n)
                    copy_run(u, (0, m - first, 0), start, (0, m, left), n)
                    for j in range(count):
                        copy_run(x, (j, 0, (m - first) * width), start, (j + 1, m, left), n)
            charge_again(i, s, values, theta, d, centre, factor, offset, v_reset, first, last, left, n, width, u, x, e)
            # Then the gradients go downwards in time, with dL/dv and dL/dstates of the step after in e and h.
            clear_run(e, (0, 0), e.size)
            clear_run(h, (0, 0, 0), h.size)
            for t in range(steps - 1, -1, -1):
                for m in range(first, last):
                    ahead(ds, t, m, first, last, left, n, -1)
                    if normed:
                        ahead(i, t, m, first, last, left, n, -1)
                    r = m - first
                    acts = not ended or t < ends[m]
                    earlier, any_before = max(t - 1, 0), real(t > 0)
                    for c in range(n):
                        k = left + c
                        u_t, e_t = read(u, "potential", (t + 1, r, c)), read(e, "state", (r, c))
                        own = read_all(values, "value", k, many)
                        s_t = real(read(s, "spike", (t, m, k)))
                        edge, inverse = read(theta, "value", k), read(inverse_width, "value", k)
                        z, phi = eq.surrogate(density, u_t - edge, inverse)
                        p = real(0)
                        if direct and acts:
                            mean, push = read(p_centre, "value", k), read(p_offset, "value", k)
                            p = eq.direct_gradient(u_t, mean, push, read(p_slope, "value", k))
                        ds_t, r_t, lost = read(ds, ds_role, (t, m, k)), fall(e_t, own), fall(edge, own)
                        q, delta, dtheta = fire_back(
                            ds_t, e_t, r_t, u_t, s_t, edge, phi, p, v_reset, soft, hard, attached
                        )
                        if learn_theta:
                            write(sums, "dtheta", (many, block, k), read(sums, "dtheta", (many, block, k)) + dtheta)
                        if learn_alpha:
                            change = read(sums, "dalpha", (many + 1, block, k)) + eq.width_gradient(q, phi, z)
                            write(sums, "dalpha", (many + 1, block, k), change)
                        if learn_late:
                            change = read(sums, "dvalue 0", (0, block, k)) + eq.delay_gradient(r_t, s_t, lost)
                            write(sums, "dvalue 0", (0, block, k), change)
                        # The rule's backward step starts from the input, potential and states that its step had.
                        current = read(i, "current", (t, m, k))
                        if normed:
                            ce, fa, off = read(centre, "value", k), read(factor, "value", k), read(offset, "value", k)
                            distance, current = current - ce, eq.normalise(current, ce, fa, off)
                        fired = any_before * real(read(s, "spike", (earlier, m, k)))
                        v = after_reset(read(u, "potential", (t, r, c)), fired, lost, v_reset, soft, hard)
                        before, slopes = (
                            read_all(x, "history", (t, r * width + c), count),
                            read_all(h, "state", (r, c), count),
                        )
                        di_t, dv, slopes_before, changes = step_back(delta, slopes, current, v, before, own)
                        di_t = real(di_t)
                        write(dx, "input gradient", (t, m, k), di_t)
                        write(e, "state", (r, c), real(dv))
                        write_all(h, "state", (r, c), slopes_before)
                        add_all(sums, "dvalue", (block, k), changes, wanted)
                        if normed:  # the two sums that the backward pass of a batch normalisation needs
                            write(sums, "sum", (many + 2, block, k), read(sums, "sum", (many + 2, block, k)) + di_t)
                            projected = read(sums, "projection", (many + 3, block, k)) + di_t * distance
                            write(sums, "projection", (many + 3, block, k), projected)
            if leave:
                for m in range(first, last):
                    copy_run(dstart, (m, left), e, (m - first, 0), n)

    return neuron_backward_tiles


def neuron_backward(
    rule, ds, i, s, values, firing, reset, d, direct, di, wanted, start=None, norm=None, dnorm=None, dstart=None
):
    """See `reference.neuron.neuron_backward`."""
    in_place, carry, leave = same_memory(di, ds), start is not None, dstart is not None
    *pull, ends = (None, None, None, None) if direct is None else direct
    kind, v_reset = reset_kind(reset.value, i.dtype)
    totals = *wanted.values, wanted.theta, wanted.alpha
    learned = tuple(total is not None for total in totals)
    flags = not reset.detached, norm is not None, learned, direct is not None, in_place, ends is not None
    range_kernel = _backward_kernel(rule, i.dtype.type, eq.DENSITY[firing.family], kind, *flags)
    steps, rows, channels = i.shape
    join = ends is None and i.size > LEAST_JOINED
    plan = cut(rows, channels, SCRATCH_ELEMENTS // ((steps + 1) * (1 + len(rule.states))), join=join)
    sums = scratch.get("neuron sums", (len(totals) + 2, plan.row_blocks, channels * plan.joined), i.dtype)
    theta = firing.theta
    vectors = *(norm or (theta, theta, theta)), theta, firing.alpha
    centre, factor, offset, theta, inverse_width, values, d = plan.repeated(vectors, values, d)
    pull = (theta, theta, theta) if direct is None else [np.tile(x, plan.joined) for x in pull]
    first = i[0] if dstart is None else dstart
    ds, i, s, di, start, first = plan.wide(ds, i, s, di, i if start is None else start, first)
    launch(
        range_kernel,
        plan.count,
        *(ds, i, s, centre, factor, offset, values, theta, d, v_reset, inverse_width, *pull),
        *(_NO_ENDS if ends is None else ends, di, start, first, sums, carry, leave),
        *(plan.rows, plan.width, plan.blocks),
    )
    plan.add_up(sums, totals, dnorm)


@cache
def _reset_kernel(reset):
    """The range kernel of the reset alone; reset is "hard", "soft" or "none"."""
    soft, hard = reset == "soft", reset == "hard"

    @kernel
    def neuron_reset_tiles(u, s, theta, v_reset, v, rows, lo, hi):
        total, channels = u.shape
        real = type(v_reset)
        for m in range(lo * rows, min(total, hi * rows)):
            for c in range(channels):
                v[m, c] = after_reset(u[m, c], real(s[m, c]), theta[c], v_reset, soft, hard)

    return neuron_reset_tiles


def neuron_reset(u, s, theta, reset, v):
    """See `reference.neuron.neuron_reset`."""
    channels = u.shape[-1]
    u, s, v = (x.reshape(-1, channels) for x in (u, s, v))
    rows = rows_per_tile(channels)
    kind, v_reset = reset_kind(reset.value, u.dtype)
    launch(_reset_kernel(kind), count_tiles(len(u), rows), u, s, theta, v_reset, v, rows)
