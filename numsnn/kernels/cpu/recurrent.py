"""Neurons with memory beyond the potential, compiled. `reference.recurrent` documents them.

A tile is a block of rows (samples, or samples and positions). The kernel takes its rows together through all time
steps, while their state stays in the cache. In each step, the rows use one read of the lateral weights where many of
their numbers are not zero, as in the backward pass, and otherwise read only the rows of weights of neurons that fired
(`inline.lateral`). The gradient of the lateral weights is one matrix product after the kernel.

The work arrays of a tile are flat, and no loop makes views of rows: each view would count references to its array,
which takes as long as the step of 50 neurons.
"""

from functools import cache, lru_cache

import numpy as np

from .. import equations as eq
from ..compile import kernel
from ..extended import extended_step, extended_step_back
from ..steps import after_reset, reset_kind
from .inline.access import add_all, read, write
from .inline.lateral import BLOCK_ROWS, add_lateral, sum_columns, work_arrays
from .inline.local import local
from .inline.runs import clear_run, copy_run
from .linear import linear_backward_weight
from .run.launch import count_tiles, launch, rows_per_tile, scratch
from .run.reduce import sum_tiles
from .ways.panels import pack_transposed

_NO_ENDS, _NOT_HELD = np.empty(1, np.int64), np.empty((1, 1, 1), np.uint8)

LATERAL_TILES, MOST_BLOCKS = 8, 4
"""With lateral weights: number of tiles that there should be at least, and most register blocks of rows per tile. A
tile is not made smaller than one block."""


@lru_cache(1024)
def _rows(total, channels, lateral):
    """The number of rows per tile."""
    if not lateral:
        return min(total, rows_per_tile(channels))
    return min(total, BLOCK_ROWS * min(MOST_BLOCKS, max(1, total // (BLOCK_ROWS * LATERAL_TILES))))


@cache
def _forward_kernel(cdf, reset, decay_input, lateral, synapse, adaptive, refractory):
    """The forward range kernel of one kind of neuron.

    Args:
        cdf: distribution function of the surrogate in relaxed mode, or None for spikes.
        reset: "hard", "soft", "delayed" or "none".
        decay_input: whether the current is scaled by 1 - beta.
        lateral, synapse, adaptive, refractory: which extensions the neuron has.
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
        each,
        carried,
        carry,
        rows,
        lo,
        hi,
    ):
        steps, total, channels = s.shape
        size = rows * channels
        # each is 1 if u, j, a and held have all steps, and 0 if they have one, which nobody reads afterwards.
        # The state of the tile's rows, one after the other: potential, synaptic current, adaptation, spikes of the step
        # before, remaining refractory steps; and the input of the step, lateral input included.
        state = local(6 * size, i.dtype)
        current, adapted, fired, rest, arriving = size, 2 * size, 3 * size, 4 * size, 5 * size
        last = current if synapse else arriving  # where the current of the step before is
        work = work_arrays(channels, i.dtype)
        for tile in range(lo, hi):
            m = tile * rows
            count = min(total, m + rows) - m
            clear_run(state, 0, 5 * size)
            if carry:
                for k in range(5):
                    copy_run(state, last if k == 1 else k * size, carried, (k, m, 0), count * channels)
            for t in range(steps):
                if lateral:  # all channels need the spikes of the step before, hence a loop of its own
                    places = fired, (t * total + m) * channels, arriving
                    add_lateral(state, w, i, state, places, channels, channels, count, work)
                else:
                    copy_run(state, arriving, i, (t * total + m) * channels, count * channels)
                for r in range(count):
                    for c in range(channels):
                        n = r * channels + c
                        values = (
                            read(beta, "value", c),
                            read(gamma, "value", c),
                            read(rho, "value", c),
                            read(kappa, "value", c),
                            read(theta, "value", c),
                            read(alpha, "value", c),
                        )
                        before = (
                            read(state, "state 0", n),
                            read(state, "state 1", current + n),
                            read(state, "state 2", adapted + n),
                            read(state, "state 3", rest + n),
                        )
                        arrived, d_t = read(state, "current", arriving + n), read(d, "value", (t, c))
                        u_t, s_t, resting, after = extended_step(
                            fires, arrived, before, d_t, values, v_reset, steps_held, flags
                        )
                        write(state, "state 0", n, after[0])
                        if synapse:
                            write(state, "state 1", current + n, after[1])
                            write(j, "synapse", (t * each, m + r, c), after[1])
                        if adaptive:
                            write(state, "state 2", adapted + n, after[2])
                            write(a, "adaptation", (t * each, m + r, c), after[2])
                        if refractory:
                            write(state, "state 3", rest + n, after[3])
                            write(held, "rest", (t * each, m + r, c), resting)
                        write(u, "potential", (t * each, m + r, c), u_t)
                        write(s, "spike", (t, m + r, c), s_t)
                        write(state, "output", fired + n, s_t)
            if carry:
                for k in range(5):
                    copy_run(carried, (k, m, 0), state, last if k == 1 else k * size, count * channels)

    return recurrent_forward_tiles


def recurrent_forward(i, beta, extensions, firing, reset, d, decay_input, relaxed, stored, carried=None):
    """See `reference.recurrent.recurrent_forward`."""
    w, gamma, rho, kappa, refractory = extensions
    u, s, j, a, held = stored
    each = 0 if u is None else 1
    if u is None:
        u, j, a, held = _unread((1, *i.shape[1:]), i.dtype, gamma, kappa, refractory)
    theta, alpha, cdf = firing.theta, firing.alpha, eq.CDF[firing.family] if relaxed else None
    parts = w is not None, gamma is not None, kappa is not None, refractory > 0
    kind, v_reset = reset_kind(reset.value, i.dtype)
    range_kernel = _forward_kernel(cdf, kind, decay_input, *parts)
    rows = _rows(i.shape[1], i.shape[2], w is not None)
    steps_held = i.dtype.type(refractory)
    w, gamma, rho, kappa, j, a, held = _stand_ins(i, w, gamma, rho, kappa, j, a, held)
    launch(
        range_kernel,
        count_tiles(i.shape[1], rows),
        *(i.reshape(-1), w.reshape(-1), beta, gamma, rho, kappa, theta, d, v_reset, steps_held, alpha),
        *(u, s, j, a, held, each, i if carried is None else carried, carried is not None, rows),
    )


def _unread(shape, dtype, gamma, kappa, refractory):
    """Arrays of one step for potentials, synaptic currents, adaptation and rest that nobody reads; None for those that
    the neuron does not have."""
    u = scratch.get("unread potentials", shape, dtype)
    j = None if gamma is None else scratch.get("unread currents", shape, dtype)
    a = None if kappa is None else scratch.get("unread adaptation", shape, dtype)
    return u, j, a, scratch.get("unread rest", shape, np.uint8) if refractory else None


def _stand_ins(like, w, gamma, rho, kappa, j, a, held):
    """The same arrays, where each None is replaced by some array of the right type, which the kernel does not touch."""
    vector = like[0, 0]
    return (
        like if w is None else w,
        vector if gamma is None else gamma,
        vector if rho is None else rho,
        vector if kappa is None else kappa,
        like if j is None else j,
        like if a is None else a,
        _NOT_HELD if held is None else held,
    )


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
        learned: six booleans: whether the gradients of beta, gamma, rho, kappa, theta and alpha are needed.
    """
    soft, delayed, hard = reset in ("soft", "delayed"), reset == "delayed", reset == "hard"
    learn_beta = learned[0]
    wanted = "".join(str(int(one)) for one in learned)
    flags = soft, delayed, hard, not detach_reset, decay_input, synapse, adaptive, direct

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
        carry,
        leave,
        width,
        rows,
        lo,
        hi,
    ):
        steps, total, channels = u.shape
        real = type(v_reset)
        zero = real(0)
        size = rows * channels
        # Gradients of the tile's rows, one after the other, from the step after: e = dL/dv, f = dL/da, h = gamma dL/dj,
        # through = dL/dj; and q = dL/ds of the present step. initial is the state before the first step: v, j and a.
        later, initial = local(5 * size, u.dtype), local(3 * size, u.dtype)
        clear_run(initial, 0, 3 * size)
        f, h, through, q = size, 2 * size, 3 * size, 4 * size
        work = work_arrays(channels, u.dtype)
        for tile in range(lo, hi):
            for k in range(len(sums)):
                clear_run(sums, (k, tile, 0), channels)
            first = tile * rows
            count = min(total, first + rows) - first
            clear_run(later, 0, 4 * size)
            if carry:
                for k in range(3):
                    copy_run(initial, k * size, start, (k, first, 0), count * channels)
            for t in range(steps - 1, -1, -1):
                # All paths to the spike except for the adaptation: the next layer and the lateral weights. through
                # still holds dL/dj of the step after, which is zero after the last step.
                if lateral:
                    places = through, (t * total + first) * channels, q
                    add_lateral(later, w, ds, later, places, width, channels, count, work)
                else:
                    copy_run(later, q, ds, (t * total + first) * channels, count * channels)
                before_t, earlier_t = max(t - 1, 0), max(t - 2, 0)
                for r in range(count):
                    m = first + r
                    acts = direct and (not ended or t < ends[m])
                    for c in range(channels):
                        n = r * channels + c
                        beta_c, theta_c, kappa_c = (
                            read(beta, "value", c),
                            read(theta, "value", c),
                            read(kappa, "value", c),
                        )
                        # The state before the step: potential after the reset, synaptic current and adaptation. Both
                        # possible sources are read, because a branch here would keep the loop from being vectorised.
                        v_c, j_c, a_c = zero, zero, zero
                        if adaptive:
                            a_c, a_start = (
                                read(a, "adaptation", (before_t, m, c)),
                                read(initial, "history 2", 2 * size + n),
                            )
                            a_c = a_c if t > 0 else a_start
                        if synapse:
                            j_c, j_start = read(j, "synapse", (before_t, m, c)), read(initial, "history 1", size + n)
                            j_c = j_c if t > 0 else j_start
                        if learn_beta:
                            fall = theta_c
                            if adaptive:
                                a_earlier = read(a, "adaptation", (earlier_t, m, c))
                                fall = eq.adapted_threshold(theta_c, kappa_c, a_earlier if t > 1 else a_start)
                            fall = eq.before_leak(fall, beta_c) if delayed else fall
                            u_c, s_c = read(u, "potential", (before_t, m, c)), real(read(s, "spike", (before_t, m, c)))
                            v_c, v_start = (
                                after_reset(u_c, s_c, fall, v_reset, soft, hard),
                                read(initial, "history 0", n),
                            )
                            v_c = v_c if t > 0 else v_start
                        values = (
                            beta_c,
                            read(gamma, "value", c),
                            read(rho, "value", c),
                            kappa_c,
                            theta_c,
                            read(inverse_width, "value", c),
                            read(d, "value", (t, c)),
                            read(p_centre, "value", c) if acts else zero,
                            read(p_offset, "value", c) if acts else zero,
                            read(p_slope, "value", c) if acts else zero,
                        )
                        awake = not (refractory and read(held, "rest", (t, m, c)) > 0)
                        now = read(u, "potential", (t, m, c)), real(read(s, "spike", (t, m, c))), awake
                        slopes = read(later, "state 0", n), read(later, "state 1", f + n), read(later, "state 2", h + n)
                        di_t, slopes, changes = extended_step_back(
                            density,
                            read(later, "gradient", q + n),
                            slopes,
                            now,
                            (v_c, j_c, a_c),
                            values,
                            v_reset,
                            flags,
                        )
                        write(di, "input gradient", (t, m, c), di_t)
                        if lateral:
                            write(later, "output", through + n, di_t)
                        write(later, "state 0", n, slopes[0])
                        if adaptive:
                            write(later, "state 1", f + n, slopes[1])
                        if synapse:
                            write(later, "state 2", h + n, slopes[2])
                        add_all(sums, "dvalue", (tile, c), changes, wanted)
            if leave:
                copy_run(dstart, (first, 0), later, 0, count * channels)

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
    parts = lateral, *(x is not None for x in (gamma, kappa, held, direct, ends))
    totals = *wanted.values, wanted.theta, wanted.alpha
    kind, v_reset = reset_kind(reset.value, u.dtype)
    learned = tuple(total is not None for total in totals)
    range_kernel = _backward_kernel(density, kind, detach_reset, decay_input, *parts, learned)
    _, total, channels = u.shape
    rows = _rows(total, channels, lateral)
    tiles = count_tiles(total, rows)
    sums = np.empty((6, tiles, channels), u.dtype)
    back = pack_transposed(w[None, None], (0,), 0, w.shape[1], sum_columns(w.dtype)) if lateral else None
    back, gamma, rho, kappa, j, a, held = _stand_ins(u, back, gamma, rho, kappa, j, a, held)
    arrays = ds.reshape(-1), u, s, j, a, held, back.reshape(-1)
    values = beta, gamma, rho, kappa, theta, d, v_reset, 1 / alpha, *pull, _NO_ENDS if ends is None else ends
    states = u if start is None else start, u[0] if dstart is None else dstart
    carry, leave = start is not None, dstart is not None
    launch(range_kernel, tiles, *arrays, *values, di, sums, *states, carry, leave, sum_columns(u.dtype), rows)
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
