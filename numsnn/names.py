"""Looking up names that a user writes, and the errors for unknown names.

Each table of names is in the module of the named objects: surrogate families in `psg`, datasets in `data.builtin`,
neurons, losses, optimisers and schedules of a configuration in `experiment`, and so on. This module imports nothing
from the package but `shown`, so that every module may use it.
"""

import difflib
from collections.abc import Iterable, Mapping
from numbers import Number
from typing import Any, TypeVar

from .shown import shown

Choice = TypeVar("Choice")
Entry = TypeVar("Entry")

LONGEST_NAME = 200
"""Letters of the longest name for which near names are searched, which takes time."""


def choice(
    what: str,
    value: Choice,
    known: Iterable[Choice],
    other: str = "",
    error: type[Exception] = ValueError,
) -> Choice:
    """Return the value if it is one of the known values.

    Args:
        what: the argument, such as "PSG: per"; the message begins with it.
        value: what the user wrote.
        known: all allowed values.
        other: another allowed form that is handled elsewhere, such as "a TOML file"; the message names it. Default:
            none.
        error: class of the error. Default ValueError.

    Raises:
        ValueError, or the given error: the value is unknown. The message holds the value, all known values and the one
            that is nearest to it.
    """
    known = list(known)
    # Other objects, such as arrays, may have comparisons of their own.
    if not (value is None or isinstance(value, str | Number | tuple)) or value not in known:
        listed = ", ".join(map(repr, known)) + (f", or {other}" if other else "")
        raise error(f"{what} must be one of {listed}; got {shown(value)}{nearest(value, known)}")
    return value


def look_up(what: str, name: Any, table: Mapping[str, Entry], other: str = "") -> Entry:
    """Return the entry of a table under a name; arguments and errors are those of `choice`."""
    return table[choice(what, name, table, other)]


def argument(
    what: str, name: str, known: Iterable[str], kind: str = "argument", error: type[Exception] = TypeError
) -> None:
    """Refuse an unknown name of an argument.

    Args:
        what: the function or class that takes the argument; the message begins with it.
        name: what the user wrote.
        known: names of all arguments.
        kind: word for an argument in the message, such as "option". Default "argument".
        error: class of the error. Default TypeError.

    Raises:
        TypeError, or the given error: the name is unknown. The message holds the name and the nearest known name, or
            all known names if none is near.
    """
    known = list(known)
    if name not in known:
        rest = nearest(name, known) or (f"; it takes {', '.join(known)}" if known else "")
        raise error(f"{what} takes no {kind} {shown(name)}{rest}")


def nearest(name: Any, known: Iterable) -> str:
    """Return ". Did you mean ...?" with the known name that is nearest, or an empty string if none is near."""
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        return ""
    close = difflib.get_close_matches(name, [one for one in known if isinstance(one, str)], n=1)
    return f". Did you mean {close[0]!r}?" if close else ""
