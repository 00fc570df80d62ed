"""Optimiser updates: three steps of one number written out, then compiled kernels against reference."""

import math

import numpy as np
import pytest
from bounds import REALS, agree
from targets import cpu, reference
from twins import twin

from numsnn.kernels.types import Adam, Momentum, Segments

BOTH = pytest.mark.parametrize("k", [reference, cpu, twin], ids=lambda k: k.name)
GRADIENTS = (0.5, -1.25, 2.0)
START = 1.5
FREE = -math.inf, math.inf


def one(x):
    return np.array([x], np.float64)


def plan(ends, rows, real=np.float64):
    """Segments as kernels take them."""
    return Segments(np.array(ends), np.ascontiguousarray(np.array(rows, real).T))


def single(lr, decay, low=-math.inf, high=math.inf):
    """The plan of one number."""
    return plan([1], [(lr, decay, low, high)])


def corrections(beta1, beta2, *updates, real=np.float64):
    """The published bias corrections of segments that are in these updates."""
    rows = [1 / (1 - beta1**k) for k in updates], [1 / math.sqrt(1 - beta2**k) for k in updates]
    return np.array(rows, real)


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
        adam, due = Adam(beta1, beta2, eps, decoupled), corrections(beta1, beta2, step)
        k.adam_update(value, one(gradient), first, second, single(2 * lr, decay), 0.5, adam, due)
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
    adam, due = Adam(0.9, 0.999, 0.0, False), corrections(0.9, 0.999, 1)
    for gradient in (1e-3, -5.0, 1e6):
        value, first, second = one(0), one(0), one(0)
        k.adam_update(value, one(gradient), first, second, single(0.01, 0.0), 1.0, adam, due)
        agree(value, one(-math.copysign(0.01, gradient)), 40, 0.01 / 0.001)  # 1 - beta2 loses 3 digits


@BOTH
def test_every_segment_has_its_own_corrections(k):
    """Two numbers in their fourth update, and between them one in its first, which moves by its rate."""
    beta1, beta2 = 0.5, 0.75
    value, first, second = np.zeros(3), np.array([0.25, 0.0, 1.0]), np.array([0.25, 0.0, 3.0])
    segments = plan([1, 2, 3], [(0.5, 0.0, *FREE)] * 3)
    due = corrections(beta1, beta2, 4, 1, 4)
    k.adam_update(value, np.ones(3), first, second, segments, 1.0, Adam(beta1, beta2, 0.0, False), due)
    np.testing.assert_array_equal(first, [0.625, 0.5, 1.0])
    np.testing.assert_array_equal(second, [0.4375, 0.25, 2.5])
    late = [0.5 * m / (15 / 16) / math.sqrt(v / (175 / 256)) for m, v in ((0.625, 0.4375), (1.0, 2.5))]
    np.testing.assert_allclose(value, [-late[0], -0.5, -late[1]], rtol=1e-14)


@pytest.mark.parametrize("update", [1, 2, 40])
def test_corrections(update):
    """They make the moments of a constant gradient that gradient and its size, in every update."""
    adam, gradient, first, second = Adam(0.9, 0.99, 0.0, False), -3.0, 0.0, 0.0
    for _ in range(update):
        first += (1 - adam.beta1) * (gradient - first)
        second += (1 - adam.beta2) * (gradient**2 - second)
    correction1, correction2 = adam.corrections(update)
    assert first * correction1 == pytest.approx(-3.0, rel=1e-13)
    assert math.sqrt(second) * correction2 == pytest.approx(3.0, rel=1e-13)


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
    due = corrections(0.5, 0.5, 1, 1, 1, 1, 1)
    k.adam_update(value, gradient, *np.zeros((2, 5)), segments, 8.0, Adam(0.5, 0.5, 1e-8, False), due)
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
