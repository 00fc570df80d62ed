"""Neurons with memory beyond the potential, compiled. `reference.recurrent` documents them.

A tile is a block of rows (samples, or samples and positions). The kernel takes one row through all time steps, while
the state of the row stays in the cache. Lateral weights are only read for neurons that contribute: forward for neurons
that fired, backward for neurons with a gradient. Their rows of weights are added four at a time. The gradient of the
lateral weights is one matrix product after the kernel.

The backward kernel goes over the channels in several short loops. A single loop with `extended.extended_step_back` was
measured to take up to five times as long.
"""

from functools import cache

import numpy as np

from .. import equations as eq
from ..compile import kernel, register_jitable
from ..extended import extended_fire_back, extended_step
from ..steps import after_reset, reset_kind
from .inline.access import read, write
from .inline.runs import clear_run, copy_run
from .linear import linear_backward_weight
from .run.launch import count_tiles, launch, rows_per_tile
from .run.reduce import sum_tiles

_NO_ENDS = np.empty(1, np.int64)

ROW_TILES = 16
"""Number of tiles with lateral weights, where a single row is already enough work for a thread."""


def _rows(total, channels, lateral):
    """The number of rows per tile."""
    limit = max(1, total // ROW_TILES) if lateral else rows_per_tile(channels)
    return min(total, limit)


@register_jitable
def _add_rows(factors, w, active, y):
    """y += factors w, with the rows of w whose factor is not zero. active is a work array for the indices of these."""
    # Active rows are listed first, so that the sums below have no branch in their inner loop. Every row is put on the
    # list, and the next one takes its place if it is not active: the processor would often guess a branch wrong.
    count = 0
    for k in range(len(factors)):
        active[count] = k
        count += factors[k] != type(factors[k])(0)
    # Four rows per pass over y: y is read and written a quarter as often.
    for first in range(0, count - 3, 4):
        k0, k1, k2, k3 = active[first], active[first + 1], active[first + 2], active[first + 3]
        f0, f1, f2, f3 = factors[k0], factors[k1], factors[k2], factors[k3]
        w0, w1, w2, w3 = w[k0], w[k1], w[k2], w[k3]
        for c in range(len(y)):
            y[c] += (f0 * w0[c] + f1 * w1[c]) + (f2 * w2[c] + f3 * w3[c])
    for last in range(count - count % 4, count):
        factor, row = factors[active[last]], w[active[last]]
        for c in range(len(y)):
            y[c] += factor * row[c]


@cache
def _forward_kernel(cdf, reset, decay_input, lateral, synapse, adaptive, refractory, carry):
    """The forward range kernel of one kind of neuron.

    Args:
        cdf: distribution function of the surrogate in relaxed mode, or None for spikes.
        reset: "hard", "soft", "delayed" or "none".
        decay_input: whether the current is scaled by 1 - beta.
        lateral, synapse, adaptive, refractory: which extensions the neuron has.
        carry: whether the state of an earlier pass is carried on.
    """
    fires = eq.CDF["rectangle"] if cdf is None else cdf
    kind = reset in ("soft", "delayed"), reset == "delayed", reset == "hard"
    flags = cdf is not None, *kind, decay_input, synapse, adaptive, refractory

    @kernel
    def recurrent_forward_tiles(
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
        carried,
        rows,
        lo,
        hi,
    ):
        steps, total, channels = i.shape
        # The state of one row: potential, synaptic current, adaptation, spikes of the step before and remaining
        # refractory steps. arriving is the input of the step, lateral input included.
        state = np.empty((5, channels), i.dtype)
        v, current, adapted, fired, rest = state[0], state[1], state[2], state[3], state[4]
        arriving = np.empty(channels, i.dtype)
        active = np.empty(channels, np.uint32)
        for m in range(lo * rows, min(total, hi * rows)):
            clear_run(state, (0, 0), state.size)
            if carry:
                for k in range(len(state)):
                    copy_run(state, (k, 0), carried, (k, m, 0), channels)
            for t in range(steps):
                copy_run(arriving, 0, i, (t, m, 0), channels)
                if lateral:  # all channels need the spikes of the step before, hence a loop of its own
                    _add_rows(fired, w, active, arriving)
                for c in range(channels):
                    values = (
                        read(beta, "value", c),
                        read(gamma, "value", c),
                        read(rho, "value", c),
                        read(kappa, "value", c),
                        read(theta, "value", c),
                        read(alpha, "value", c),
                    )
                    before = (
                        read(v, "state 0", c),
                        read(current, "state 1", c),
                        read(adapted, "state 2", c),
                        read(rest, "state 3", c),
                    )
                    arrived, d_t = read(arriving, "current", c), read(d, "value", (t, c))
                    u_t, s_t, resting, after = extended_step(
                        fires, arrived, before, d_t, values, v_reset, steps_held, flags
                    )
                    write(v, "state 0", c, after[0])
                    write(current, "state 1", c, after[1])
                    if synapse:
                        write(j, "synapse", (t, m, c), after[1])
                    if adaptive:
                        write(adapted, "state 2", c, after[2])
                        write(a, "adaptation", (t, m, c), after[2])
                    if refractory:
                        write(rest, "state 3", c, after[3])
                        write(held, "rest", (t, m, c), resting)
                    write(u, "potential", (t, m, c), u_t)
                    write(s, "spike", (t, m, c), s_t)
                    write(fired, "output", c, s_t)
            if carry:
                for k in range(len(state)):
                    copy_run(carried, (k, m, 0), state, (k, 0), channels)

    return recurrent_forward_tiles


def recurrent_forward(i, beta, extensions, firing, reset, d, decay_input, relaxed, stored, carried=None):
    """See `reference.recurrent.recurrent_forward`."""
    w, gamma, rho, kappa, refractory = extensions
    u, s, j, a, held = stored
    theta, alpha, cdf = firing.theta, firing.alpha, eq.CDF[firing.family] if relaxed else None
    parts = w is not None, gamma is not None, kappa is not None, refractory > 0, carried is not None
    kind, v_reset = reset_kind(reset.value, i.dtype)
    range_kernel = _forward_kernel(cdf, kind, decay_input, *parts)
    rows = _rows(i.shape[1], i.shape[2], w is not None)
    steps_held = i.dtype.type(refractory)
    w, gamma, rho, kappa, j, a, held = _stand_ins(i, w, gamma, rho, kappa, j, a, held)
    launch(
        range_kernel,
        count_tiles(i.shape[1], rows),
        *(i, w, beta, gamma, rho, kappa, theta, d, v_reset, steps_held, alpha),
        *(u, s, j, a, held, i if carried is None else carried, rows),
    )


def _stand_ins(like, w, gamma, rho, kappa, j, a, held):
    """The same arrays, where each None is replaced by some array of the right type, which the kernel does not touch."""
    vector = like[0, 0]
    real = (like if x is None else x for x in (j, a))
    held = np.empty((1, 1, 1), np.uint8) if held is None else held
    return (like[0] if w is None else w, *(vector if x is None else x for x in (gamma, rho, kappa)), *real, held)


@register_jitable
def _leak_gradient(delta, u, u_before, s_before, a_earlier, first, beta, theta, kappa, d, v_reset, kind, dbeta):
    """N10: add one row's term of dL/dbeta at one step to dbeta.

    kind says whether the input is scaled, the reset is soft, this is a delayed one, the reset is hard, and the
    threshold is adaptive. At the first step, u_before is already a potential after the reset and is not reset again.
    """
    decay_input, soft, delayed, hard, adaptive = kind
    real = type(v_reset)
    for c in range(len(delta)):
        fired = real(0) if first else real(s_before[c])
        fall = eq.adapted_threshold(theta[c], kappa[c], a_earlier[c]) if adaptive else theta[c]
        fall = eq.before_leak(fall, beta[c]) if delayed else fall
        v = after_reset(u_before[c], fired, fall, v_reset, soft, hard)
        dbeta[c] += eq.leak_gradient(delta[c], u[c], v, beta[c], d[c], decay_input)


@cache
def _backward_kernel(
    density,
    reset,
    detach_reset,
    decay_input,
    lateral,
    synapse,
    adaptive,
    refractory,
    direct,
    ended,
    carry,
    leave,
    learned,
):
    """The backward range kernel of one kind of neuron.

    Args:
        density: density of the surrogate.
        reset, detach_reset: "hard", "soft", "delayed" or "none", and whether the spike in the reset is a constant.
        decay_input: whether the current is scaled by 1 - beta.
        lateral, synapse, adaptive, refractory: which extensions the neuron has.
        direct: whether a loss acts on the potential itself.
        ended: whether it acts only up to a row's last real step.
        carry: whether the forward pass started from a carried state.
        leave: whether the gradient of the potential before the first step is stored.
        learned: six booleans: whether the gradients of beta, gamma, rho, kappa, theta and alpha are needed.
    """
    soft, delayed, hard = reset in ("soft", "delayed"), reset == "delayed", reset == "hard"
    learn_beta, learn_gamma, learn_rho, learn_kappa, learn_theta, learn_alpha = learned
    kind, flags = (decay_input, soft, delayed, hard, adaptive), (soft, delayed, hard, not detach_reset, direct)

    @kernel
    def recurrent_backward_tiles(
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
        inverse_width,
        p_centre,
        p_offset,
        p_slope,
        ends,
        di,
        sums,
        start,
        dstart,
        rows,
        lo,
        hi,
    ):
        steps, total, channels = u.shape
        real = type(v_reset)
        zero = real(0)
        # Gradients of one row, all from the step after: e = dL/dv, f = dL/da, h = gamma dL/dj, through = dL/dj. Of
        # the present step: q = dL/ds, delta = dL/du, dtheta = dL/dtheta[t].
        later, now = np.empty((4, channels), u.dtype), np.empty((3, channels), u.dtype)
        before = np.zeros((3, channels), u.dtype)
        e, f, h, through = later[0], later[1], later[2], later[3]
        q, delta, dtheta = now[0], now[1], now[2]
        v_start, j_start, a_start = before[0], before[1], before[2]
        active = np.empty(channels, np.uint32)
        for tile in range(lo, hi):
            for k in range(len(sums)):
                clear_run(sums, (k, tile, 0), channels)
            for m in range(tile * rows, min(total, (tile + 1) * rows)):
                clear_run(later, (0, 0), later.size)
                if carry:
                    for k in range(len(before)):
                        copy_run(before, (k, 0), start, (k, m, 0), channels)
                for t in range(steps - 1, -1, -1):
                    u_t, s_t, active_t = u[t, m], s[t, m], held[t, m] if refractory else held[0, 0]
                    a_t = a[t - 1, m] if adaptive and t > 0 else a_start
                    # All paths to the spike: the next layer, the lateral weights and the adaptation.
                    copy_run(q, 0, ds, (t, m, 0), channels)
                    if lateral:  # through still holds dL/dj of the step after, which is zero after the last step
                        _add_rows(through, w, active, q)
                    if adaptive:
                        for c in range(channels):
                            q[c] = eq.spike_gradient_adaptation(q[c], f[c], rho[c])
                    acts = not ended or t < ends[m]
                    # Through the spike and the reset to the potential; a refractory neuron passes e on unchanged.
                    for c in range(channels):
                        threshold = eq.adapted_threshold(theta[c], kappa[c], a_t[c]) if adaptive else theta[c]
                        awake = not (refractory and active_t[c] > 0)
                        pull = (p_centre[c], p_offset[c], p_slope[c]) if acts else (zero, zero, zero)
                        fired = real(s_t[c])
                        if delayed and learn_beta:
                            late = eq.before_leak(e[c], beta[c]), fired, eq.before_leak(threshold, beta[c])
                            sums[0, tile, c] += eq.delay_gradient(*late)
                        where, gradients = (density, threshold, inverse_width[c]), (q[c], e[c])
                        delta[c], dtheta[c], e[c], dalpha = extended_fire_back(
                            where, gradients, u_t[c], fired, awake, beta[c], pull, v_reset, flags
                        )
                        if learn_alpha:
                            sums[5, tile, c] += dalpha
                        if learn_theta:
                            sums[4, tile, c] += dtheta[c]
                    # The adaptation, whose f changes to this step's value only after its old value was used.
                    if adaptive:
                        for c in range(channels):
                            if learn_kappa:
                                sums[3, tile, c] += dtheta[c] * a_t[c]
                            if learn_rho:
                                sums[2, tile, c] += eq.adaptation_decay_gradient(f[c], a_t[c], real(s_t[c]))
                            f[c] = eq.adaptation_gradient(f[c], dtheta[c], rho[c], kappa[c])
                    # The current: through the charge, and through the synapse of the step after.
                    for c in range(channels):
                        gain = eq.input_gain(beta[c], decay_input)
                        through[c] = eq.current_gradient(delta[c], h[c] if synapse else zero, gain)
                        di[t, m, c] = through[c]
                    if synapse:
                        j_t = j[t - 1, m] if t > 0 else j_start
                        for c in range(channels):
                            if learn_gamma:
                                sums[1, tile, c] += through[c] * j_t[c]
                            h[c] = gamma[c] * through[c]
                    if learn_beta:
                        _leak_gradient(
                            delta,
                            u_t,
                            u[t - 1, m] if t > 0 else v_start,
                            s[max(t - 1, 0), m],
                            a[t - 2, m] if adaptive and t > 1 else a_start,
                            t == 0,
                            beta,
                            theta,
                            kappa,
                            d[t],
                            v_reset,
                            kind,
                            sums[0, tile],
                        )
                if leave:
                    copy_run(dstart, (m, 0), e, 0, channels)

    return recurrent_backward_tiles


def recurrent_backward(
    ds, stored, beta, extensions, firing, reset, d, decay_input, direct, di, dlateral, wanted, start=None, dstart=None
):
    """See `reference.recurrent.recurrent_backward`."""
    w, gamma, rho, kappa, _ = extensions
    u, s, j, a, held = stored
    theta, alpha, density, detach_reset = firing.theta, firing.alpha, eq.DENSITY[firing.family], reset.detached
    *pull, ends = (*(beta,) * 3, None) if direct is None else direct
    lateral = w is not None
    parts = lateral, *(x is not None for x in (gamma, kappa, held, direct, ends, start, dstart))
    totals = *wanted.values, wanted.theta, wanted.alpha
    kind, v_reset = reset_kind(reset.value, u.dtype)
    learned = tuple(total is not None for total in totals)
    range_kernel = _backward_kernel(density, kind, detach_reset, decay_input, *parts, learned)
    _, total, channels = u.shape
    rows = _rows(total, channels, lateral)
    tiles = count_tiles(total, rows)
    sums = np.empty((6, tiles, channels), u.dtype)
    back = np.ascontiguousarray(w.T) if lateral else None
    back, gamma, rho, kappa, j, a, held = _stand_ins(u, back, gamma, rho, kappa, j, a, held)
    launch(
        range_kernel,
        tiles,
        *(ds, u, s, j, a, held, back, beta, gamma, rho, kappa, theta, d, v_reset, 1 / alpha, *pull),
        *(_NO_ENDS if ends is None else ends, di, sums, u if start is None else start),
        *(u[0] if dstart is None else dstart, rows),
    )
    for whole, parts in zip(totals, sums, strict=True):
        if whole is not None:
            sum_tiles(parts, whole)
    if lateral:
        if len(di) > 1:
            linear_backward_weight(s[:-1].reshape(-1, channels), di[1:].reshape(-1, channels), dlateral)
        else:
            dlateral[...] = 0
        if start is not None:
            first = np.empty_like(dlateral)
            linear_backward_weight(start[3], di[0], first)
            dlateral += first
