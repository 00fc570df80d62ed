"""Optimiser updates: three steps of one number written out, then compiled kernels against reference."""

import math

import numpy as np
import pytest
from bounds import REALS, agree
from targets import cpu, reference
from twins import twin

from numsnn.kernels.types import Adam, Momentum, Segments

BOTH = pytest.mark.parametrize("k", [reference, cpu, twin], ids=lambda k: k.name)
COMPILED = pytest.mark.parametrize("k", [cpu, twin], ids=lambda k: k.name)
GRADIENTS = (0.5, -1.25, 2.0)
START = 1.5
FREE = -math.inf, math.inf
ENDS = [
    ([1], [(0.1, 0.01, *FREE)]),
    ([16, 48, 105], [(0.1, 0.01, *FREE), (0.03, 0.0, -0.25, 0.3), (0.2, 0.5, -1, math.inf)]),
    ([80], [(0.05, 0.1, *FREE)]),
]
"""Segments that fill less and more than a tile, with rates, decays and bounds of their own."""


def one(x):
    return np.array([x], np.float64)


def plan(ends, rows, real=np.float64):
    """Segments as kernels take them."""
    return Segments(np.array(ends), np.ascontiguousarray(np.array(rows, real).T))


def single(lr, decay, low=-math.inf, high=math.inf):
    """The plan of one number."""
    return plan([1], [(lr, decay, low, high)])


# --- stochastic gradient descent ----------------------------------------------------------------------------


@BOTH
def test_plain_sgd_by_hand(k):
    """value -= 0.1 (g + 0.5 value): 1.5 -> 1.375 -> 1.43125 -> 1.1596875."""
    value = one(START)
    for gradient, want in zip(GRADIENTS, (1.375, 1.43125, 1.1596875), strict=True):
        k.sgd_update(value, one(gradient), None, single(0.2, 0.5), 0.5, Momentum(0.0, False))
        agree(value, one(want), 8, START)


@BOTH
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_by_hand(k, nesterov):
    lr, momentum, decay = 0.1, 0.75, 0.25
    value, velocity = one(START), one(0)
    want, speed = START, 0.0
    for gradient in GRADIENTS:
        k.sgd_update(value, one(gradient), velocity, single(lr, decay), 1.0, Momentum(momentum, nesterov))
        step = gradient + decay * want
        speed = momentum * speed + step
        want -= lr * (step + momentum * speed) if nesterov else lr * speed
        agree(velocity, one(speed), 12, 4)
        agree(value, one(want), 12, 4)


@COMPILED
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("ends", "rows"), ENDS)
@pytest.mark.parametrize(("momentum", "nesterov"), [(None, False), (0.9, False), (0.9, True)])
def test_sgd_is_the_reference(small_tiles, k, momentum, nesterov, ends, rows, real):
    value, gradient, velocity = np.random.default_rng(1).normal(size=(3, ends[-1])).astype(real)
    got, want = [value.copy(), velocity.copy()], [value.copy(), velocity.copy()]
    for target, (v, speed) in ((k, got), (reference, want)):
        moving = speed if momentum else None
        target.sgd_update(v, gradient, moving, plan(ends, rows, real), 0.9, Momentum(momentum or 0.0, nesterov))
    scale = np.abs(value) + np.abs(gradient) + np.abs(velocity)
    for array, oracle in zip(got, want, strict=True):
        agree(array, oracle, 8, scale)
    assert np.array_equal(got[1], velocity) == (momentum is None)


# --- Adam ---------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_by_hand(k, decay, decoupled):
    """The published algorithm, its bias corrections and its epsilon where they stand there."""
    lr, beta1, beta2, eps = 0.05, 0.8, 0.95, 1e-3
    value, first, second = one(START), one(0), one(0)
    want, m, v = START, 0.0, 0.0
    for step, gradient in enumerate(GRADIENTS, 1):
        k.adam_update(
            value, one(gradient), first, second, single(2 * lr, decay), 0.5, Adam(beta1, beta2, eps, decoupled), step
        )
        g = gradient if decoupled else gradient + decay * want
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        shrunk = want - lr * decay * want if decoupled else want
        want = shrunk - lr * (m / (1 - beta1**step)) / (math.sqrt(v / (1 - beta2**step)) + eps)
        for array, number in ((value, want), (first, m), (second, v)):
            agree(array, one(number), 40, 4)


@BOTH
def test_first_adam_step_is_the_rate(k):
    """The two corrections make the first step lr against the sign of the gradient, however large the gradient is."""
    for gradient in (1e-3, -5.0, 1e6):
        value, first, second = one(0), one(0), one(0)
        k.adam_update(value, one(gradient), first, second, single(0.01, 0.0), 1.0, Adam(0.9, 0.999, 0.0, False), 1)
        agree(value, one(-math.copysign(0.01, gradient)), 40, 0.01 / 0.001)  # 1 - beta2 loses 3 digits


@COMPILED
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("ends", "rows"), ENDS)
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_is_the_reference(small_tiles, k, decoupled, ends, rows, real):
    beta1, beta2, eps, step = 0.9, 0.99, 1e-3, 4
    value, gradient, first = np.random.default_rng(2).normal(size=(3, ends[-1])).astype(real)
    second = np.random.default_rng(3).uniform(0.1, 2, ends[-1]).astype(real)
    got, want = ([a.copy() for a in (value, first, second)] for _ in range(2))
    for target, (v, m, s) in ((k, got), (reference, want)):
        adam = Adam(beta1, beta2, eps, decoupled)
        target.adam_update(v, gradient, m, s, plan(ends, rows, real), 0.9, adam, step)
    lr, decay = (np.repeat([row[j] for row in rows], np.diff([0, *ends])) for j in (0, 1))
    g = np.abs(gradient) + decay * np.abs(value)
    rate = 0.9 * lr / (1 - beta1**step) / np.sqrt(want[2] / (1 - beta2**step))
    moved = np.abs(value) + rate * (np.abs(first) + g)
    scales = moved, np.abs(first) + g, second + g * g
    for array, oracle, scale in zip(got, want, scales, strict=True):
        agree(array, oracle, 16, scale)


@BOTH
@pytest.mark.parametrize("momentum", [None, 0.5])
def test_values_stay_within_their_bounds(k, momentum):
    """The one in the middle has none; NaN is not taken for a bound."""
    value, gradient = np.zeros(5), np.array([-9.0, 9, 9, 9, math.nan])
    bounds = [(-0.25, 0.5), (-0.25, 0.5), FREE, (-0.125, 1), (-0.125, 1)]
    segments = plan(range(1, 6), [(0.25, 0, *pair) for pair in bounds])
    k.sgd_update(value, gradient, np.zeros(5) if momentum else None, segments, 1.0, Momentum(momentum or 0.0, False))
    np.testing.assert_array_equal(value, [0.5, -0.25, -2.25, -0.125, math.nan])
    value = np.zeros(5)
    k.adam_update(value, gradient, *np.zeros((2, 5)), segments, 8.0, Adam(0.5, 0.5, 1e-8, False), 1)
    np.testing.assert_allclose(value, [0.5, -0.25, -2, -0.125, math.nan], rtol=1e-7)


# --- the rest -----------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("shape", [(1,), (3, 5, 7), (1, 2, 1, 41)])
def test_sum_squares(small_tiles, k, shape, real):
    """The sum is made in float64, whatever the array's type."""
    x = np.random.default_rng(4).normal(size=shape).astype(real)
    total = k.sum_squares(x)
    want = math.fsum(float(value) ** 2 for value in x.ravel())
    assert type(total) is float
    agree(total, want, x.size + 2, want)


@BOTH
def test_sum_squares_does_not_overflow_and_shows_nan(k):
    assert k.sum_squares(np.full(3, 1e25, np.float32)) > 1e50
    assert math.isnan(k.sum_squares(np.array([1, np.nan], np.float32)))


@BOTH
@pytest.mark.parametrize("real", REALS)
def test_scale_in_place(k, real):
    x = np.array([[-3, -0.5], [0.25, 8]], real)
    same = x
    k.scale(x, 0.5)
    assert same.tolist() == [[-1.5, -0.25], [0.125, 4]]
    assert same.dtype == real
