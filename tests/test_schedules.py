"""Schedules: a factor as a function of progress."""

import math
import re

import pytest

from numsnn.schedules import Constant, Cosine, Schedule, Step

ROUNDING = 1e-15
"""A few roundings of numbers of order 1."""


@pytest.mark.parametrize("epoch", [0, 0.5, 7, 9.99])
def test_constant(epoch):
    assert Constant().factor(epoch, 10) == 1.0


@pytest.mark.parametrize("schedule", [Constant(warmup=4), Cosine(warmup=4), Step(100, warmup=4)], ids=repr)
def test_warm_up_rises_linearly_from_zero(schedule):
    assert [schedule.factor(epoch, 10) for epoch in (0, 1, 2.5, 4)] == [0, 0.25, 0.625, 1]


def test_cosine():
    """1 at the start, 1/2 in the middle, 0 at the end, and its own formula in between."""
    schedule = Cosine()
    assert schedule.factor(0, 10) == 1
    assert schedule.factor(5, 10) == pytest.approx(0.5, abs=ROUNDING)
    assert schedule.factor(10, 10) == pytest.approx(0, abs=ROUNDING)
    assert schedule.factor(2.5, 10) == pytest.approx((1 + math.sqrt(0.5)) / 2, abs=ROUNDING)
    values = [schedule.factor(k / 10, 10) for k in range(101)]
    assert values == sorted(values, reverse=True)


def test_cosine_after_warm_up_and_down_to_its_final_factor():
    schedule = Cosine(warmup=2, final=0.1)
    assert schedule.factor(1, 10) == 0.5
    assert schedule.factor(2, 10) == 1
    assert schedule.factor(6, 10) == pytest.approx(0.55, abs=ROUNDING)
    assert schedule.factor(10, 10) == pytest.approx(0.1, abs=ROUNDING)


def test_cosine_past_its_end_stays_there():
    assert Cosine(final=0.1).factor(12, 10) == pytest.approx(0.1, abs=ROUNDING)
    assert Cosine(warmup=5).factor(3, 2) == 0.6
    assert Cosine(warmup=5, final=0.2).factor(5, 2) == 1


@pytest.mark.parametrize(("epoch", "factor"), [(0, 1), (2.99, 1), (3, 0.5), (5.99, 0.5), (6, 0.25), (30, 0.5**10)])
def test_step(epoch, factor):
    assert Step(3, gamma=0.5).factor(epoch, 10) == factor


def test_step_during_warm_up():
    assert Step(2, gamma=0.5, warmup=4).factor(3, 10) == 0.75 * 0.5


def test_step_takes_a_tenth_by_default():
    assert Step(3).factor(3, 10) == 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(warmup=-1), "Constant: warmup must be at least 0; got -1"),
        (lambda: Constant(warmup=math.inf), "Constant: warmup must be a finite number; got inf"),
        (lambda: Cosine(warmup="2"), "Cosine: warmup must be a finite number; got '2'"),
        (lambda: Cosine(final=1.5), "Cosine: final must lie in [0, 1]; got 1.5"),
        (lambda: Step(0), "Step: every must be a whole number of at least 1; got 0"),
        (lambda: Step(1.5), "Step: every must be a whole number of at least 1; got 1.5"),
        (lambda: Step(3, gamma=0), "Step: gamma must be positive; got 0"),
        (lambda: Step(3, warmup=math.nan), "Step: warmup must be a finite number; got nan"),
    ],
)
def test_settings_that_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


class UnwrittenSchedule(Schedule):
    """Writes nothing of what a schedule has to write."""


def test_what_a_schedule_has_to_write():
    with pytest.raises(TypeError, match=r"^UnwrittenSchedule has no factor\(epoch, epochs\)$"):
        UnwrittenSchedule().factor(0, 1)
