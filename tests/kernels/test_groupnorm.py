"""Group normalisation: moments and finite differences, then compiled kernels compared with the reference."""

import numpy as np
import pytest
from bounds import REALS, agree, within
from entries_norm import GROUPED
from targets import ALL, COMPILED, fewer, reference

from numsnn.kernels.types import Affine, Moments

EPS = 1e-3
"""Large enough to matter: a kernel that forgot it would be far off."""


def draw(name, real):
    """x, gamma, beta, dy and G."""
    shape, groups = GROUPED[name]
    rng = np.random.default_rng(1)
    x, dy = rng.normal(0.4, 1.5, (2, *shape)).astype(real)
    gamma, beta = rng.normal(1, 0.3, (2, shape[2])).astype(real)
    return x, gamma, beta, dy, groups


def run(k, x, gamma, beta, dy, groups, want_dx=True):
    """mean, var, y, dx, dgamma and dbeta of one target, in memory that held NaN."""
    mean, var = np.full((2, len(x), groups), np.nan, x.dtype)
    y, dx = np.full((2, *x.shape), np.nan, x.dtype)
    dgamma, dbeta = np.full((2, x.shape[2]), np.nan, x.dtype)
    affine, given = Affine(gamma, beta, EPS), Moments(mean, var)
    k.groupnorm_forward(x, affine, given, y)
    k.groupnorm_backward(dy, x, affine, given, dx if want_dx else None, dgamma, dbeta)
    return mean, var, y, dx, dgamma, dbeta


@pytest.mark.parametrize("name", GROUPED)
def test_reference_normalises_every_group_of_every_sample(name):
    x, gamma, beta, dy, groups = draw(name, np.float64)
    mean, var, y, *_ = run(reference, x, gamma, beta, dy, groups)
    normalised = (y - beta) / gamma
    size = x.shape[2] // groups
    for b, g in np.ndindex(mean.shape):
        part = x[b, :, g * size : (g + 1) * size]
        agree(mean[b, g], part.mean(), part.size, np.abs(part).mean())
        agree(var[b, g], part.var(), 4 * part.size, np.square(part).mean())
        inside = normalised[b, :, g * size : (g + 1) * size]
        scale = (np.abs(y).max() + np.abs(beta).max()) / np.abs(gamma).min()
        agree(inside.mean(), np.float64(0), 8 * part.size, scale)
        agree(inside.var(), var[b, g] / (var[b, g] + EPS), 16 * part.size, scale**2)


@ALL
def test_a_scale_is_refused(k):
    """Batch normalisation alone has one."""
    x, gamma, beta, dy, _ = draw("features", np.float64)
    affine, given = Affine(gamma, beta, EPS, 0.5), Moments(*np.ones((2, len(x), 2)))
    message = "groupnorm: scale must be 1, as group normalisation has none; got 0.5"
    with pytest.raises(ValueError, match=message):
        k.groupnorm_forward(x, affine, given, np.empty_like(x))
    with pytest.raises(ValueError, match=message):
        k.groupnorm_backward(dy, x, affine, given, None, np.empty_like(gamma), np.empty_like(beta))


@ALL
def test_input_gradient_may_be_left_out(k):
    arguments = draw("samples of several tiles", np.float64)
    *_, dgamma, dbeta = run(k, *arguments)
    *_, dx, same_dgamma, same_dbeta = run(k, *arguments, want_dx=False)
    assert np.array_equal(dgamma, same_dgamma) and np.array_equal(dbeta, same_dbeta)
    assert np.isnan(dx).all()


@ALL
@pytest.mark.parametrize("real", REALS)
def test_constant_input_becomes_beta(k, real):
    x, (gamma, beta) = np.full((2, 50, 6), 0.75, real), np.ones((2, 6), real) / 3
    mean, var, y, *_ = run(k, x, gamma, beta, x, 3)
    assert (mean == 0.75).all() and (var == 0).all() and (y == beta).all()


@pytest.mark.parametrize("deviation", [1.0, 0.1])
@COMPILED
def test_a_large_mean_does_not_swallow_a_small_variance(k, deviation):
    """The bounds are those of `moments`. The mean is good to a few roundings; its error delta adds at most delta^2
    within tiles and twice delta times the deviation between them. A tile's sum of squares errs by its rows times eps /
    2."""
    x = (1e4 + deviation * np.random.default_rng(0).standard_normal((1, fewer(k, 20_000), 8))).astype(np.float32)
    mean, var, *_ = run(k, x, *np.ones((2, 8), np.float32), x, 2)
    wide = x.astype(np.float64).reshape(1, -1, 2, 4)
    eps = float(np.finfo(np.float32).eps) / 2
    delta = 4 * eps * 1e4
    within(mean, wide.mean((1, 3)), delta)
    exact = wide.var((1, 3))
    within(var, exact, 2 * delta**2 + 2 * delta * np.sqrt(exact) + 2 * 32768 // 8 * eps * exact)
