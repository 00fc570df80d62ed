"""The leaky integrate-and-fire neuron over all time steps, forward and backward (method, sections 1 and 2).

Arrays are ``[T, M, C]``: time, everything that shares parameters (samples and positions), channels.
"""

import numpy as np

from .surrogate import CDF, DENSITY


def lif_forward(i, beta, theta, d, v_reset, decay_input, surrogate, alpha, u, s, carried=None):
    """Charge, fire and reset for t = 1..T.

    Args:
        i: input current ``[T, M, C]``.
        beta, theta, alpha: leak, threshold and surrogate width, each ``[C]``.
        d: PDA correction ``[T, C]``, taken off the potential.
        v_reset: hard reset to this value; None for a soft reset (subtract theta); "none" for no reset at all.
        decay_input: scale the current by 1 - beta.
        surrogate: None fires H(u - theta); a family name fires Phi((u - theta) / alpha), the relaxed mode.
        u: out, potentials after charging ``[T, M, C]``; None where nobody needs them (inference).
        s: out, spikes ``[T, M, C]``, uint8, or i's dtype in relaxed mode.
        carried: in and out, the potential ``[M, C]`` before the first and after the last step; None starts from v = 0.
    """
    gain = 1 - beta if decay_input else np.ones_like(beta)
    v = np.zeros_like(i[0]) if carried is None else carried.copy()
    for t in range(len(i)):
        u_t = beta * v + gain * i[t] - d[t]  # charge
        x = u_t - theta
        s_t = (x >= 0).astype(i.dtype) if surrogate is None else CDF[surrogate](x / alpha)  # fire
        v = u_t - s_t * fall(u_t, theta, v_reset)  # reset
        s[t] = s_t
        if u is not None:
            u[t] = u_t
    if carried is not None:
        carried[...] = v


def fall(u, theta, v_reset):
    """By how much a spike lowers the potential: to v_reset (hard), by theta (soft, None), or not at all ("none")."""
    if v_reset == "none":
        return u.dtype.type(0)
    return theta if v_reset is None else u - u.dtype.type(v_reset)


def lif_backward(
    ds, u, s, beta, theta, d, v_reset, detach_reset, decay_input, surrogate, alpha, p_offset, p_slope,
    di, dbeta, dtheta, dalpha, start=None,
):  # fmt: skip
    """Back-propagation through time of `lif_forward`, from t = T down to 1.

    Args:
        ds: dL/ds ``[T, M, C]``.
        u, s: what the forward pass stored.
        beta, theta, d, v_reset, decay_input, alpha: as in the forward pass.
        detach_reset: treat the spikes in the reset as constants.
        surrogate: the family whose density stands in for the derivative of H.
        p_offset, p_slope: a loss acting on the potential itself, p = p_offset + p_slope u, each ``[C]``; or None.
        di: out, dL/di ``[T, M, C]``.
        dbeta: out, dL/d beta ``[C]``; None where the leak is not learned.
        dtheta, dalpha: out, dL/d theta and dL/d alpha ``[C]``.
        start: the potential ``[M, C]`` that the forward pass was carried on from, a constant; None for v = 0.
    """
    hard = v_reset is not None and v_reset != "none"
    gain = 1 - beta if decay_input else np.ones_like(beta)
    e = np.zeros_like(di[0])
    dtheta[...] = dalpha[...] = 0
    if dbeta is not None:
        dbeta[...] = 0
    for t in reversed(range(len(u))):
        z = (u[t] - theta) / alpha
        density = DENSITY[surrogate](z) / alpha
        s_t = s[t].astype(u.dtype)

        q = ds[t]
        if not detach_reset:
            q = q - e * fall(u[t], theta, v_reset)
        p = 0 if p_offset is None else p_offset + p_slope * u[t]
        delta = q * density + (e * (1 - s_t) if hard else e) + p

        dtheta -= (q * density).sum(0)
        if v_reset is None:
            dtheta -= (e * s_t).sum(0)
        dalpha -= (q * density * z).sum(0)
        if dbeta is not None:
            v = np.zeros_like(u[t]) if start is None else start
            if t > 0:
                v = np.empty_like(u[t])
                lif_reset(u[t - 1], s[t - 1], theta, v_reset, v)
            current = (u[t] - beta * v + d[t]) / gain if decay_input else 0
            dbeta += (delta * (v - current)).sum(0)

        di[t] = gain * delta
        e = beta * delta


def lif_reset(u, s, theta, v_reset, v):
    """The potential after the reset, from what the forward pass stored: u, s and out v, all ``[..., M, C]``."""
    v[...] = u - s.astype(u.dtype) * fall(u, theta, v_reset)
