"""How a value is shown in the message of an error: in one short line, whatever the value is.

This module imports nothing from the package, so that every module may use it.
"""

import reprlib
from itertools import islice
from numbers import Integral
from typing import Any

import numpy as np

LONGEST = 100
"""Characters of a value in a message. The middle of a longer text is left out."""

MESSAGE = 600
"""Characters of the message of another error, or of a text from a file, in a message."""

FEW = 10
"""Arrays with at most this number of elements are shown as they are, others by shape and dtype."""


class _Containers(reprlib.Repr):
    def repr_dict(self, x, level):
        """In the order of the dict; the base class sorts the keys."""
        if level <= 0:
            return "{...}"
        first = [(self.repr1(key, level - 1), self.repr1(value, level - 1)) for key, value in islice(x.items(), 20)]
        return "{" + ", ".join([*map(": ".join, first), *["..."][: len(x) > 20]]) + "}"


_CONTAINERS = _Containers()
"""Shows the first entries of a container: the text of all entries of a long list takes seconds."""
_CONTAINERS.maxlist = _CONTAINERS.maxtuple = _CONTAINERS.maxset = _CONTAINERS.maxfrozenset = 20
_CONTAINERS.maxstring = _CONTAINERS.maxlong = _CONTAINERS.maxother = 200


def shown(value: Any, longest: int = LONGEST) -> str:
    """Return the repr of a value as one line of at most `longest` characters."""
    if isinstance(value, np.ndarray) and value.size > FEW:
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, Integral) and not isinstance(value, bool) and abs(int(value)) >= 10**longest:
        return f"a whole number of {int(value).bit_length()} bits"
    try:
        text = _CONTAINERS.repr(value) if isinstance(value, list | tuple | set | frozenset | dict) else repr(value)
    except Exception:  # a broken __repr__ of a user's class, a list that is too deep, or digits beyond Python's limit
        text = f"an object of type {type(value).__name__}"
    return one_line(text, longest)


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return a text of any origin, such as a file, as one line of at most `longest` characters.

    Line breaks become blanks and characters that cannot be printed escapes, so that a terminal shows them and does not
    obey them.
    """
    line = " ".join(_cut(text, 4 * longest).split())
    if not line.isprintable():
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return _cut(line, longest)


def _cut(text, longest):
    """Leave out the middle of a text that is too long."""
    half = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"


def printable(text: object, lines: bool = False) -> str:
    """Return a text of which nothing can control a terminal: what cannot be printed is replaced by "?".

    Args:
        text: any text, such as a name from a file, or an object whose text is meant.
        lines: whether ends of lines stay. Default False.
    """
    return "".join(one if one.isprintable() or (lines and one == "\n") else "?" for one in str(text))
