"""What all tables of checks share: what a check is, and how close numbers must be."""

from collections.abc import Callable
from typing import NamedTuple

from ..layers import Mode
from .subject import Subject

CLOSE = 1e-9
"""Largest difference in float64, as a share of the largest number of an array, that rounding can make."""

STORED = Mode(store=True)
"""Inference with a backward pass: samples do not depend on each other, and nothing is tracked."""


class Check(NamedTuple):
    """A check, and a function that returns why it does not apply to a layer, or None if it does."""

    run: Callable[[Subject], None]
    needs: Callable[[Subject], str | None]


def into(table: dict[str, Check]):
    """Return a decorator ``check(needs)`` that enters a function into a table of checks under its own name."""

    def check(needs: Callable[[Subject], str | None] = lambda subject: None):
        def register(function):
            table[function.__name__] = Check(function, needs)
            return function

        return register

    return check
