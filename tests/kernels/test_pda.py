"""Potential distribution adjustment: the tracked correction and the divergence objective."""

import math

import numpy as np
import pytest
from bounds import REALS, agree
from targets import ALL, REFERENCE, reference

from numsnn.kernels.types import Direct, Moments, Norm, Objective

EPS, WEIGHT = 1e-2, 0.6
CHANNELS = 3


def run(k, mean, var, target_mean, target_var, n, eps=EPS):
    """value, p_offset, p_slope of one target, in memory that held NaN. The centre of the gradient is the mean."""
    out = np.full((4, len(mean)), np.nan, mean.dtype)
    value, *direct = out
    target = Moments(target_mean, target_var)
    k.divergence(Moments(mean, var), target, Objective(WEIGHT, eps, n), value, Direct(*direct))
    assert np.array_equal(direct[0], mean)
    return value, *direct[1:]


def draw(real):
    """Potentials [n, C], and the mean and variance they should have."""
    rng = np.random.default_rng(1)
    u = rng.normal(-0.3, 1.4, (29, CHANNELS)).astype(real)
    return u, np.array([0, 0.5, -0.2], real), np.array([1, 0.3, 2.5], real)


def one_sided(mean, var, other_mean, other_var):
    """KL(N(mean, var) || N(other_mean, other_var)), the textbook's formula."""
    return (math.log(other_var / var) + (var + (mean - other_mean) ** 2) / other_var - 1) / 2


def test_reference_value_is_the_symmetric_divergence():
    """KL one way plus KL the other way; averaged over channels, times the weight."""
    u, target_mean, target_var = draw(np.float64)
    mean, var = u.mean(0), u.var(0)
    value, *_ = run(reference, mean, var, target_mean, target_var, len(u))
    for c in range(CHANNELS):
        here, there = (mean[c], var[c] + EPS), (target_mean[c], target_var[c] + EPS)
        want = WEIGHT / CHANNELS * (one_sided(*here, *there) + one_sided(*there, *here))
        assert want > 0.01
        agree(value[c], want, 40, 1 + want)


@ALL
def test_nothing_to_adjust(k):
    """A channel that has the wanted distribution pays nothing and is not pushed."""
    _, mean, var = draw(np.float64)
    value, p_offset, p_slope = run(k, mean, var, mean, var, 29)
    agree(value, np.zeros(CHANNELS), 8, 1)
    agree(p_slope, np.zeros(CHANNELS), 8, 1 / (29 * var.min()))
    agree(p_offset, np.zeros(CHANNELS), 8, 1 / (29 * var.min()))


@ALL
@pytest.mark.parametrize("real", REALS)
def test_silent_channel_stays_finite(k, real):
    """No variance at all: eps keeps it from dividing by zero, and potentials are pushed apart and up."""
    constant = np.full(1, -0.5, real), np.zeros(1, real)
    value, p_offset, p_slope = run(k, *constant, np.zeros(1, real), np.ones(1, real), 29)
    assert np.isfinite([value, p_offset, p_slope]).all()
    assert value[0] > 0
    assert p_slope[0] < 0  # away from the mean
    assert p_offset[0] < 0  # a descent step raises the mean


@REFERENCE
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("shape", [(1, 1), (4, 3)])
def test_shift_update(k, shape, real):
    """d[t, c] grows by momentum times how far the step's mean lies above the channel's target."""
    d, mean = np.random.default_rng(2).normal(size=(2, *shape)).astype(real)
    target = np.random.default_rng(3).normal(size=shape[1]).astype(real)
    want = [
        [float(d[t, c]) + 0.1 * (float(mean[t, c]) - float(target[c])) for c in range(shape[1])]
        for t in range(shape[0])
    ]
    scale = np.abs(d) + np.abs(mean) + np.abs(target)
    k.shift_update(d, mean, target, 0.1)
    agree(d, np.array(want, real), 4, scale)


@ALL
def test_tracking_takes_the_shift_out(k):
    """A mean that falls by d when d is taken off settles on its target, at the pace of the momentum."""
    d, target = np.zeros((2, 1)), np.array([0.25])
    drift = np.array([[0.0], [-1.0]])
    for _ in range(100):
        k.shift_update(d, drift - d, target, 0.1)
    remaining = np.abs(drift - target) * 0.9**100
    agree(np.abs(drift - d - target), remaining, 400, 1)


# --- moments of moments -----------------------------------------------------------------------------------------------


@REFERENCE
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("steps", [1, 4])
def test_merged_steps_are_the_moments_of_all_steps(k, real, steps):
    """Around a mean that is large beside what steps differ by: its rounding is all that is lost of it."""
    u = np.random.default_rng(4).normal(30, 1, (steps, 50, CHANNELS))
    mean, var = u.mean(1).astype(real), u.var(1).astype(real)
    total = np.full((2, CHANNELS), np.nan, real)
    k.merge_steps(Moments(mean, var), Moments(*total))
    wide = mean.astype(np.float64)
    want = np.array([wide.mean(0), var.astype(np.float64).mean(0) + wide.var(0)])
    agree(total[0], want[0].astype(real), 2, np.abs(want[0]))
    spread = wide.max(0) - wide.min(0)
    agree(total[1], want[1].astype(real), steps + 8, want[1] + spread**2 + np.finfo(real).eps * np.square(wide).mean(0))


@REFERENCE
@pytest.mark.parametrize("real", REALS)
def test_normalised_moments(k, real):
    """The moments of (x - centre) factor + offset. The result may lie in the memory of the mean and the variance."""
    rng = np.random.default_rng(5)
    u = rng.normal(0.4, 1.3, (29, CHANNELS))
    mean, var = u.mean(0).astype(real), u.var(0).astype(real)
    centre, factor, offset = rng.normal(size=(3, CHANNELS)).astype(real)
    out = np.full((2, CHANNELS), np.nan, real)
    moments, norm = Moments(mean, var), Norm(centre, factor, offset)
    k.normalised_moments(moments, norm, Moments(*out))
    normalised = (u - centre) * factor + offset
    scale = (np.abs(mean) + np.abs(centre)) * np.abs(factor) + np.abs(offset)
    agree(out[0], normalised.mean(0).astype(real), 8, scale)
    agree(out[1], normalised.var(0).astype(real), 8, normalised.var(0))
    k.normalised_moments(moments, norm, moments)
    assert np.array_equal(mean, out[0]) and np.array_equal(var, out[1])
