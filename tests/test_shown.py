"""How values are shown in messages: in one short line, whatever they are."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.shown import LONGEST, one_line, shown


class Broken:
    def __repr__(self):
        raise RuntimeError("no text")


class Ugly:
    def __repr__(self):
        return "Ugly(\n    1,\n)\x1b[31m"


def deep():
    one: list = []
    for _ in range(5000):
        one = [one]
    return one


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        ("a\nb", "'a\\nb'"),
        (np.arange(3), "array([0, 1, 2])"),
        (np.zeros((4, 5), np.float32), "an array of shape (4, 5) and dtype float32"),
        (10**5000, "a whole number of 16610 bits"),
        ({"b": 1, "a": [2, {}]}, "{'b': 1, 'a': [2, {}]}"),
        (
            dict.fromkeys(range(10**6), 0),
            "{0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0,..., 14: 0, 15: 0, 16: 0, 17: 0, 18: 0, 19: 0, ...}",
        ),
        (Broken(), "an object of type Broken"),
        ([0] * 10**7, "[" + 20 * "0, " + "...]"),
        (deep(), "[[[[[[[...]]]]]]]"),
        (Ugly(), "Ugly( 1, )\\x1b[31m"),
        (snn.Sequential(snn.Linear(3, 4), snn.LIF()), "Sequential(Linear(3, 4), LIF(tau=2.0, surrogate=PSG()))"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isprintable() else "",
)
def test_shown(value, text):
    assert shown(value) == text
    assert shown(value).isprintable()


def test_long_values_are_cut_in_the_middle():
    text = shown("x" * 100_000)
    assert len(text) <= LONGEST and text.startswith("'xxx") and "..." in text and text.endswith("xxx'")
    assert len(one_line("word " * 1000, 40)) <= 40


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\n  lines\r\nthree\u2028four", "two lines three four"),
        ("\x1b[31mred\x07\ud800", r"\x1b[31mred\x07\ud800"),
        ("ü é 漢", "ü é 漢"),
        ("", ""),
    ],
)
def test_one_line(text, line):
    assert one_line(text) == line and line.isprintable()


@pytest.mark.parametrize("text", ["\x1b" * 10**6, "a\n" * 10**6, "b" * (LONGEST + 1)])
def test_one_line_is_not_long(text):
    line = one_line(text)
    assert LONGEST - 1 <= len(line) <= LONGEST and line.isprintable()
