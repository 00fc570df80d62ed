"""The leaky integrate-and-fire neuron over all time steps, forward and backward (docs/method.md, groups N, S and P).

Arrays are ``[T, M, C]``: time, everything that shares parameters (samples and positions), channels.
"""

import numpy as np

from .surrogate import CDF, DENSITY


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
    """N1, N2, N3, N4, N13: charge, fire and reset for t = 1..T.

    Args:
        i: input current ``[T, M, C]``, or with `norm` what is to be normalised to it.
        beta, theta, alpha: leak, threshold and surrogate width, each ``[C]``.
        d: PDA correction ``[T, C]``, taken off the potential.
        v_reset: hard reset to this value; None for a soft reset (subtract theta); "none" for no reset at all.
        decay_input: scale the current by 1 - beta.
        surrogate: None fires H(u - theta); a family name fires Phi((u - theta) / alpha), the relaxed mode.
        u: out, potentials after charging ``[T, M, C]``; None where nobody needs them (inference).
        s: out, spikes ``[T, M, C]``, uint8, or i's dtype in relaxed mode.
        carried: in and out, the potential ``[M, C]`` before the first and after the last step; None starts from v = 0.
        norm: (centre, factor, offset), each ``[C]``, of the normalisation in front of the neuron; None for none.
        mean, var: out, mean and (biased) variance of u over the rows, ``[T, C]``; both None where nobody needs them.
        visible: out, uint8 ``[T, M, C]``: 1 where |u - theta| <= reach alpha, that is where a surrogate that is zero
            further out can see the potential, and where u is NaN; None where nobody needs it.
        reach: of the surrogate, in widths.

    Returns:
        the share of ones in visible; None without it.
    """
    i = normalised(i, norm)
    gain = 1 - beta if decay_input else np.ones_like(beta)
    v = np.zeros_like(i[0]) if carried is None else carried.copy()
    for t in range(len(i)):
        u_t = beta * v + gain * i[t] - d[t]  # N1
        x = u_t - theta
        s_t = (x >= 0).astype(i.dtype) if surrogate is None else CDF[surrogate](x / alpha)  # N2, R1
        v = u_t - s_t * fall(u_t, theta, v_reset)  # N3, N4, N13
        s[t] = s_t
        if u is not None:
            u[t] = u_t
        if mean is not None:
            mean[t] = u_t.mean(0)  # D1
            var[t] = ((u_t - mean[t]) ** 2).mean(0)
        if visible is not None:
            visible[t] = ~(np.abs(x / alpha) > reach)  # D7
    if carried is not None:
        carried[...] = v
    return None if visible is None else float(visible.mean())


def normalised(x, norm):
    """B4: the input current, x as it is, or (x - centre) factor + offset."""
    if norm is None:
        return x
    centre, factor, offset = norm
    return (x - centre) * factor + offset


def fall(u, theta, v_reset):
    """N3, N4, N13: by how much a spike lowers the potential, to v_reset (hard), by theta (soft, None), or not at
    all ("none")."""
    if v_reset == "none":
        return u.dtype.type(0)
    return theta if v_reset is None else u - u.dtype.type(v_reset)


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
    """N5, N6, N7, N8, N9, N10, N11, N12, P1: back-propagation through time of `lif_forward`, from t = T down to 1.

    Args:
        ds: dL/ds ``[T, M, C]``.
        i, s: input and spikes of the forward pass; the potentials between them are computed again.
        beta, theta, d, v_reset, decay_input, alpha: as in the forward pass.
        detach_reset: treat the spikes in the reset as constants.
        surrogate: the family whose density stands in for the derivative of H.
        p_offset, p_slope: a loss acting on the potential itself, p = p_offset + p_slope u, each ``[C]``; or None.
        di: out, dL/d current ``[T, M, C]``; may be ds itself.
        dbeta, dtheta, dalpha: out, dL/d beta, dL/d theta and dL/d alpha ``[C]``; None where they are not learned.
        start: the potential ``[M, C]`` that the forward pass was carried on from, a constant; None for v = 0.
        norm: as in the forward pass; di is then the gradient of what comes out of the normalisation.
        dnorm: out ``[2, C]``, with `norm`: the sums of di and of di (i - centre), which its own backward pass needs.
    """
    x, i = i, normalised(i, norm)
    hard = v_reset is not None and v_reset != "none"
    gain = 1 - beta if decay_input else np.ones_like(beta)
    u, before = potentials(i, s, beta, theta, d, v_reset, gain, start)
    e = np.zeros_like(i[0])
    for total in (dbeta, dtheta, dalpha, dnorm):
        if total is not None:
            total[...] = 0
    for t in reversed(range(len(u))):
        z = (u[t] - theta) / alpha
        density = DENSITY[surrogate](z) / alpha  # S1
        s_t = s[t].astype(u.dtype)

        q = ds[t]  # N12
        if not detach_reset:
            q = q - e * fall(u[t], theta, v_reset)  # N5, N6
        p = 0 if p_offset is None else p_offset + p_slope * u[t]  # D5, D6
        delta = q * density + (e * (1 - s_t) if hard else e) + p  # N7

        if dtheta is not None:
            dtheta -= (q * density).sum(0)  # N11
            if v_reset is None:
                dtheta -= (e * s_t).sum(0)  # N11
        if dalpha is not None:
            dalpha -= (q * density * z).sum(0)  # P1
        if dbeta is not None:
            dbeta += (delta * (before[t] - (i[t] if decay_input else 0))).sum(0)  # N10

        di[t] = gain * delta  # N9
        if norm is not None:
            dnorm += di[t].sum(0), (di[t] * (x[t] - norm[0])).sum(0)  # B8
        e = beta * delta  # N8


def potentials(i, s, beta, theta, d, v_reset, gain, start):
    """N1, N3, N4, N13: the potentials u of a forward pass that fired s, and those each step started from."""
    u, before = np.empty_like(i), np.empty_like(i)
    v = np.zeros_like(i[0]) if start is None else start
    for t in range(len(i)):
        before[t] = v
        u[t] = beta * v + gain * i[t] - d[t]  # N1
        v = u[t] - s[t].astype(i.dtype) * fall(u[t], theta, v_reset)  # N3, N4, N13
    return u, before


def lif_reset(u, s, theta, v_reset, v):
    """N3, N4, N13: the potential after the reset, from what the forward pass stored: u, s and out v, all
    ``[..., M, C]``."""
    v[...] = u - s.astype(u.dtype) * fall(u, theta, v_reset)
