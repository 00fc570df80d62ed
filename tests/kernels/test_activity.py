"""Penalties on activity: rates counted by hand, gradients compared with differences, then compiled kernels."""

import math

import numpy as np
import pytest
from bounds import REALS, agree
from targets import ALL, reference

from numsnn.kernels.types import Band, Direct

WEIGHT, LOW, HIGH = 0.7, 0.3, 0.5

PENALTIES = {
    "band": ("rate_band", (Band(LOW, HIGH), WEIGHT)),
    "point": ("rate_band", (Band(0.4, 0.4), WEIGHT)),
    "l1": ("rate_power", (1, WEIGHT)),
    "l2": ("rate_power", (2, WEIGHT)),
}
NAMES = pytest.mark.parametrize("name", PENALTIES)


def run(k, name, s, real=None):
    """value and pull of one target, in memory that held NaN."""
    function, settings = PENALTIES[name]
    out = np.full((2, s.shape[1]), np.nan, real or s.dtype)
    getattr(k, function)(s, *settings, *out)
    return out


def spikes(rows=11, units=7):
    """Spike trains of every rate: the first unit is silent, the last one fires always."""
    return (np.random.default_rng(1).random((rows, units)) < np.linspace(0, 1, units)).astype(np.uint8)


def relaxed(rows=11, units=7):
    """What relaxed mode has in their place."""
    return np.linspace(0.1, 0.9, units) + np.random.default_rng(2).uniform(-0.1, 0.1, (rows, units))


def written_out(name, rate):
    """A unit's penalty without the weight."""
    if name == "l1":
        return rate
    if name == "l2":
        return rate * rate
    (low, high), _ = PENALTIES[name][1]
    return (low - rate) ** 2 if rate < low else (rate - high) ** 2 if rate > high else 0.0


@NAMES
@pytest.mark.parametrize("draw", [spikes, relaxed])
def test_reference_value(name, draw):
    s = draw()
    value, _ = run(reference, name, s, np.float64)
    rates = [math.fsum(s[:, f]) / len(s) for f in range(s.shape[1])]
    assert min(rates) < LOW and max(rates) > HIGH and any(LOW < rate < HIGH for rate in rates)
    want = np.array([WEIGHT * written_out(name, rate) / len(rates) for rate in rates])
    agree(value, want, 10, 1)


@ALL
@NAMES
def test_size_does_not_matter(k, name):
    """Twice the rows, or every unit twice: the penalty is the same."""
    s = spikes()
    want = run(k, name, s, np.float64)[0].sum()
    for larger in (np.tile(s, (2, 1)), np.tile(s, (1, 2))):
        agree(run(k, name, larger, np.float64)[0].sum(), want, 40, 1)


@ALL
def test_rates_within_the_band_cost_nothing(k):
    s = np.zeros((10, 3), np.uint8)
    s[:3, 0] = s[:4, 1] = s[:5, 2] = 1
    assert not run(k, "band", s, np.float64).any()


@ALL
def test_rates_are_pulled_into_the_band(k):
    """A negative gradient raises the rate."""
    s = np.zeros((10, 2), np.uint8)
    s[:, 1] = 1
    _, pull = run(k, "band", s, np.float64)
    assert pull[0] < 0 < pull[1]


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("rows", "units"), [(1, 1), (11, 7)])
def test_adding_rows(rows, units, real):
    x, u = np.random.default_rng(1).normal(size=(2, rows, units)).astype(real)
    centre, offset, slope = np.random.default_rng(2).normal(size=(3, units)).astype(real)
    y = np.full((2, rows, units), np.nan, real)
    reference.add_row(x, offset, y[0])
    reference.add_affine(x, u, Direct(centre, offset, slope), y[1])
    scale = np.abs(x) + np.abs(slope) * (np.abs(u) + np.abs(centre)) + np.abs(offset)
    agree(y[0], np.array([[x[m, f] + offset[f] for f in range(units)] for m in range(rows)]), 1, scale)
    agree(y[1], x + (offset + slope * (u - centre)), 4, scale)
