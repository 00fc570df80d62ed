"""Bounds on the difference of two correct computations of one number, and checks of gradients.

A correctly rounded operation errs by at most eps/2 of its result. Two computations with `ops` operations each
on the way to a result, none of whose intermediate magnitudes exceeds `scale`, therefore differ by at most
ops * eps * scale. For a sum of products `scale` is the same sum over absolute values, in whatever order it
is added up.
"""

import numpy as np

REALS = (np.float32, np.float64)

PROMISE = 1e-10
"""Largest difference of compiled kernels from the reference in float64, relative to the largest value."""

STEP = 1e-5
"""Step of central differences in float64: they err by STEP^2 / 6 = 2e-11 third derivatives (of a few hundred
at most for widths of 1/2 and more) and by eps / STEP = 2e-11 times the loss. Both stay far below GRADIENT."""

GRADIENT = 1e-6
"""Largest difference of gradients from central differences in float64, relative to the largest entry."""


def agree(got, want, ops, scale):
    """Assert that got has the type and shape of want and differs from it by at most the rounding of `ops` operations on
    numbers of size `scale`; in float64 also by at most the promised bound."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    assert np.isfinite(got).all()
    bound = ops * float(np.finfo(got.dtype).eps) * np.abs(np.asarray(scale, np.float64))
    if got.dtype == np.float64:
        bound = np.minimum(bound, PROMISE * max(1.0, np.abs(want).max(initial=0)))
    within(got, want, bound)


def within(got, want, bound):
    """Assert |got - want| <= bound, entry by entry."""
    distance = np.abs(np.asarray(got, np.float64) - np.asarray(want, np.float64))
    excess = distance - bound
    assert not np.isnan(excess).any()
    at = np.unravel_index(np.argmax(excess), excess.shape)
    allowed = np.broadcast_to(bound, excess.shape)[at]
    assert excess[at] <= 0, f"{distance[at]:.3g} apart at {tuple(map(int, at))}, allowed {allowed:.3g}"


def numeric_gradient(loss, x):
    """Return central differences of loss() by the float64 array x, which is changed in place and restored."""
    gradient = np.empty_like(x)
    for at in np.ndindex(x.shape):
        before = x[at]
        x[at] = before + STEP
        above = loss()
        x[at] = before - STEP
        gradient[at] = (above - loss()) / (2 * STEP)
        x[at] = before
    return gradient


def is_gradient(got, loss, x):
    """Assert that got is the gradient of loss() with respect to x, and that it is not zero throughout."""
    want = numeric_gradient(loss, x)
    assert np.abs(want).max() > 1e-3
    within(got, want, GRADIENT * np.abs(want).max())
