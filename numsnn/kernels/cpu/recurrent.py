"""Neurons with memory beyond the potential, compiled; `reference.recurrent` is the text it equals.

A tile is a block of rows (samples, or samples and positions); a row goes through all its steps with its state in cache.
Lateral weights are driven by the spikes of the step before: a neuron that was silent costs nothing going forward, and
going back no dot product is made for a neuron whose surrogate is zero. The weights' gradient is one matrix product at
the end.
"""

from functools import cache

import numpy as np

from .. import equations as eq
from .compile import kernel
from .launch import count_tiles, launch, rows_per_tile
from .linear import linear_backward_weight
from .neuron import reset_kind
from .reduce import sum_tiles

ROW_TILES = 16
"""Tiles a batch of lateral rows is cut into: a row of them is work enough for a thread."""


def _rows(total, channels, lateral):
    limit = max(1, total // ROW_TILES) if lateral else rows_per_tile(channels)
    return min(total, limit)


@cache
def _forward_kernel(surrogate, reset, decay_input, lateral, synapse, adaptive, refractory, carry):
    """The forward range kernel of one kind of neuron; surrogate is None for spikes, reset is "hard", "soft", "none"."""
    relaxed = surrogate is not None
    cdf = eq.CDF[surrogate or "rectangle"]
    soft, hard = reset == "soft", reset == "hard"
    source = eq.SOURCE_HASH

    @kernel
    def recurrent_forward_tiles(
        i, w, beta, gamma, rho, kappa, theta, d, v_reset, steps_held, alpha, u, s, j, a, held, carried, rows,
        lo, hi,
    ):  # fmt: skip
        source  # noqa: B018  a changed equation changes this closure and with it the key of the disk cache
        steps, total, channels = i.shape
        real = type(v_reset)
        v, current, adapted, fired, rest, arriving = np.empty((6, channels), i.dtype)
        for m in range(lo * rows, min(total, hi * rows)):
            v[:] = current[:] = adapted[:] = fired[:] = rest[:] = real(0)
            if carry:
                v[:], current[:], adapted[:] = carried[0, m], carried[1, m], carried[2, m]
                fired[:], rest[:] = carried[3, m], carried[4, m]
            for t in range(steps):
                for c in range(channels):
                    arriving[c] = i[t, m, c]
                if lateral:
                    for k in range(channels):
                        if fired[k] != real(0):
                            for c in range(channels):
                                arriving[c] += fired[k] * w[k, c]
                for c in range(channels):
                    current[c] = eq.synapse(current[c], arriving[c], gamma[c]) if synapse else arriving[c]
                    gain = real(1) - beta[c] if decay_input else real(1)
                    threshold = eq.adapted_threshold(theta[c], kappa[c], adapted[c]) if adaptive else theta[c]
                    resting = refractory and rest[c] > real(0)
                    u_t = v[c] if resting else eq.charge(v[c], current[c], d[t, c], beta[c], gain)
                    x = u_t - threshold
                    s_t = cdf(x / alpha[c]) if relaxed else real(eq.fire(x))
                    if refractory:
                        if resting:
                            s_t = real(0)
                            rest[c] -= real(1)
                        else:
                            rest[c] = steps_held if eq.fire(x) else real(0)
                        held[t, m, c] = resting
                    v[c] = u_t
                    if soft:
                        v[c] = eq.reset_soft(u_t, s_t, threshold)
                    if hard:
                        v[c] = eq.reset_hard(u_t, s_t, v_reset)
                    if adaptive:
                        adapted[c] = eq.adaptation(adapted[c], s_t, rho[c])
                        a[t, m, c] = adapted[c]
                    if synapse:
                        j[t, m, c] = current[c]
                    u[t, m, c] = u_t
                    s[t, m, c] = s_t
                    fired[c] = s_t
            if carry:
                carried[0, m], carried[1, m], carried[2, m] = v, current, adapted
                carried[3, m], carried[4, m] = fired, rest

    return recurrent_forward_tiles


def recurrent_forward(
    i, w, beta, gamma, rho, kappa, theta, d, v_reset, decay_input, refractory, surrogate, alpha, u, s, j, a, held,
    carried=None,
):  # fmt: skip
    """See `reference.recurrent.recurrent_forward`."""
    parts = w is not None, gamma is not None, kappa is not None, refractory > 0, carried is not None
    kind, reset = reset_kind(v_reset, i.dtype)
    range_kernel = _forward_kernel(surrogate, kind, decay_input, *parts)
    rows = _rows(i.shape[1], i.shape[2], w is not None)
    steps_held = i.dtype.type(refractory)
    w, gamma, rho, kappa, j, a, held = _stand_ins(i, w, gamma, rho, kappa, j, a, held)
    launch(
        range_kernel, count_tiles(i.shape[1], rows), i, w, beta, gamma, rho, kappa, theta, d, reset, steps_held, alpha,
        u, s, j, a, held, i if carried is None else carried, rows,
    )  # fmt: skip


def _stand_ins(like, w, gamma, rho, kappa, j, a, held):
    """Arrays of the right type for parts the neuron does not have; its kernel never touches them."""
    vector = like[0, 0]
    real = (like if x is None else x for x in (j, a))
    held = np.empty((1, 1, 1), np.uint8) if held is None else held
    return (like[0] if w is None else w, *(vector if x is None else x for x in (gamma, rho, kappa)), *real, held)


@cache
def _backward_kernel(
    surrogate, reset, detach_reset, decay_input, lateral, synapse, adaptive, refractory, direct, carry
):
    """The backward range kernel of one kind of neuron; direct: a loss acts on the potential itself."""
    density = eq.DENSITY[surrogate]
    soft, hard = reset == "soft", reset == "hard"
    source = eq.SOURCE_HASH

    @kernel
    def recurrent_backward_tiles(
        ds, u, s, j, a, held, w, beta, gamma, rho, kappa, theta, d, v_reset, alpha, p_offset, p_slope,
        di, dbeta, dgamma, drho, dkappa, dtheta, dalpha, start, rows, lo, hi,
    ):  # fmt: skip
        source  # noqa: B018  see the forward kernel
        steps, total, channels = u.shape
        real = type(v_reset)
        zero = real(0)
        e, f, h, through = np.empty((4, channels), u.dtype)
        for tile in range(lo, hi):
            for c in range(channels):
                dbeta[tile, c] = dgamma[tile, c] = drho[tile, c] = dkappa[tile, c] = zero
                dtheta[tile, c] = dalpha[tile, c] = zero
            for m in range(tile * rows, min(total, (tile + 1) * rows)):
                e[:] = f[:] = h[:] = through[:] = zero
                for t in range(steps - 1, -1, -1):
                    for c in range(channels):
                        u_t, s_t = u[t, m, c], real(s[t, m, c])
                        v = start[0, m, c] if carry else zero
                        j_before = start[1, m, c] if carry else zero
                        a_before = start[2, m, c] if carry else zero
                        if adaptive and t > 0:
                            a_before = a[t - 1, m, c]
                        threshold = eq.adapted_threshold(theta[c], kappa[c], a_before) if adaptive else theta[c]
                        z = (u_t - threshold) / alpha[c]
                        resting = refractory and held[t, m, c] > 0
                        phi = zero if resting else density(z) / alpha[c]
                        q = ds[t, m, c]
                        if lateral and t + 1 < steps and phi != zero:
                            for k in range(channels):
                                q += di[t + 1, m, k] * w[c, k]
                        if adaptive:
                            q += (real(1) - rho[c]) * f[c]
                        share = zero
                        delta = zero
                        if not resting:
                            p = p_offset[c] + p_slope[c] * u_t if direct else zero
                            if soft and not detach_reset:
                                q = eq.spike_gradient_soft(q, e[c], threshold)
                            if hard and not detach_reset:
                                q = eq.spike_gradient_hard(q, e[c], u_t, v_reset)
                            delta = eq.potential_gradient(q, e[c], s_t if hard else zero, phi, p)
                            share = -q * phi - (e[c] * s_t if soft else zero)
                        dtheta[tile, c] += share
                        dalpha[tile, c] += eq.width_gradient(q, phi, z)
                        if adaptive:
                            dkappa[tile, c] += share * a_before
                            drho[tile, c] += f[c] * (a_before - s_t)
                            f[c] = rho[c] * f[c] + kappa[c] * share
                        gain = real(1) - beta[c] if decay_input else real(1)
                        through[c] = gain * delta + h[c]
                        if synapse:
                            if t > 0:
                                j_before = j[t - 1, m, c]
                            dgamma[tile, c] += through[c] * j_before
                            h[c] = gamma[c] * through[c]
                        if t > 0:
                            v, before = u[t - 1, m, c], real(s[t - 1, m, c])
                            if soft:
                                fall = theta[c]
                                if adaptive:
                                    a_earlier = start[2, m, c] if carry else zero
                                    if t > 1:
                                        a_earlier = a[t - 2, m, c]
                                    fall = eq.adapted_threshold(theta[c], kappa[c], a_earlier)
                                v = eq.reset_soft(v, before, fall)
                            if hard:
                                v = eq.reset_hard(v, before, v_reset)
                        current = (u_t - beta[c] * v + d[t, c]) / gain if decay_input else zero
                        dbeta[tile, c] += delta * (v - current)
                        if not resting:
                            e[c] = beta[c] * delta
                    for c in range(channels):
                        di[t, m, c] = through[c]

    return recurrent_backward_tiles


def recurrent_backward(
    ds, u, s, j, a, held, w, beta, gamma, rho, kappa, theta, d, v_reset, detach_reset, decay_input, surrogate, alpha,
    p_offset, p_slope, di, dw, dbeta, dgamma, drho, dkappa, dtheta, dalpha, start=None,
):  # fmt: skip
    """See `reference.recurrent.recurrent_backward`."""
    lateral, direct = w is not None, p_offset is not None
    parts = lateral, gamma is not None, kappa is not None, held is not None, direct, start is not None
    kind, reset = reset_kind(v_reset, u.dtype)
    range_kernel = _backward_kernel(surrogate, kind, detach_reset, decay_input, *parts)
    _, total, channels = u.shape
    rows = _rows(total, channels, lateral)
    tiles = count_tiles(total, rows)
    partial = np.empty((6, tiles, channels), u.dtype)
    weights, gamma, rho, kappa, j, a, held = _stand_ins(u, w, gamma, rho, kappa, j, a, held)
    p_offset, p_slope = (p_offset, p_slope) if direct else (beta, beta)
    launch(
        range_kernel, tiles, ds, u, s, j, a, held, weights, beta, gamma, rho, kappa, theta, d, reset, alpha,
        p_offset, p_slope, di, *partial, u if start is None else start, rows,
    )  # fmt: skip
    for whole, share in zip((dbeta, dgamma, drho, dkappa, dtheta, dalpha), partial, strict=True):
        if whole is not None:
            sum_tiles(share, whole)
    if lateral:
        linear_backward_weight(s[:-1].reshape(-1, channels), di[1:].reshape(-1, channels), dw)
        if start is not None:
            first = np.empty_like(dw)
            linear_backward_weight(start[3], di[0], first)
            dw += first
