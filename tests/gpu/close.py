"""Bounds on the difference of float32 results if sums are added in another order and spikes may change.

The error of a sum of n terms is about sqrt(n) roundings of eps/2, relative to the norm of its terms. The largest sums
here have 16,384 terms, so the error is 128 times 6e-8. A potential this close to its threshold may lie on either side.
Values that depend on such a spike may differ by their own size, and the norm of a difference grows with the square root
of the share of values that differ.
"""

import numpy as np

ROUNDING = 1e-5
"""Largest difference as a share of the norm, for one kernel."""

DEEP = 2e-4
"""Largest difference as a share of the norm, for the gradients of a network."""

TIPPED = 1e-3
"""Share of spikes that may differ at most."""


def share(got, want):
    """Share of the entries of arrays of whole numbers that differ."""
    return float(np.mean(got != want)) if want.size else 0.0


def relative(got, want):
    """Norm of the difference over the norm."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape and np.isfinite(got).all()
    norm, distance = np.linalg.norm(want), np.linalg.norm(got - want)
    return distance / norm if norm else distance


def close(got, want, rounding):
    """Assert that results, lists of arrays, are the same but for rounding and what it tips over."""
    pairs = list(zip(map(np.asarray, got), map(np.asarray, want), strict=True))
    assert all(mine.dtype == theirs.dtype for mine, theirs in pairs)
    whole = [pair for pair in pairs if pair[1].dtype.kind in "iub"]
    tipped = max((share(*pair) for pair in whole), default=0.0)
    assert tipped <= TIPPED
    allowed = rounding + 2 * tipped**0.5
    for k, (mine, theirs) in enumerate(pairs):
        if theirs.dtype.kind == "f":
            assert relative(mine, theirs) <= allowed, f"result {k}"
