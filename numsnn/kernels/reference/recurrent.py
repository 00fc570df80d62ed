"""Neurons with memory beyond the potential, over all time steps, forward and backward.

To the leaky integrate-and-fire neuron of `neuron.py` any of four parts may be added (docs/method.md, group X):

    lateral      i'[t] = i[t] + s[t-1] W                          dense weights from the layer's own spikes
    synapse      j[t] = gamma j[t-1] + i'[t]                      the current has a decay of its own
    adaptation   a[t] = rho a[t-1] + (1 - rho) s[t],   theta[t] = theta + kappa a[t-1]
    refractory   for R steps after a spike the potential is held and cannot fire

Arrays are ``[T, M, C]``: time, everything that shares parameters, channels. With lateral weights M counts samples.
"""

import numpy as np

from .neuron import fall
from .surrogate import CDF, DENSITY


def recurrent_forward(
    i,
    w,
    beta,
    gamma,
    rho,
    kappa,
    theta,
    d,
    v_reset,
    decay_input,
    refractory,
    surrogate,
    alpha,
    u,
    s,
    j,
    a,
    held,
    carried=None,
):
    """N1, N2, N3, N4, N13, X1, X4, X7, X8, X14: charge, fire and reset for t = 1..T.

    Args:
        i: input current ``[T, M, C]``.
        w: lateral weights ``[C, C]`` (from, to), or None.
        beta, theta, alpha: leak, threshold and surrogate width, each ``[C]``.
        gamma: decay of the synaptic current ``[C]``, or None.
        rho, kappa: decay and strength of the threshold's adaptation, each ``[C]``, or both None.
        d: PDA correction ``[T, C]``.
        v_reset: hard reset to this value; None for a soft reset; "none" for no reset at all.
        decay_input: scale the current by 1 - beta.
        refractory: R, whole steps; 0 for none.
        surrogate: None fires H(u - theta[t]); a family's name fires its distribution function, the relaxed mode.
        u, s: out, potentials and spikes ``[T, M, C]``.
        j, a, held: out, synaptic current, adaptation and (uint8) whether the neuron was refractory, ``[T, M, C]``; each
            None where the neuron has no such part.
        carried: in and out, ``[5, M, C]``: potential, synaptic current, adaptation, spikes and remaining refractory
            steps before the first and after the last step; None starts from 0.
    """
    gain = 1 - beta if decay_input else np.ones_like(beta)
    v, current, adapted, fired, rest = np.zeros((5, *i[0].shape), i.dtype) if carried is None else carried.copy()
    for t in range(len(i)):
        arriving = i[t] if w is None else i[t] + fired @ w  # X1
        current = arriving if gamma is None else gamma * current + arriving  # X4
        threshold = theta if kappa is None else theta + kappa * adapted  # X7
        resting = rest > 0  # X14

        charged = np.where(resting, v, beta * v + gain * current - d[t])  # N1, X14
        x = charged - threshold
        fired = (x >= 0).astype(i.dtype) if surrogate is None else CDF[surrogate](x / alpha)  # N2, R1
        fired = np.where(resting, 0, fired)  # X14
        v = charged - fired * fall(charged, threshold, v_reset)  # N3, N4, N13
        rest = np.where(resting, rest - 1, refractory * (x >= 0))  # X14

        u[t], s[t] = charged, fired
        if gamma is not None:
            j[t] = current
        if kappa is not None:
            adapted = rho * adapted + (1 - rho) * fired  # X8
            a[t] = adapted
        if refractory:
            held[t] = resting
    if carried is not None:
        carried[...] = v, current, adapted, fired, rest


def recurrent_backward(
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
    detach_reset,
    decay_input,
    surrogate,
    alpha,
    p_offset,
    p_slope,
    di,
    dw,
    dbeta,
    dgamma,
    drho,
    dkappa,
    dtheta,
    dalpha,
    start=None,
):
    """N5, N6, N7, N8, N9, N10, N11, N12, P1, X2, X3, X5, X6, X9, X10, X11, X12, X13, X15: back-propagation through time
    of `recurrent_forward`, from t = T down to 1.

    Args:
        ds: dL/ds ``[T, M, C]``.
        u, s, j, a, held: what the forward pass stored; the last three None where the neuron has no such part.
        w, beta, gamma, rho, kappa, theta, d, v_reset, decay_input, alpha: as in the forward pass.
        detach_reset: treat the spikes in the reset as constants.
        surrogate: the family whose density stands in for the derivative of H.
        p_offset, p_slope: a loss acting on the potential itself, p = p_offset + p_slope u, each ``[C]``; or None.
        di: out, dL/di ``[T, M, C]``.
        dw: out ``[C, C]``; None without lateral weights.
        dbeta, dgamma, drho, dkappa, dtheta, dalpha: out ``[C]``; None where the neuron has no such part or does not
            learn it.
        start: what the forward pass was carried on from, ``[5, M, C]``, constants; None for 0.
    """
    hard = v_reset is not None and v_reset != "none"
    gain = 1 - beta if decay_input else np.ones_like(beta)
    zero = np.zeros_like(u[0])
    v_start, j_start, a_start, s_start, _ = (zero,) * 5 if start is None else start
    e, f, h, lateral = zero, zero, zero, zero  # dL/dv[t], dL/da[t], gamma dL/dj[t+1], dL/ds[t] by way of W
    for total in (dw, dbeta, dgamma, drho, dkappa, dtheta, dalpha):
        if total is not None:
            total[...] = 0
    for t in reversed(range(len(u))):
        s_t = s[t].astype(u.dtype)
        s_before = s[t - 1].astype(u.dtype) if t else s_start
        a_before = zero if kappa is None else a[t - 1] if t else a_start
        threshold = theta if kappa is None else theta + kappa * a_before  # X7
        active = 1 if held is None else 1 - held[t].astype(u.dtype)
        z = (u[t] - threshold) / alpha
        density = active * DENSITY[surrogate](z) / alpha  # S1, X15

        q = ds[t] + lateral  # N12, X2
        if kappa is not None:
            q = q + (1 - rho) * f  # X11
        if not detach_reset:
            q = q - e * fall(u[t], threshold, v_reset)  # N5, N6
        p = 0 if p_offset is None else p_offset + p_slope * u[t]  # D5, D6
        delta = q * density + active * ((e * (1 - s_t) if hard else e) + p)  # N7, X15
        share = -q * density - (e * s_t if v_reset is None else 0)  # X9

        if dtheta is not None:
            dtheta += share.sum(0)  # N11
        if dalpha is not None:
            dalpha -= (q * density * z).sum(0)  # P1
        if kappa is not None:
            if dkappa is not None:
                dkappa += (share * a_before).sum(0)  # X12
            if drho is not None:
                drho += (f * (a_before - s_t)).sum(0)  # X13
            f = rho * f + kappa * share  # X10

        through = gain * delta + h  # N9, X5
        di[t] = through
        if gamma is not None:
            if dgamma is not None:
                dgamma += (through * (j[t - 1] if t else j_start)).sum(0)  # X6
            h = gamma * through  # X5
        if dbeta is not None:
            v = v_start
            if t:
                a_earlier = zero if kappa is None else a[t - 2] if t > 1 else a_start
                threshold_before = theta if kappa is None else theta + kappa * a_earlier  # X7
                v = u[t - 1] - s_before * fall(u[t - 1], threshold_before, v_reset)  # N3, N4, N13
            current = (u[t] - beta * v + d[t]) / gain if decay_input else 0
            dbeta += (delta * (v - current)).sum(0)  # N10
        if w is not None:
            lateral = through @ w.T  # X2
            dw += s_before.T @ through  # X3
        e = beta * delta + (1 - active) * (e + p)  # N8, X15
