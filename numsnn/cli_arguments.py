"""The parser of the command line: its errors have one line, and its numbers are checked when they are read."""

import argparse
from collections.abc import Callable
from typing import NoReturn

from .shown import one_line, shown
from .validate import LARGEST_WHOLE

LONGEST = 400
"""Characters of the longest message."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are a ValueError that says what is wrong, and where all arguments are listed."""

    def error(self, message: str) -> NoReturn:
        told = one_line(message.removeprefix("argument ").replace(": must", " must", 1), LONGEST)
        raise ValueError(f"{told}; see {self.prog} --help")


def whole_number(low: int, high: int = LARGEST_WHOLE) -> Callable[[str], int]:
    """Return a function that reads a whole number in low..high for an argument of a parser."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not low <= number <= high:
            most = "" if high == LARGEST_WHOLE else f" and at most {high}"
            got = shown(text if number is None else number)
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {low}{most}; got {got}")
        return number

    return read
