"""The leaky integrate-and-fire neuron over all time steps, compiled; `reference.neuron` is the text it equals.

A tile is a block of rows and channels with all time steps: the potential carried from step to step stays in cache,
memory streams through once, and channels are the inner, vectorised loop. Potentials are not stored: the backward pass
computes a tile's potentials again, into scratch that stays in cache. Gradients of per-channel parameters are summed a
tile at a time and the tiles' sums in order.
"""

from functools import cache

import numpy as np
from numba.extending import register_jitable

from .. import equations as eq
from ..compile import kernel
from ..steps import after_reset, reset_kind
from .inline.access import read, write
from .inline.prefetch import ahead
from .norm import merge_moments
from .run.launch import count_tiles, launch, rows_per_tile
from .run.tiles import SCRATCH_ELEMENTS, STATE_ELEMENTS, cut, same_memory


@cache
def _forward_kernel(surrogate, reset, decay_input, normed, store, carry, measure, see):
    """The forward range kernel of one kind of neuron; surrogate is None for spikes, reset is "hard", "soft", "none"."""
    relaxed = surrogate is not None
    cdf = eq.CDF[surrogate or "rectangle"]
    soft, hard = reset == "soft", reset == "hard"

    @kernel
    def lif_forward_tiles(
        i,
        centre,
        factor,
        offset,
        beta,
        theta,
        d,
        v_reset,
        inverse_width,
        u,
        s,
        carried,
        tile_mean,
        tile_square,
        visible,
        seen,
        reach,
        rows,
        width,
        blocks,
        lo,
        hi,
    ):
        steps, total, channels = i.shape
        real = type(v_reset)
        v, u_m = np.empty((rows, width), i.dtype), np.empty(width, i.dtype)
        shift, drift = np.empty((2, width), i.dtype)
        for tile in range(lo, hi):
            block, left = tile // blocks, tile % blocks * width
            first, right = block * rows, min(channels, left + width)
            last, n = min(total, first + rows), right - left
            v[:] = real(0)
            if carry:
                v[: last - first, :n] = carried[first:last, left:right]
            count = 0
            for t in range(steps):
                for m in range(first, last):
                    ahead(i, t, m, first, last, left, n, 1)
                    for c in range(n):
                        k = left + c
                        current, th, b = read(i, "current", (t, m, k)), read(theta, "value", k), read(beta, "value", k)
                        if normed:
                            ce, fa, off = read(centre, "value", k), read(factor, "value", k), read(offset, "value", k)
                            current = eq.normalise(current, ce, fa, off)
                        gain = real(1) - b if decay_input else real(1)
                        u_t = eq.charge(read(v, "state", (m - first, c)), current, read(d, "value", (t, k)), b, gain)
                        x = u_t - th
                        s_t = cdf(x * read(inverse_width, "value", k)) if relaxed else real(eq.fire(x))
                        write(s, "spike", (t, m, k), s_t)
                        v_t = after_reset(u_t, s_t, th, v_reset, soft, hard)
                        write(v, "state", (m - first, c), v_t)
                        if store or measure or see:
                            write(u_m, "potential", c, u_t)
                    if store:
                        u[t, m, left:right] = u_m[:n]
                    if see:
                        count += _see(
                            u_m, theta[left:right], inverse_width[left:right], reach, visible[t, m, left:right]
                        )
                    if measure:
                        _measure(u_m, shift, drift, tile_square[block, t, left:right], m == first)
                if measure:
                    mean, square = tile_mean[block, t, left:right], tile_square[block, t, left:right]
                    _finish(shift, drift, last - first, mean, square)
            seen[tile] = count
            if carry:
                carried[first:last, left:right] = v[: last - first, :n]

    return lif_forward_tiles


@register_jitable(inline="always")
def _see(u, theta, inverse_width, reach, visible):
    """Mark the potentials within reach of the surrogate, and count them; a NaN is marked."""
    count = 0
    for c in range(len(visible)):
        visible[c] = not abs((u[c] - theta[c]) * inverse_width[c]) > reach
    for c in range(len(visible)):
        count += visible[c]
    return count


@register_jitable(inline="always")
def _measure(u, shift, drift, square, opening):
    """Add a row of potentials to the sums of distances, and of squared distances, from the tile's first row."""
    if opening:
        for c in range(len(square)):
            shift[c] = u[c]
        square[:] = drift[:] = type(u[0])(0)
        return
    for c in range(len(square)):
        distance = u[c] - shift[c]
        drift[c] += distance
        square[c] += distance * distance


@register_jitable(inline="always")
def _finish(shift, drift, rows, mean, square):
    """Turn these sums into the mean, and the sum of squared distances from it."""
    for c in range(len(mean)):
        inverse = type(shift[c])(1) / type(shift[c])(rows)
        mean[c] = shift[c] + drift[c] * inverse
        square[c] = max(square[c] - drift[c] * drift[c] * inverse, type(shift[c])(0))


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
    flags = norm is not None, u is not None, carried is not None, mean is not None, visible is not None
    range_kernel = _forward_kernel(surrogate, kind, decay_input, *flags)
    steps, rows, channels = i.shape
    plan = cut(rows, channels, STATE_ELEMENTS, tall=mean is not None)
    measured = (2, plan.row_blocks, steps, channels * plan.joined) if mean is not None else (2, 1, 1, 1)
    tile_mean, tile_square = np.empty(measured, i.dtype)
    seen = np.empty(plan.count, np.int64)
    # the kernel never touches the stand-ins of what is not there
    arrays = i, i if u is None else u, s, i[0] if carried is None else carried
    i, u, s, state, marks = plan.wide(*arrays, s if visible is None else visible)
    values = plan.repeated(*(norm or (beta, beta, beta)), beta, theta, d, 1 / alpha)
    launch(
        range_kernel,
        plan.count,
        i,
        *values[:-1],
        reset,
        values[-1],
        u,
        s,
        state,
        tile_mean,
        tile_square,
        marks,
        seen,
        real(reach),
        plan.rows,
        plan.width,
        plan.blocks,
    )
    if mean is not None:
        counts = np.full(plan.row_blocks, plan.rows, np.float64)
        counts[-1] = rows // plan.joined - (plan.row_blocks - 1) * plan.rows
        counts = np.repeat(counts, plan.joined)
        shape = plan.row_blocks, steps, plan.joined, channels
        parts = (np.moveaxis(x.reshape(shape), 0, 1) for x in (tile_mean, tile_square))
        merge_moments(*(x.reshape(steps, -1, channels) for x in parts), counts, mean, var)
    return None if visible is None else int(seen.sum()) / i.size


@register_jitable(inline="always")
def _charge_again(
    i, s, beta, theta, d, centre, factor, offset, v_reset, normed, decay_input, soft, hard, first, last, left, n, u, v
):
    """All steps of a tile: potentials u[1:] after charging, and v from before the first step to after the last."""
    real = type(v_reset)
    for t in range(len(i)):
        for m in range(first, last):
            ahead(i, t, m, first, last, left, n, 1)
            ahead(s, t, m, first, last, left, n, 1)
            r = m - first
            for c in range(n):
                k = left + c
                current, b = read(i, "current", (t, m, k)), read(beta, "value", k)
                if normed:
                    ce, fa, off = read(centre, "value", k), read(factor, "value", k), read(offset, "value", k)
                    current = eq.normalise(current, ce, fa, off)
                gain = real(1) - b if decay_input else real(1)
                u_t = eq.charge(read(v, "state", (r, c)), current, read(d, "value", (t, k)), b, gain)
                v_t, s_t = u_t, real(read(s, "spike", (t, m, k)))
                if soft:
                    v_t = eq.reset_soft(u_t, s_t, read(theta, "value", k))
                if hard:
                    v_t = eq.reset_hard(u_t, s_t, v_reset)
                write(u, "potential", (t + 1, r, c), u_t)
                write(v, "state", (r, c), v_t)


@register_jitable(inline="always")
def _leak_gradient(delta, u, s, i, theta, centre, factor, offset, v_reset, normed, decay_input, soft, hard, dbeta):
    """Add a row's share of dL/d beta; u and s are those of the step before."""
    real = type(v_reset)
    for c in range(len(i)):
        v = u[c]
        if soft:
            v = eq.reset_soft(u[c], real(s[c]), theta[c])
        if hard:
            v = eq.reset_hard(u[c], real(s[c]), v_reset)
        current = real(0)
        if decay_input:
            current = eq.normalise(i[c], centre[c], factor[c], offset[c]) if normed else i[c]
        dbeta[c] += delta[c] * (v - current)


@cache
def _backward_kernel(surrogate, reset, detach_reset, decay_input, normed, learned, direct, carry, in_place):
    """The backward range kernel of one kind of neuron; learned: whether leak, threshold and width are; direct: a loss
    acts on the potential itself; in_place: di takes the place of ds."""
    density = eq.DENSITY[surrogate]
    soft, hard = reset == "soft", reset == "hard"
    learn_beta, learn_theta, learn_alpha = learned
    above = "input gradient" if in_place else "gradient"

    @kernel
    def lif_backward_tiles(
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
        inverse_width,
        p_offset,
        p_slope,
        di,
        start,
        sums,
        rows,
        width,
        blocks,
        lo,
        hi,
    ):
        steps, total, channels = i.shape
        real = type(v_reset)
        dx = ds if in_place else di  # one place must be one array for the compiler, too
        u, e = np.empty((steps + 1, rows, width), i.dtype), np.empty((rows, width), i.dtype)
        delta = np.empty(width, i.dtype)
        quiet = np.zeros(width, s.dtype)
        for tile in range(lo, hi):
            block, left = tile // blocks, tile % blocks * width
            first, right = block * rows, min(channels, left + width)
            last, n = min(total, first + rows), right - left
            th, ce, fa, off = theta[left:right], centre[left:right], factor[left:right], offset[left:right]
            sums[:, block, left:right] = real(0)
            dbeta = sums[0, block, left:right]
            u[0] = e[:] = real(0)  # u[t + 1] is the potential at step t; e is v on the way up
            if carry:
                e[: last - first, :n] = u[0, : last - first, :n] = start[first:last, left:right]
            _charge_again(
                i,
                s,
                beta,
                theta,
                d,
                centre,
                factor,
                offset,
                v_reset,
                normed,
                decay_input,
                soft,
                hard,
                first,
                last,
                left,
                n,
                u,
                e,
            )
            e[:] = real(0)
            for t in range(steps - 1, -1, -1):
                for m in range(first, last):
                    ahead(ds, t, m, first, last, left, n, -1)
                    if normed:
                        ahead(i, t, m, first, last, left, n, -1)
                    r = m - first
                    for c in range(n):
                        k = left + c
                        u_t, e_t = read(u, "potential", (t + 1, r, c)), read(e, "state", (r, c))
                        s_t, b = real(read(s, "spike", (t, m, k))), read(beta, "value", k)
                        edge, inv = read(theta, "value", k), read(inverse_width, "value", k)
                        z = (u_t - edge) * inv
                        phi = density(z) * inv
                        p = read(p_offset, "value", k) + read(p_slope, "value", k) * u_t if direct else real(0)
                        q = read(ds, above, (t, m, k))
                        if soft and not detach_reset:
                            q = eq.spike_gradient_soft(q, e_t, edge)
                        if hard and not detach_reset:
                            q = eq.spike_gradient_hard(q, e_t, u_t, v_reset)
                        delta_t = eq.potential_gradient(q, e_t, s_t if hard else real(0), phi, p)
                        if learn_theta:
                            change = q * phi + (e_t * s_t if soft else real(0))
                            write(sums, "dtheta", (1, block, k), read(sums, "dtheta", (1, block, k)) - change)
                        if learn_alpha:
                            change = eq.width_gradient(q, phi, z)
                            write(sums, "dalpha", (2, block, k), read(sums, "dalpha", (2, block, k)) + change)
                        gain = real(1) - b if decay_input else real(1)
                        write(dx, "input gradient", (t, m, k), gain * delta_t)
                        write(e, "state", (r, c), b * delta_t)
                        if learn_beta:
                            write(delta, "delta", c, delta_t)
                        if normed:
                            distance = read(i, "current", (t, m, k)) - read(centre, "value", k)
                            write(sums, "sum", (3, block, k), read(sums, "sum", (3, block, k)) + gain * delta_t)
                            share = read(sums, "projection", (4, block, k)) + gain * delta_t * distance
                            write(sums, "projection", (4, block, k), share)
                    if learn_beta:  # before the first step the potential stands as it is, not to be reset
                        _leak_gradient(
                            delta,
                            u[t, r],
                            s[t - 1, m, left:right] if t > 0 else quiet[:n],
                            i[t, m, left:right],
                            th,
                            ce,
                            fa,
                            off,
                            v_reset,
                            normed,
                            decay_input,
                            soft,
                            hard,
                            dbeta,
                        )

    return lif_backward_tiles


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
    direct, in_place = p_offset is not None, same_memory(di, ds)
    kind, reset = reset_kind(v_reset, i.dtype)
    learned = dbeta is not None, dtheta is not None, dalpha is not None
    flags = norm is not None, learned, direct, start is not None, in_place
    range_kernel = _backward_kernel(surrogate, kind, detach_reset, decay_input, *flags)
    steps, rows, channels = i.shape
    plan = cut(rows, channels, SCRATCH_ELEMENTS // (steps + 1))
    sums = np.empty((5, plan.row_blocks, channels * plan.joined), i.dtype)
    values = plan.repeated(*(norm or (beta, beta, beta)), beta, theta, d)
    others = plan.repeated(1 / alpha, p_offset if direct else beta, p_slope if direct else beta)
    ds, i, s, di, state = plan.wide(ds, i, s, di, i[0] if start is None else start)
    launch(
        range_kernel, plan.count, ds, i, s, *values, reset, *others, di, state, sums, plan.rows, plan.width, plan.blocks
    )
    for total, parts in zip((dbeta, dtheta, dalpha, *((None, None) if dnorm is None else dnorm)), sums, strict=True):
        if total is not None:
            plan.add_up(parts, total)


@cache
def _reset_kernel(reset):
    soft, hard = reset == "soft", reset == "hard"

    @kernel
    def lif_reset_tiles(u, s, theta, v_reset, v, rows, lo, hi):
        total, channels = u.shape
        real = type(v_reset)
        for m in range(lo * rows, min(total, hi * rows)):
            for c in range(channels):
                v[m, c] = u[m, c]
                if soft:
                    v[m, c] = eq.reset_soft(u[m, c], real(s[m, c]), theta[c])
                if hard:
                    v[m, c] = eq.reset_hard(u[m, c], real(s[m, c]), v_reset)

    return lif_reset_tiles


def lif_reset(u, s, theta, v_reset, v):
    """See `reference.neuron.lif_reset`."""
    channels = u.shape[-1]
    u, s, v = (x.reshape(-1, channels) for x in (u, s, v))
    rows = rows_per_tile(channels)
    kind, reset = reset_kind(v_reset, u.dtype)
    launch(_reset_kernel(kind), count_tiles(len(u), rows), u, s, theta, reset, v, rows)
