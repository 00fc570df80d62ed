"""The leaky integrate-and-fire neuron over all time steps, compiled; `reference.neuron` is the text it equals.

A tile is a block of rows with all their channels and all time steps: the potential carried from step to step stays in
cache, memory streams through once, and channels are the inner, vectorised loop. Gradients of per-channel parameters
are summed a tile at a time and the tiles' sums in order.
"""

from functools import cache

import numpy as np

from .. import equations as eq
from .compile import kernel
from .launch import count_tiles, launch, rows_per_tile
from .reduce import sum_tiles


@cache
def _forward_kernel(surrogate, reset, decay_input, store, carry):
    """The forward range kernel of one kind of neuron; surrogate is None for spikes, reset is "hard", "soft", "none"."""
    relaxed = surrogate is not None
    cdf = eq.CDF[surrogate or "rectangle"]
    soft, hard = reset == "soft", reset == "hard"
    source = eq.SOURCE_HASH

    @kernel
    def lif_forward_tiles(i, beta, theta, d, v_reset, alpha, u, s, carried, rows, lo, hi):
        source  # noqa: B018  a changed equation changes this closure and with it the key of the disk cache
        steps, total, channels = i.shape
        real = type(v_reset)
        v = np.empty((rows, channels), i.dtype)
        for tile in range(lo, hi):
            first = tile * rows
            last = min(total, first + rows)
            if carry:
                v[: last - first] = carried[first:last]
            else:
                v[:] = real(0)
            for t in range(steps):
                for m in range(first, last):
                    for c in range(channels):
                        gain = real(1) - beta[c] if decay_input else real(1)
                        u_t = eq.charge(v[m - first, c], i[t, m, c], d[t, c], beta[c], gain)
                        x = u_t - theta[c]
                        s_t = cdf(x / alpha[c]) if relaxed else real(eq.fire(x))
                        v[m - first, c] = u_t
                        if soft:
                            v[m - first, c] = eq.reset_soft(u_t, s_t, theta[c])
                        if hard:
                            v[m - first, c] = eq.reset_hard(u_t, s_t, v_reset)
                        s[t, m, c] = s_t
                        if store:
                            u[t, m, c] = u_t
            if carry:
                carried[first:last] = v[: last - first]

    return lif_forward_tiles


def reset_kind(v_reset, dtype):
    """What the argument v_reset stands for, "hard", "soft" or "none", and the value of a hard reset."""
    if v_reset is None or v_reset == "none":
        return v_reset or "soft", dtype.type(0)
    return "hard", dtype.type(v_reset)


def lif_forward(i, beta, theta, d, v_reset, decay_input, surrogate, alpha, u, s, carried=None):
    """See `reference.neuron.lif_forward`."""
    kind, reset = reset_kind(v_reset, i.dtype)
    range_kernel = _forward_kernel(surrogate, kind, decay_input, u is not None, carried is not None)
    rows = min(i.shape[1], rows_per_tile(i.shape[2]))
    out = i if u is None else u  # the kernel never touches the stand-ins of what is not there
    state = i[0] if carried is None else carried
    launch(range_kernel, count_tiles(i.shape[1], rows), i, beta, theta, d, reset, alpha, out, s, state, rows)


@cache
def _backward_kernel(surrogate, reset, detach_reset, decay_input, learn_beta, direct, carry):
    """The backward range kernel of one kind of neuron; direct: a loss acts on the potential itself."""
    density = eq.DENSITY[surrogate]
    soft, hard = reset == "soft", reset == "hard"
    source = eq.SOURCE_HASH

    @kernel
    def lif_backward_tiles(
        ds, u, s, beta, theta, d, v_reset, alpha, p_offset, p_slope, di, dbeta, dtheta, dalpha, start, rows, lo, hi
    ):
        source  # noqa: B018  see the forward kernel
        steps, total, channels = u.shape
        real = type(v_reset)
        e = np.empty((rows, channels), u.dtype)
        for tile in range(lo, hi):
            first = tile * rows
            last = min(total, first + rows)
            e[:] = real(0)
            dtheta[tile] = real(0)
            dalpha[tile] = real(0)
            if learn_beta:
                dbeta[tile] = real(0)
            for t in range(steps - 1, -1, -1):
                for m in range(first, last):
                    for c in range(channels):
                        u_t, s_t, g, e_t = u[t, m, c], real(s[t, m, c]), ds[t, m, c], e[m - first, c]
                        z = (u_t - theta[c]) / alpha[c]
                        phi = density(z) / alpha[c]
                        p = p_offset[c] + p_slope[c] * u_t if direct else real(0)
                        q = g
                        if soft and not detach_reset:
                            q = eq.spike_gradient_soft(g, e_t, theta[c])
                        if hard and not detach_reset:
                            q = eq.spike_gradient_hard(g, e_t, u_t, v_reset)
                        delta = eq.potential_gradient(q, e_t, s_t if hard else real(0), phi, p)
                        dtheta[tile, c] -= q * phi + (e_t * s_t if soft else real(0))
                        dalpha[tile, c] += eq.width_gradient(q, phi, z)
                        gain = real(1) - beta[c] if decay_input else real(1)
                        if learn_beta:
                            v = start[m, c] if carry else real(0)
                            if t > 0:
                                v = u[t - 1, m, c]
                                if soft:
                                    v = eq.reset_soft(v, real(s[t - 1, m, c]), theta[c])
                                if hard:
                                    v = eq.reset_hard(v, real(s[t - 1, m, c]), v_reset)
                            current = (u_t - beta[c] * v + d[t, c]) / gain if decay_input else real(0)
                            dbeta[tile, c] += delta * (v - current)
                        di[t, m, c] = gain * delta
                        e[m - first, c] = beta[c] * delta

    return lif_backward_tiles


def lif_backward(
    ds, u, s, beta, theta, d, v_reset, detach_reset, decay_input, surrogate, alpha, p_offset, p_slope,
    di, dbeta, dtheta, dalpha, start=None,
):  # fmt: skip
    """See `reference.neuron.lif_backward`."""
    learn_beta, direct = dbeta is not None, p_offset is not None
    kind, reset = reset_kind(v_reset, u.dtype)
    flags = detach_reset, decay_input, learn_beta, direct, start is not None
    range_kernel = _backward_kernel(surrogate, kind, *flags)
    rows = min(u.shape[1], rows_per_tile(u.shape[2]))
    tiles = count_tiles(u.shape[1], rows)
    partial = np.empty((3, tiles, u.shape[2]), u.dtype)
    launch(
        range_kernel, tiles, ds, u, s, beta, theta, d, reset, alpha,
        p_offset if direct else beta, p_slope if direct else beta, di, *partial,
        u[0] if start is None else start, rows,
    )  # fmt: skip
    for total, parts in zip((dbeta, dtheta, dalpha), partial, strict=True):
        if total is not None:
            sum_tiles(parts, total)


@cache
def _reset_kernel(reset):
    soft, hard = reset == "soft", reset == "hard"
    source = eq.SOURCE_HASH

    @kernel
    def lif_reset_tiles(u, s, theta, v_reset, v, rows, lo, hi):
        source  # noqa: B018  see the forward kernel
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
