"""Neurons with memory beyond the potential, over all time steps, forward and backward.

The leaky integrate-and-fire neuron of `neuron.py` can have four extensions, in any combination (docs/method.md, group
X):

    lateral      i'[t] = i[t] + s[t-1] W                          dense weights from the layer's own spikes
    synapse      j[t] = gamma j[t-1] + i'[t]                      the current has a decay of its own
    adaptation   a[t] = rho a[t-1] + (1 - rho) s[t],   theta[t] = theta + kappa a[t-1]
    refractory   for R steps after a spike the potential is held and the neuron cannot fire

Arrays are ``[T, M, C]``: T steps, M rows (which share parameters), and C channels. With lateral weights a row is a
sample.
"""

import numpy as np

from .neuron import fall, pull
from .surrogate import CDF, DENSITY


def recurrent_forward(i, beta, extensions, firing, reset, d, decay_input, relaxed, stored, carried=None):
    """N1, N2, N3, N4, N13, N18, R4, X1, X4, X7, X8, X14: charge, fire and reset for t = 1..T.

    Args:
        i: input current, ``[T, M, C]``.
        beta: leak, ``[C]``.
        extensions: a `kernels.types.Extensions`.
        firing, reset: a `kernels.types.Firing` and a `kernels.types.Reset`.
        d: PDA correction, ``[T, C]``.
        decay_input: whether the current is scaled by 1 - beta.
        relaxed: whether the neuron fires the surrogate's distribution function instead of H(u - theta[t]).
        stored: output, a `kernels.types.Stored`; only the spikes, if all other arrays are None.
        carried: ``[5, M, C]``, the potential, synaptic current, adaptation, spikes and remaining refractory steps
            before the first step, replaced by those after the last step. With None, all start from 0.
    """
    w, gamma, rho, kappa, refractory = extensions
    u, s, j, a, held = stored
    theta, alpha, v_reset = firing.theta, firing.alpha, reset.value
    gain = 1 - beta if decay_input else np.ones_like(beta)
    v, current, adapted, fired, rest = np.zeros((5, *i[0].shape), i.dtype) if carried is None else carried.copy()
    for t in range(len(i)):
        arriving = i[t] if w is None else i[t] + fired @ w  # X1
        current = arriving if gamma is None else gamma * current + arriving  # X4
        threshold = theta if kappa is None else theta + kappa * adapted  # X7
        resting = rest > 0  # X14

        charged = np.where(resting, v, beta * v + gain * current - d[t])  # N1, X14
        x = charged - threshold
        fired = CDF[firing.family](x / alpha) if relaxed else (x >= 0).astype(i.dtype)  # R1, N2
        fired = np.where(resting, 0, fired)  # X14
        taken = fired if reset.spikes is None else reset.spikes[t]  # R4
        v = charged - taken * fall(charged, threshold, v_reset, (beta,))  # N3, N4, N13, N18
        rest = np.where(resting, rest - 1, refractory * (x >= 0))  # X14

        s[t] = fired
        if kappa is not None:
            adapted = rho * adapted + (1 - rho) * fired  # X8
        if u is None:
            continue
        u[t] = charged
        if gamma is not None:
            j[t] = current
        if kappa is not None:
            a[t] = adapted
        if refractory:
            held[t] = resting
    if carried is not None:
        carried[...] = v, current, adapted, fired, rest


def recurrent_backward(
    ds, stored, beta, extensions, firing, reset, d, decay_input, direct, di, dlateral, wanted, start=None, dstart=None
):
    """N5, N6, N7, N8, N9, N10, N11, N12, N19, N20, P1, X2, X3, X5, X6, X9, X10, X11, X12, X13, X15: back-propagation
    through time of `recurrent_forward`, from t = T down to 1.

    Args:
        ds: dL/ds, ``[T, M, C]``.
        stored: the arrays that the forward pass filled.
        beta, extensions, firing, reset, d, decay_input: as in the forward pass.
        direct: a `kernels.types.Direct`, the gradient of a loss that acts on the potential itself; or None.
        di: output, dL/di, ``[T, M, C]``.
        dlateral: output, the gradient of the lateral weights, ``[C, C]``; None without lateral weights.
        wanted: output, a `kernels.types.Wanted` with the values beta, gamma, rho and kappa.
        start: the carried state that the forward pass started from, ``[5, M, C]``, a constant; None for 0.
        dstart: output, dL/dv before the first step, ``[M, C]``; None if it is not needed.
    """
    w, gamma, rho, kappa, _ = extensions
    u, s, j, a, held = stored
    theta, alpha, v_reset = firing.theta, firing.alpha, reset.value
    dbeta, dgamma, drho, dkappa = wanted.values
    soft, delayed = v_reset in (None, "delayed"), v_reset == "delayed"
    hard = not soft and v_reset != "none"
    gain = 1 - beta if decay_input else np.ones_like(beta)
    zero = np.zeros_like(u[0])
    v_start, j_start, a_start, s_start, _ = (zero,) * 5 if start is None else start
    e, f, h, lateral = zero, zero, zero, zero  # dL/dv[t], dL/da[t], gamma dL/dj[t+1], dL/ds[t] through W
    for total in (dlateral, *wanted.values, wanted.theta, wanted.alpha):
        if total is not None:
            total[...] = 0
    for t in reversed(range(len(u))):
        s_t = s[t].astype(u.dtype)
        s_before = s[t - 1].astype(u.dtype) if t else s_start
        a_before = zero if kappa is None else a[t - 1] if t else a_start
        threshold = theta if kappa is None else theta + kappa * a_before  # X7
        active = 1 if held is None else 1 - held[t].astype(u.dtype)
        z = (u[t] - threshold) / alpha
        density = active * DENSITY[firing.family](z) / alpha  # S1, X15

        q = ds[t] + lateral  # N12, X2
        if kappa is not None:
            q = q + (1 - rho) * f  # X11
        if not reset.detached:
            q = q - e * fall(u[t], threshold, v_reset, (beta,))  # N5, N6, N19
        p = pull(direct, u[t], t)  # D5, D6
        delta = q * density + active * ((e * (1 - s_t) if hard else e) + p)  # N7, X15
        share = -q * density - ((e / beta if delayed else e) * s_t if soft else 0)  # X9

        if wanted.theta is not None:
            wanted.theta[...] += share.sum(0)  # N11
        if wanted.alpha is not None:
            wanted.alpha[...] -= (q * density * z).sum(0)  # P1
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
                v = u[t - 1] - s_before * fall(u[t - 1], threshold_before, v_reset, (beta,))  # N3, N4, N13, N18
            current = (u[t] - beta * v + d[t]) / gain if decay_input else 0
            dbeta += (delta * (v - current)).sum(0)  # N10
            if delayed:
                dbeta += (e * s_t * threshold / beta**2).sum(0)  # N20
        if w is not None:
            lateral = through @ w.T  # X2
            dlateral += s_before.T @ through  # X3
        e = beta * delta + (1 - active) * (e + p)  # N8, X15
    if dstart is not None:
        dstart[...] = e
