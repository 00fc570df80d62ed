"""Inputs for the neuron kernels, and bounds on the rounding errors of their results."""

from types import SimpleNamespace

import naive
import numpy as np
import parabola

from numsnn.kernels import rules
from numsnn.kernels.families import add_family
from numsnn.kernels.types import Firing, Moments, Norm, Reset, Wanted

add_family("parabola", parabola.density, parabola.cdf)
FAMILIES = tuple(naive.DENSITY)
RESETS = (0.0, -0.2, None)
ALL_RESETS = (*RESETS, "delayed")

SILENT, TIED = 0, 1
"""Two rows of a draw: the first never fires; in the second, the first potential in channel 0 equals the threshold."""

SHAPE = (5, 37, 6)

SMALL = (9, 7, 8)
"""Shape for devices with slow threads: float32 takes four channels together, and there are over two time segments."""


def leaky_forward(
    k,
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
    """Run the forward pass of the leaky neuron. surrogate is None for spikes; carried holds the potential only."""
    return k.neuron_forward(
        rules.SCALED if decay_input else rules.LEAKY,
        i,
        beta[None],
        Firing(theta, alpha, surrogate or "triangle", reach),
        Reset(v_reset),
        d,
        surrogate is not None,
        u,
        s,
        None,
        None if carried is None else carried[None],
        None if norm is None else Norm(*norm),
        None if mean is None else Moments(mean, var),
        visible,
    )


def leaky_backward(
    k,
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
    direct,
    di,
    dbeta,
    dtheta,
    dalpha,
    start=None,
    norm=None,
    dnorm=None,
):
    """Run the backward pass of the leaky neuron."""
    k.neuron_backward(
        rules.SCALED if decay_input else rules.LEAKY,
        ds,
        i,
        s,
        beta[None],
        Firing(theta, alpha, surrogate),
        Reset(v_reset, detach_reset),
        d,
        direct,
        di,
        Wanted((dbeta,), dtheta, dalpha),
        None if start is None else start[None],
        None if norm is None else Norm(*norm),
        dnorm,
    )


def shape_for(k):
    """Return the shape of a draw for a device."""
    return SMALL if k.name == "cuda" else SHAPE


def draw(rng, shape, dtype, decay_input=False):
    """Draw currents and parameters for which some neurons fire and others do not."""
    steps, rows, channels = shape
    beta = rng.uniform(0.3, 0.9, channels)
    beta[0] = 0.5
    theta = rng.uniform(0.8, 1.2, channels).astype(dtype)
    gain = 1 - beta if decay_input else np.ones(channels)
    i = (rng.normal(0.3, 0.9, shape) / gain).astype(dtype)
    d = rng.normal(0, 0.05, (steps, channels)).astype(dtype)
    if rows > TIED:
        i[:, SILENT] = -5
        i[0, TIED, 0] = theta[0] * dtype(2 if decay_input else 1)  # gain 1/2: both products are exact
        d[0, 0] = 0
    return SimpleNamespace(
        i=i, beta=beta.astype(dtype), theta=theta, d=d, alpha=rng.uniform(0.6, 1.5, channels).astype(dtype)
    )


def assert_bites(u, s, theta):
    """Assert that a draw has potentials on both sides of the threshold, a silent row, and a tie that fires."""
    assert 0.05 < s.mean() < 0.60
    assert (u > theta).any() and (u < theta).any()
    assert not s[:, SILENT].any()
    assert u[0, TIED, 0] == theta[0]
    assert s[0, TIED, 0] == 1


def forward(k, case, v_reset, decay_input, surrogate):
    """Return u and s of one device; elements that it did not write are NaN and 7."""
    u = np.full_like(case.i, np.nan)
    s = np.full(case.i.shape, 7, np.uint8 if surrogate is None else case.i.dtype)
    leaky_forward(k, case.i, case.beta, case.theta, case.d, v_reset, decay_input, surrogate, case.alpha, u, s)
    return u, s


def forward_bound(case, v_reset, decay_input, surrogate, u, s):
    """Return the largest differences of two computations of u and of s, if both fire the same spikes.

    Every line corresponds to a line of the forward pass. Its error is the incoming error times the derivative, plus eps
    times the magnitudes of the numbers that the operations of the line round.
    """
    eps = float(np.finfo(case.i.dtype).eps)
    i, beta, theta, d, alpha, u, s = (
        np.asarray(a, np.float64) for a in (case.i, case.beta, case.theta, case.d, case.alpha, u, s)
    )
    gain = 1 - beta if decay_input else np.ones_like(beta)
    delayed = v_reset == "delayed"
    reset = 0.0 if v_reset is None or delayed else v_reset
    steepest = 0.0 if surrogate is None else naive.DENSITY[surrogate](0.0)
    error_u, error_s = np.zeros_like(u), np.zeros_like(s)
    v, error = np.zeros_like(u[0]), np.zeros_like(u[0])
    for t in range(len(u)):
        error_u[t] = beta * error + 4 * eps * (np.abs(beta * v) + np.abs(gain * i[t]) + np.abs(d[t]))
        if surrogate is not None:
            z = (u[t] - theta) / alpha
            error_s[t] = steepest * (error_u[t] / alpha + 2 * eps * np.abs(z)) + 8 * eps
        if v_reset is None or delayed:
            fall = theta / beta if delayed else theta
            v = u[t] - s[t] * fall
            error = error_u[t] + fall * error_s[t] + (3 if delayed else 2) * eps * (np.abs(u[t]) + fall)
        else:
            v = u[t] - s[t] * (u[t] - reset)
            error = (1 - s[t]) * error_u[t] + np.abs(u[t] - reset) * error_s[t]
            error = error + 3 * eps * (np.abs(u[t]) + abs(reset))
    return error_u, error_s


def backward(k, case, ds, u, s, v_reset, detach_reset, decay_input, surrogate, direct, learn_beta=True):
    """Return di, dbeta, dtheta and dalpha of one device for given spikes s. direct is a
    `kernels.types.Direct` or None."""
    di = np.full_like(u, np.nan)
    dbeta, dtheta, dalpha = np.full((3, len(case.beta)), np.nan, u.dtype)
    leaky_backward(
        k,
        ds,
        case.i,
        s,
        case.beta,
        case.theta,
        case.d,
        v_reset,
        detach_reset,
        decay_input,
        surrogate,
        case.alpha,
        direct,
        di,
        dbeta if learn_beta else None,
        dtheta,
        dalpha,
    )
    return {"di": di, "dtheta": dtheta, "dalpha": dalpha} | ({"dbeta": dbeta} if learn_beta else {})


def backward_bound(case, ds, u, s, v_reset, detach_reset, decay_input, surrogate, direct):
    """Return the largest differences of two computations of the gradients, by the rule of `forward_bound`.

    Values are bounded by the same recursion over absolute values. Densities differ by a few eps of their
    peak: an exponential's relative error grows with its argument no faster than its value falls. A sum of n
    terms errs by n eps of the sum of its absolute terms.
    """
    real = u.dtype.type
    eps = float(np.finfo(real).eps)
    ds, beta, theta, d, alpha, u, s = (
        np.asarray(a, np.float64) for a in (ds, case.beta, case.theta, case.d, case.alpha, u, s)
    )
    soft, reset = v_reset is None, 0.0 if v_reset is None else v_reset
    gain = 1 - beta if decay_input else np.ones_like(beta)
    n = u.shape[0] * u.shape[1]
    names = ("dbeta", "dtheta", "dalpha")
    size, error = ({name: np.zeros_like(beta) for name in names} for _ in range(2))
    error_di = np.zeros_like(u)
    e, error_e = np.zeros_like(u[0]), np.zeros_like(u[0])

    def add(name, term, error_term):
        size[name] += term.sum(0)
        error[name] += error_term.sum(0)

    for t in reversed(range(len(u))):
        z = (u[t] - theta) / alpha
        density = np.vectorize(naive.DENSITY[surrogate])(z) / alpha
        error_density = 8 * eps * naive.DENSITY[surrogate](0.0) / alpha
        lever = 0.0 if detach_reset else theta if soft else np.abs(u[t]) + abs(reset)
        keep = 1.0 if soft else 1 - s[t]
        p = 0.0 if direct is None else np.abs(direct.offset) + np.abs(direct.slope * (u[t] - direct.centre))

        q = np.abs(ds[t]) + e * lever
        error_q = error_e * lever + 3 * eps * q
        fired, error_fired = q * density, error_q * density + q * error_density
        delta = fired + e * keep + p
        error_delta = error_fired + error_e * keep + 6 * eps * delta
        add("dtheta", fired + soft * e * s[t], error_fired + soft * error_e * s[t])
        add("dalpha", fired * np.abs(z), (error_fired + 2 * eps * fired) * np.abs(z))
        before = rounded = np.zeros_like(u[0])
        if t > 0:
            before = np.abs(u[t - 1] - s[t - 1] * (theta if soft else u[t - 1] - reset))
            rounded = 3 * (np.abs(u[t - 1]) + (theta if soft else abs(reset)))
        factor, rounded = before, rounded + before
        if decay_input:
            current = (np.abs(u[t]) + beta * before + np.abs(d[t])) / gain
            factor, rounded = factor + current, rounded + (beta / gain) * rounded + 6 * current
        add("dbeta", delta * factor, error_delta * factor + delta * eps * rounded)
        error_di[t] = gain * error_delta + 2 * eps * gain * delta
        e, error_e = beta * delta, beta * error_delta + eps * beta * delta
    return {"di": error_di} | {name: error[name] + n * eps * size[name] for name in names}
