"""Moments and batch normalisation: closed forms and differences, then compiled kernels against reference."""

import statistics

import numpy as np
import pytest
from bounds import REALS, agree, is_gradient, within
from targets import ALL, COMPILED, cpu, fewer, reference

from numsnn.kernels.types import Affine, Moments

EPS, SCALE = 1e-3, 0.7
"""Both large enough to matter: a kernel that forgot one would be far off."""

SHAPES = [(1, 1), (2, 3), (61, 5), (7, 41)]
"""(M, C): one sample, a last tile cut short, and a row larger than a (small) tile."""


def moments(k, x):
    """mean and var of one target for x [G, M, C], in memory that held NaN."""
    mean, var = np.full((2, len(x), x.shape[2]), np.nan, x.dtype)
    k.moments(x, mean, var)
    return mean, var


def test_running_moments_of_the_cpu_are_rounded_as_those_of_the_reference():
    """Bit for bit: the products are not fused with the sums."""
    rng = np.random.default_rng(2)
    x = rng.normal(0.4, 1.5, (3, 50, 41)).astype(np.float32)
    before = Moments(*rng.uniform(0.5, 2, (2, 3, 41)).astype(np.float32))
    running = Moments(before.mean.copy(), before.var.copy())
    mean, var = np.empty((2, 3, 41), np.float32)
    cpu.moments(x, mean, var, running, 0.1)
    for found, start, value in zip(running, before, (mean, var), strict=True):
        reference.running_update(start, value, 0.1)
        np.testing.assert_array_equal(found, start)


def draw(shape, real):
    """x, gamma, beta and dy."""
    rng = np.random.default_rng(1)
    x, dy = rng.normal(0.4, 1.5, (2, *shape)).astype(real)
    gamma, beta = rng.normal(1, 0.3, (2, shape[1])).astype(real)
    return x, gamma, beta, dy


def run(k, x, gamma, beta, dy, mean, var, frozen, want_dx=True):
    """y, dgamma, dbeta, dx of one target, in memory that held NaN."""
    y, dx = np.full((2, *x.shape), np.nan, x.dtype)
    dgamma, dbeta = np.full((2, x.shape[1]), np.nan, x.dtype)
    affine, given = Affine(gamma, beta, EPS, SCALE), Moments(mean, var)
    k.batchnorm_forward(x, affine, given, y)
    k.batchnorm_backward(dy, x, affine, given, frozen, dx if want_dx else None, dgamma, dbeta)
    return y, dgamma, dbeta, dx


# --- moments ------------------------------------------------------------------------------------------------


def test_reference_moments_are_mean_and_biased_variance():
    """The library's text works in exact rational arithmetic."""
    x = np.random.default_rng(2).normal(3, 2, (2, 7, 3))
    mean, var = moments(reference, x)
    for g, c in np.ndindex(mean.shape):
        column = x[g, :, c].tolist()
        agree(mean[g, c], statistics.fmean(column), 8, np.abs(column).mean())
        agree(var[g, c], statistics.pvariance(column), 16, np.square(column).mean())


@pytest.fixture(params=[(1, 100_000), (8, 10_000), (32, 5_000)], ids="channels {0[0]}, rows {0[1]}".format)
def around_ten_thousand(request):
    """f(k, deviation): float32 numbers of mean 1e4, and the error of a mean that is good to four roundings."""
    channels, rows = request.param

    def draw(k, deviation):
        x = 1e4 + deviation * np.random.default_rng(0).standard_normal((1, fewer(k, rows), channels))
        return x.astype(np.float32), 4 * float(np.finfo(np.float32).eps) / 2 * 1e4

    return draw


@pytest.mark.parametrize("deviation", [1.0, 0.1])
@COMPILED
def test_a_large_mean_does_not_swallow_a_small_variance(k, around_ten_thousand, deviation):
    """An error delta of the tiles' means adds delta^2 within tiles, and delta^2 and twice delta times the
    deviation between them; a tile's sum of squares errs by its number of rows times eps / 2."""
    x, delta = around_ten_thousand(k, deviation)
    exact = x.astype(np.float64).var(1)
    _, var = moments(k, x)
    rounding = (32768 // x.shape[2]) * float(np.finfo(np.float32).eps) / 2
    within(var, exact, 2 * delta**2 + 2 * delta * np.sqrt(exact) + rounding * exact)


@pytest.mark.parametrize("deviation", [1.0, 0.1])
@COMPILED
def test_a_large_mean_is_exact_to_a_few_roundings(k, around_ten_thousand, deviation):
    """The error must not grow by a few roundings per row, because the mean is subtracted from numbers that differ by no
    more than the deviation."""
    x, delta = around_ten_thousand(k, deviation)
    mean, _ = moments(k, x)
    within(mean, x.astype(np.float64).mean(1), delta)


@ALL
@pytest.mark.parametrize("real", REALS)
def test_constant_input_has_no_variance(k, real):
    mean, var = moments(k, np.full((2, 50, 3), 0.75, real))
    assert (mean == 0.75).all() and (var == 0).all()


@ALL
@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1)])
@pytest.mark.parametrize("real", REALS)
def test_running_update(k, real, shape):
    running, value = np.array([1, -2, 0.5], real).reshape(shape), np.array([3, 2, 0.5], real).reshape(shape)
    k.running_update(running, value, 0.25)
    assert running.ravel().tolist() == [1.5, -1, 0.5]


# --- batch normalisation ------------------------------------------------------------------------------------


def test_reference_normalises():
    x, gamma, beta, dy = draw((61, 5), np.float64)
    (mean,), (var,) = moments(reference, x[None])
    y, *_ = run(reference, x, gamma, beta, dy, mean, var, False)
    agree(y.mean(0), beta, 61, np.abs(y).mean(0))
    agree(y.var(0), (SCALE * gamma) ** 2 * var / (var + EPS), 4 * 61, np.square(y).mean(0))


@ALL
def test_input_gradient_may_be_left_out(k):
    x, gamma, beta, dy = draw((61, 5), np.float64)
    (mean,), (var,) = moments(reference, x[None])
    _, dgamma, dbeta, _ = run(k, x, gamma, beta, dy, mean, var, False)
    _, same_dgamma, same_dbeta, dx = run(k, x, gamma, beta, dy, mean, var, False, want_dx=False)
    assert np.array_equal(dgamma, same_dgamma) and np.array_equal(dbeta, same_dbeta)
    assert np.isnan(dx).all()


@ALL
@pytest.mark.parametrize("real", REALS)
def test_factor_is_what_the_forward_pass_multiplies_by(k, real):
    x, gamma, beta, _ = draw((7, 5), real)
    (mean,), (var,) = moments(reference, x[None])
    factor, y = np.full_like(gamma, np.nan), np.full_like(x, np.nan)
    affine = Affine(gamma, beta, EPS, SCALE)
    k.batchnorm_factor(affine, var, factor)
    k.batchnorm_forward(x, affine, Moments(mean, var), y)
    agree(y, (x - mean) * factor + beta, 8, np.abs((x - mean) * factor) + np.abs(beta))


@COMPILED
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("shape", SHAPES[:3])
def test_backward_in_place_and_from_sums(small_tiles, k, shape, frozen):
    """dx may be dy, to the bit; and sums that somebody has already are taken for what they are."""
    x, gamma, beta, dy = draw(shape, np.float32)
    (mean,), (var,) = moments(reference, x[None])
    *_, dx = run(k, x, gamma, beta, dy, mean, var, frozen)
    slope, (dgamma, dbeta) = dy.copy(), np.full((2, shape[1]), np.nan, x.dtype)
    affine, given = Affine(gamma, beta, EPS, SCALE), Moments(mean, var)
    k.batchnorm_backward(slope, x, affine, given, frozen, slope, dgamma, dbeta)
    assert np.array_equal(slope, dx)
    sums = np.random.default_rng(6).normal(size=(2, shape[1])).astype(np.float32)
    got, want = np.full((2, *shape), np.nan, np.float32)
    gradients = np.full((2, 2, shape[1]), np.nan, np.float32)
    for target, out, both in zip((k, reference), (got, want), gradients, strict=True):
        target.batchnorm_backward(dy, x, affine, given, frozen, out, *both, sums)
    inverse = 1 / np.sqrt(var.astype(np.float64) + EPS)
    share = np.abs(sums) / shape[0]
    centred = np.abs(dy) + share[0] + np.abs(x - mean) * inverse * share[1] * inverse
    agree(got, want, 16, SCALE * np.abs(gamma) * inverse * centred)
    agree(gradients[0], gradients[1], 8, np.abs(sums[::-1]) * np.maximum(1, [SCALE * inverse, np.ones_like(inverse)]))


# --- folded into weights ------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("real", REALS)
def test_folded_weights_do_both(k, bias, real):
    """A product and the normalisation behind it, against one product with the folded weights."""
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(61, 7)).astype(real), rng.normal(size=(7, 5)).astype(real)
    gamma, beta, mean = rng.normal(1, 0.3, (3, 5)).astype(real)
    var, b = rng.uniform(0.2, 2, 5).astype(real), rng.normal(size=5).astype(real) if bias else None
    folded_w, folded_b = np.full_like(w, np.nan), np.full_like(beta, np.nan)
    affine, given = Affine(gamma, beta, EPS, SCALE), Moments(mean, var)
    k.batchnorm_fold(w, b, affine, given, folded_w, folded_b)
    product = x @ w + (b if bias else 0)
    want = np.empty_like(product)
    reference.batchnorm_forward(product, affine, given, want)
    factor = SCALE * np.abs(gamma) / np.sqrt(var.astype(np.float64) + EPS)
    scale = factor * (np.abs(x) @ np.abs(w) + (np.abs(b) if bias else 0) + np.abs(mean)) + np.abs(beta)
    agree(x @ folded_w + folded_b, want, 7 + 8, scale)


# --- a scale a step -----------------------------------------------------------------------------------------


def scaled(k, x, p, dy):
    """y, dx and dp of one target, in memory that held NaN."""
    y, dx, dp = np.full_like(x, np.nan), np.full_like(x, np.nan), np.full_like(p, np.nan)
    k.scale_steps_forward(x, p, y)
    k.scale_steps_backward(dy, x, p, dx, dp)
    return y, dx, dp


def draw_steps(shape, real):
    rng = np.random.default_rng(5)
    x, dy = rng.normal(size=(2, 3, *shape)).astype(real)
    return x, rng.normal(1, 0.3, 3).astype(real), dy


def test_reference_scales_steps():
    x, p, dy = draw_steps((7, 3), np.float64)
    y, dx, dp = scaled(reference, x, p, dy)
    assert all(np.array_equal(y[t], p[t] * x[t]) for t in range(3))
    is_gradient(dx, lambda: (dy * scaled(reference, x, p, dy)[0]).sum(), x)
    is_gradient(dp, lambda: (dy * scaled(reference, x, p, dy)[0]).sum(), p)
