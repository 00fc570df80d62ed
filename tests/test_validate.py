"""Checks of arguments: a valid argument becomes a plain number; an invalid one gives an error of one line."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from numsnn.shown import shown
from numsnn.validate import at_least, flag, instance, number, pair, path_of, positive, text, whole, within

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


@pytest.mark.parametrize("value", [1e39, -1e300, 10**40, Fraction(10**400, 3), 10**5000], ids=shown)
def test_numbers_that_float32_does_not_hold(value):
    with refuses(f"x must be at most 3.4e38, the largest number in float32; got {shown(value)}"):
        number("x", value)


def test_a_number_that_becomes_0_where_0_is_not_allowed():
    for check in (positive, lambda what, value: within(what, value, 0, 1, open_low=True)):
        with refuses("x must be positive, and this number becomes 0 in float32; got 1e-50"):
            check("x", 1e-50)
    assert at_least("x", 1e-50, 0) == within("x", 1e-50, 0, 1) == 1e-50


def test_at_least():
    assert at_least("x", 2, 2) == 2.0
    assert type(at_least("x", np.int8(3), 0.5)) is float
    with refuses("x must be at least 0.5; got 0.25"):
        at_least("x", 0.25, 0.5)
    with refuses("x must be a finite number; got nan"):
        at_least("x", NAN, 0)


def test_positive():
    assert positive("x", 2e-45) == 2e-45  # float32 holds it
    assert type(positive("x", 3)) is float
    for value in (0, 0.0, -0.0, -1):
        with refuses(f"x must be positive; got {value!r}"):
            positive("x", value)
    with refuses("x must be a finite number; got inf"):
        positive("x", INF)
    with refuses("x must be positive, and this number becomes 0 in float32; got 5e-46"):
        positive("x", 5e-46)


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


def test_whole_numbers_that_are_too_large():
    with refuses("n must be a whole number of at most 2^63 - 1; got 9223372036854775808"):
        whole("n", 2**63)
    with refuses("n must be a whole number of at most 1,024; got 1025"):
        whole("n", 1025, high=1024)
    with refuses("n must be a whole number of at most 2^63 - 1; got a whole number of 16610 bits"):
        whole("n", 10**5000)


def test_text():
    assert text("t", "a name") == "a name" and text("t", "") == "" and text("t", "a\nb", lines=True) == "a\nb"
    for value in (None, 1, b"x", ["x"]):
        with refuses(f"t must be a text; got {value!r}"):
            text("t", value)
    with refuses("t must be a text that is not empty; got ''"):
        text("t", "", empty=False)
    with refuses("t must be one line of printable characters, at most 1000; got 'a\\nb'"):
        text("t", "a\nb")
    with refuses("t must be a text that UTF-8 can hold; got '\\udcff'"):
        text("t", "\udcff", lines=True)


def test_path_of(tmp_path):
    assert path_of("p", str(tmp_path)) == path_of("p", tmp_path) == tmp_path
    for value in (None, 1, True, b"x", ["x"]):  # a number would be a file that is open already
        with pytest.raises(
            TypeError, match=f"^{re.escape(f'p must be a path, as a text or pathlib.Path; got {value!r}')}$"
        ):
            path_of("p", value)
    for value in ("", "a\0b", "a\nb", "x" * 5000):
        with refuses(f"p must be the path of a file or folder; got {shown(value)}"):
            path_of("p", value)


def test_instance():
    assert instance("n", 3, int, "a whole number") == 3
    with pytest.raises(TypeError, match=r"^n must be a whole number; got '3'$"):
        instance("n", "3", int, "a whole number")
    with pytest.raises(TypeError, match=r"^n must be a whole number; got <class 'bool'>. Make one: bool\(\.\.\.\)$"):
        instance("n", bool, int, "a whole number")


def test_pair_of_truths():
    with refuses("p must be a whole number of at least 0; got True"):
        pair("p", True, 0)


def test_flag():
    assert flag("f", True) is True and flag("f", False) is False
    assert flag("f", np.True_) is True and flag("f", np.False_) is False
    for value in (0, 1, None, "yes", np.int64(1), np.array([True])):
        with refuses(f"f must be True or False; got {value!r}"):
            flag("f", value)
