"""Neurons that follow a rule over all time steps, forward and backward (docs/method.md, groups N, S and P).

Arrays are ``[T, M, C]``: T steps, M rows (samples and positions, which share parameters), and C channels. The rule of
the neuron says how the potential is charged, forward and backward. For the leaky neuron, `rules` has N1 and N8 to N10.
"""

import numpy as np

from .rules import functions
from .surrogate import CDF, DENSITY


def neuron_forward(
    rule, i, values, firing, reset, d, relaxed, u, s, states=None, carried=None, norm=None, moments=None, visible=None
):
    """N16, N2, N3, N4, N13, N18, R4: charge, fire and reset for t = 1..T.

    Args:
        rule: a `kernels.rules.Rule` with P values and S states.
        i: input current, ``[T, M, C]``; with `norm`, the input that is normalised to give the current. On the host, its
            steps may share one memory (`numpy.broadcast_to`).
        values: parameter values of the rule, ``[P, C]``.
        firing: a `kernels.types.Firing`.
        reset: a `kernels.types.Reset`.
        d: PDA correction, ``[T, C]``, which is subtracted from the potential.
        relaxed: whether the neuron fires Phi((u - theta) / alpha) instead of H(u - theta).
        u: output, potentials after charging, ``[T, M, C]``; None if they are not needed.
        s: output, spikes, ``[T, M, C]``, uint8, or of the dtype of i in relaxed mode.
        states: output, the rule's states after every step, ``[S, T, M, C]``; None if they are not needed.
        carried: ``[1 + S, M, C]``, the potential and the rule's states before the first step, replaced by those after
            the last step. With None, the neuron starts from rest, where all are 0.
        norm: a `kernels.types.Norm`, the normalisation of the input; None for no normalisation.
        moments: output, a `kernels.types.Moments` of u over the rows, ``[T, C]``; None if they are not needed.
        visible: output, uint8, ``[T, M, C]``, 1 where |u - theta| <= reach alpha or u is NaN, else 0. A surrogate of
            this reach passes a gradient to these potentials only. None if it is not needed.

    Returns:
        the share of ones in visible, or None without visible.
    """
    step, _ = functions(rule, i.dtype.type)
    theta, alpha = firing.theta, firing.alpha
    i = normalised(i, norm)
    v, *now = np.zeros((1 + len(rule.states), *i[0].shape), i.dtype) if carried is None else carried.copy()
    now = tuple(now)
    for t in range(len(i)):
        charged, now = step(i[t], v, now, tuple(values))  # N16
        u_t = charged - d[t]  # N1
        x = u_t - theta
        s_t = CDF[firing.family](x / alpha) if relaxed else (x >= 0).astype(i.dtype)  # R1, N2
        taken = s_t if reset.spikes is None else reset.spikes[t]  # R4
        v = u_t - taken * fall(u_t, theta, reset.value, values)  # N3, N4, N13, N18
        s[t] = s_t
        if u is not None:
            u[t] = u_t
        if states is not None:
            for all_steps, one in zip(states, now, strict=True):
                all_steps[t] = one
        if moments is not None:
            moments.mean[t], moments.var[t] = u_t.mean(0, dtype=np.float64), u_t.var(0, dtype=np.float64)  # D1
        if visible is not None:
            visible[t] = ~(np.abs(x / alpha) > firing.reach)  # D7
    if carried is not None:
        carried[...] = v, *now
    return None if visible is None else float(visible.mean())


def normalised(x, norm):
    """B4: the input current, which is (x - centre) factor + offset, or x itself if norm is None."""
    if norm is None:
        return x
    centre, factor, offset = norm
    return (x - centre) * factor + offset


def fall(u, theta, v_reset, values):
    """N3, N4, N13, N18: the amount by which a spike lowers the potential u.

    It is u - v_reset for a hard reset, theta for a soft reset (v_reset is None), theta / beta for a delayed reset
    ("delayed"; values begins with beta), and 0 if v_reset is "none".
    """
    if v_reset == "none":
        return u.dtype.type(0)  # N13
    if v_reset == "delayed":
        return theta / values[0]  # N18
    return theta if v_reset is None else u - u.dtype.type(v_reset)  # N3, N4


def pull(direct, u, t):
    """D5, D6, V4: the gradient p of a loss that acts on the potentials u ``[M, C]`` of step t; 0 without such a loss.

    direct is a `kernels.types.Direct` or None.
    """
    if direct is None:
        return 0
    p = direct.offset + direct.slope * (u - direct.centre)  # D5, D6
    return p if direct.ends is None else np.where(t < direct.ends[:, None], p, 0)  # V4


def neuron_backward(
    rule, ds, i, s, values, firing, reset, d, direct, di, wanted, start=None, norm=None, dnorm=None, dstart=None
):
    """N5, N6, N7, N11, N12, N17, N19, N20, P1: back-propagation through time of `neuron_forward`, from t = T down to 1.

    Args:
        rule, values, firing, reset, d: as in the forward pass.
        ds: dL/ds, ``[T, M, C]``.
        i, s: input and spikes of the forward pass. The potentials are computed again from them.
        direct: a `kernels.types.Direct`, the gradient of a loss that acts on the potential itself; or None.
        di: output, the gradient of the current, ``[T, M, C]``. It may be ds itself.
        wanted: output, a `kernels.types.Wanted`.
        start: the carried potential and states that the forward pass started from, ``[1 + S, M, C]``. They are
            constants. None for rest.
        norm: as in the forward pass. di is the gradient of the normalised input.
        dnorm: output, ``[2, C]``, only with `norm`: the sums of di and of di (i - centre) over rows and steps, which
            the backward pass of the normalisation needs.
        dstart: output, dL/dv before the first step, ``[M, C]``; None if it is not needed.
    """
    _, step_back = functions(rule, i.dtype.type)
    values, theta, alpha = tuple(values), firing.theta, firing.alpha
    x, i = i, normalised(i, norm)
    soft, delayed = reset.value in (None, "delayed"), reset.value == "delayed"
    hard = not soft and reset.value != "none"
    u, before = potentials(rule, i, s, values, theta, d, reset.value, start)
    e, *slopes = np.zeros((1 + len(rule.states), *i[0].shape), i.dtype)  # dL/dv and dL/dstates
    slopes = tuple(slopes)
    for total in (*wanted.values, wanted.theta, wanted.alpha, dnorm):
        if total is not None:
            total[...] = 0
    for t in reversed(range(len(u))):
        z = (u[t] - theta) / alpha
        density = DENSITY[firing.family](z) / alpha  # S1
        s_t = s[t].astype(u.dtype)

        q = ds[t]  # N12
        if not reset.detached:
            q = q - e * fall(u[t], theta, reset.value, values)  # N5, N6, N19
        p = pull(direct, u[t], t)  # D5, D6
        delta = q * density + (e * (1 - s_t) if hard else e) + p  # N7

        if wanted.theta is not None:
            wanted.theta[...] -= (q * density).sum(0)  # N11
            if soft:
                wanted.theta[...] -= ((e / values[0] if delayed else e) * s_t).sum(0)  # N11
        if wanted.alpha is not None:
            wanted.alpha[...] -= (q * density * z).sum(0)  # P1
        if delayed and wanted.values[0] is not None:
            wanted.values[0][...] += (e * s_t * theta / values[0] ** 2).sum(0)  # N20

        v, *states = before[t]
        di[t], e, slopes, changes = step_back(delta, slopes, i[t], v, tuple(states), values)  # N17
        for total, change in zip(wanted.values, changes, strict=True):
            if total is not None:
                total += change.sum(0)  # N17
        if norm is not None:
            dnorm += di[t].sum(0), (di[t] * (x[t] - norm.centre)).sum(0)  # B8
    if dstart is not None:
        dstart[...] = e  # N8


def potentials(rule, i, s, values, theta, d, v_reset, start):
    """N16, N3, N4, N13, N18: compute the potentials of a forward pass again, from its input and spikes.

    Returns:
        the potentials u, ``[T, M, C]``, and the potential and states before each step, ``[T, 1 + S, M, C]``.
    """
    step, _ = functions(rule, i.dtype.type)
    u, before = np.empty_like(i), np.empty((len(i), 1 + len(rule.states), *i[0].shape), i.dtype)
    now = np.zeros_like(before[0]) if start is None else start
    for t in range(len(i)):
        before[t] = now
        charged, states = step(i[t], now[0], tuple(now[1:]), values)  # N16
        u[t] = charged - d[t]  # N1
        lost = fall(u[t], theta, v_reset, values)
        now = np.stack([u[t] - s[t].astype(i.dtype) * lost, *states])  # N3, N4, N13, N18
    return u, before


def neuron_reset(u, s, theta, reset, v):
    """N3, N4, N13: compute v, the potential after the reset, from the potentials u and spikes s of a forward pass.

    u, s and v, the output, are ``[..., M, C]``. The reset is not a delayed one.
    """
    v[...] = u - s.astype(u.dtype) * fall(u, theta, reset.value, None)
