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
def _forward_kernel(surrogate, soft, decay_input, store):
    """The forward range kernel of one kind of neuron; surrogate is None for spikes."""
    relaxed = surrogate is not None
    cdf = eq.CDF[surrogate or "rectangle"]
    source = eq.SOURCE_HASH

    @kernel
    def lif_forward_tiles(i, beta, theta, d, v_reset, alpha, u, s, rows, lo, hi):
        source  # noqa: B018  a changed equation changes this closure and with it the key of the disk cache
        steps, total, channels = i.shape
        real = type(v_reset)
        v = np.empty((rows, channels), i.dtype)
        for tile in range(lo, hi):
            first = tile * rows
            last = min(total, first + rows)
            v[:] = real(0)
            for t in range(steps):
                for m in range(first, last):
                    for c in range(channels):
                        gain = real(1) - beta[c] if decay_input else real(1)
                        u_t = eq.charge(v[m - first, c], i[t, m, c], d[t, c], beta[c], gain)
                        x = u_t - theta[c]
                        s_t = cdf(x / alpha[c]) if relaxed else real(eq.fire(x))
                        if soft:
                            v[m - first, c] = eq.reset_soft(u_t, s_t, theta[c])
                        else:
                            v[m - first, c] = eq.reset_hard(u_t, s_t, v_reset)
                        s[t, m, c] = s_t
                        if store:
                            u[t, m, c] = u_t

    return lif_forward_tiles


def lif_forward(i, beta, theta, d, v_reset, decay_input, surrogate, alpha, u, s):
    """See `reference.neuron.lif_forward`."""
    range_kernel = _forward_kernel(surrogate, v_reset is None, decay_input, u is not None)
    rows = min(i.shape[1], rows_per_tile(i.shape[2]))
    reset = i.dtype.type(0 if v_reset is None else v_reset)
    out = i if u is None else u  # without u the kernel never touches this argument
    launch(range_kernel, count_tiles(i.shape[1], rows), i, beta, theta, d, reset, alpha, out, s, rows)


@cache
def _backward_kernel(surrogate, soft, detach_reset, decay_input, learn_beta, direct):
    """The backward range kernel of one kind of neuron; direct: a loss acts on the potential itself."""
    density = eq.DENSITY[surrogate]
    source = eq.SOURCE_HASH

    @kernel
    def lif_backward_tiles(
        ds, u, s, beta, theta, d, v_reset, alpha, p_offset, p_slope, di, dbeta, dtheta, dalpha, rows, lo, hi
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
                        if soft:
                            q = g if detach_reset else eq.spike_gradient_soft(g, e_t, theta[c])
                            delta = eq.potential_gradient_soft(q, e_t, phi, p)
                            dtheta[tile, c] -= q * phi + e_t * s_t
                        else:
                            q = g if detach_reset else eq.spike_gradient_hard(g, e_t, u_t, v_reset)
                            delta = eq.potential_gradient_hard(q, e_t, s_t, phi, p)
                            dtheta[tile, c] -= q * phi
                        dalpha[tile, c] += eq.width_gradient(q, phi, z)
                        gain = real(1) - beta[c] if decay_input else real(1)
                        if learn_beta:
                            v = real(0)
                            if t > 0:
                                before = real(s[t - 1, m, c])
                                if soft:
                                    v = eq.reset_soft(u[t - 1, m, c], before, theta[c])
                                else:
                                    v = eq.reset_hard(u[t - 1, m, c], before, v_reset)
                            current = (u_t - beta[c] * v + d[t, c]) / gain if decay_input else real(0)
                            dbeta[tile, c] += delta * (v - current)
                        di[t, m, c] = gain * delta
                        e[m - first, c] = beta[c] * delta

    return lif_backward_tiles


def lif_backward(
    ds, u, s, beta, theta, d, v_reset, detach_reset, decay_input, surrogate, alpha, p_offset, p_slope,
    di, dbeta, dtheta, dalpha,
):  # fmt: skip
    """See `reference.neuron.lif_backward`."""
    learn_beta, direct = dbeta is not None, p_offset is not None
    range_kernel = _backward_kernel(surrogate, v_reset is None, detach_reset, decay_input, learn_beta, direct)
    rows = min(u.shape[1], rows_per_tile(u.shape[2]))
    tiles = count_tiles(u.shape[1], rows)
    reset = u.dtype.type(0 if v_reset is None else v_reset)
    partial = np.empty((3, tiles, u.shape[2]), u.dtype)
    launch(
        range_kernel, tiles, ds, u, s, beta, theta, d, reset, alpha,
        p_offset if direct else beta, p_slope if direct else beta, di, *partial, rows,
    )  # fmt: skip
    for total, parts in zip((dbeta, dtheta, dalpha), partial, strict=True):
        if total is not None:
            sum_tiles(parts, total)


@cache
def _reset_kernel(soft):
    source = eq.SOURCE_HASH

    @kernel
    def lif_reset_tiles(u, s, theta, v_reset, v, rows, lo, hi):
        source  # noqa: B018  see the forward kernel
        total, channels = u.shape
        real = type(v_reset)
        for m in range(lo * rows, min(total, hi * rows)):
            for c in range(channels):
                if soft:
                    v[m, c] = eq.reset_soft(u[m, c], real(s[m, c]), theta[c])
                else:
                    v[m, c] = eq.reset_hard(u[m, c], real(s[m, c]), v_reset)

    return lif_reset_tiles


def lif_reset(u, s, theta, v_reset, v):
    """See `reference.neuron.lif_reset`."""
    channels = u.shape[-1]
    u, s, v = (x.reshape(-1, channels) for x in (u, s, v))
    rows = rows_per_tile(channels)
    reset = u.dtype.type(0 if v_reset is None else v_reset)
    launch(_reset_kernel(v_reset is None), count_tiles(len(u), rows), u, s, theta, reset, v, rows)
