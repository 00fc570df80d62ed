"""Checks of arguments: a valid argument becomes a plain number; an invalid one gives an error of one line."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from numsnn.validate import at_least, flag, number, pair, positive, whole, within

INF, NAN = math.inf, math.nan


def refuses(message):
    return pytest.raises(ValueError, match=f"^{re.escape(message)}$")


@pytest.mark.parametrize("value", [0, -3, 2.5, np.float32(0.25), np.int8(-4), Fraction(1, 4)])
def test_number(value):
    assert number("x", value) == float(value)
    assert type(number("x", value)) is float


@pytest.mark.parametrize(
    "value", [True, False, None, "1", 1j, [1.0], np.array(1.0), INF, -INF, NAN, np.nan, Decimal(1)]
)
def test_not_a_number(value):
    with refuses(f"x must be a finite number; got {value!r}"):
        number("x", value)


def test_at_least():
    assert at_least("x", 2, 2) == 2.0
    assert type(at_least("x", np.int8(3), 0.5)) is float
    with refuses("x must be at least 0.5; got 0.25"):
        at_least("x", 0.25, 0.5)
    with refuses("x must be a finite number; got nan"):
        at_least("x", NAN, 0)


def test_positive():
    assert positive("x", 5e-324) == 5e-324
    assert type(positive("x", 3)) is float
    for value in (0, 0.0, -0.0, -1):
        with refuses(f"x must be positive; got {value!r}"):
            positive("x", value)
    with refuses("x must be a finite number; got inf"):
        positive("x", INF)


def test_within():
    assert [within("x", value, 0, 1) for value in (0, 0.5, 1)] == [0, 0.5, 1]
    assert type(within("x", 1, 0, 1)) is float
    for value in (-0.001, 1.001):
        with refuses(f"x must lie in [0, 1]; got {value}"):
            within("x", value, 0, 1)
    with refuses("x must be a finite number; got nan"):
        within("x", NAN, 0, 1)


def test_within_an_open_interval():
    assert within("x", 0, 0, 1, open_high=True) == 0
    assert within("x", math.nextafter(1, 0), 0, 1, open_high=True) < 1
    assert within("x", 1, 0, 1, open_low=True) == 1
    with refuses("x must lie in (0, 1]; got 0"):
        within("x", 0, 0, 1, open_low=True)
    with refuses("x must lie in (0, 1); got 0.0"):
        within("x", 0.0, 0, 1, open_low=True, open_high=True)
    with refuses("x must lie in [0, 1); got 1.0"):
        within("x", 1.0, 0, 1, open_high=True)


@pytest.mark.parametrize(("value", "low"), [(1, 1), (0, 0), (-2, -2), (np.int64(7), 1), (np.uint8(7), 1)])
def test_whole(value, low):
    assert whole("n", value, low) == value
    assert type(whole("n", value, low)) is int


@pytest.mark.parametrize(
    ("value", "low"), [(0, 1), (-1, 0), (1.0, 1), (True, 1), (None, 0), ("3", 1), (np.float32(2), 1)]
)
def test_not_whole(value, low):
    with refuses(f"n must be a whole number of at least {low}; got {value!r}"):
        whole("n", value, low)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, (3, 3)), ((1, 2), (1, 2)), ([1, 2], (1, 2)), (np.int32(2), (2, 2)), (np.array([1, 2]), (1, 2))],
)
def test_pair(value, expected):
    assert pair("p", value, 1) == expected
    assert type(pair("p", value, 1)) is tuple
    assert all(type(part) is int for part in pair("p", value, 1))


@pytest.mark.parametrize("value", [(1,), (1, 2, 3), (), "12", 1.5, None, {1, 2}])
def test_not_a_pair(value):
    with refuses(f"p must be a whole number or a pair of them; got {value!r}"):
        pair("p", value, 1)


@pytest.mark.parametrize("value", [0, (1, 0), (0, 1)])
def test_pair_of_numbers_that_are_too_small(value):
    with refuses("p must be a whole number of at least 1; got 0"):
        pair("p", value, 1)


def test_pair_of_truths():
    with refuses("p must be a whole number of at least 0; got True"):
        pair("p", True, 0)


def test_flag():
    assert flag("f", True) is True and flag("f", False) is False
    assert flag("f", np.True_) is True and flag("f", np.False_) is False
    for value in (0, 1, None, "yes", np.int64(1), np.array([True])):
        with refuses(f"f must be True or False; got {value!r}"):
            flag("f", value)
