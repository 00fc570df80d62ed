"""Names that a user writes: how a name is looked up, and what the error says of a name that is not known.

The tables from names to things stand where the things are: surrogate families in `psg`, datasets in `data.builtin`,
neurons, losses, optimisers and schedules of a configuration in `experiment`, and so on. This module imports nothing of
the package, so that every part of it may use it.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

Choice = TypeVar("Choice")
Entry = TypeVar("Entry")


def choice(
    what: str,
    value: Choice,
    known: Iterable[Choice],
    other: str = "",
    error: type[Exception] = ValueError,
) -> Choice:
    """The value, which has to be one of those that are known.

    Args:
        what: whose choice it is, such as "PSG: per"; the message begins with it.
        value: what the user wrote.
        known: all that may be written.
        other: what else is allowed and is looked up elsewhere, such as "a TOML file"; the message names it.
        error: class of the error. Default ValueError.

    Raises:
        ValueError, or the error given: one line with the value, everything that is known and the nearest of it.
    """
    known = list(known)
    if value not in known:
        listed = ", ".join(map(repr, known)) + (f", or {other}" if other else "")
        raise error(f"{what} must be one of {listed}; got {value!r}{nearest(value, known)}")
    return value


def look_up(what: str, name: Any, table: Mapping[str, Entry], other: str = "") -> Entry:
    """The entry of a table under a name; arguments and errors as for `choice`."""
    return table[choice(what, name, table, other)]


def argument(
    what: str, name: str, known: Iterable[str], kind: str = "argument", error: type[Exception] = TypeError
) -> None:
    """Refuse the name of an argument that is not known.

    Args:
        what: whose argument it is; the message begins with it.
        name: what the user wrote.
        known: names of all arguments there are.
        kind: what the message calls an argument, such as "option". Default "argument".
        error: class of the error. Default TypeError.

    Raises:
        TypeError, or the error given: one line with the name and the nearest one, or all of them where none is near.
    """
    known = list(known)
    if name not in known:
        rest = nearest(name, known) or (f"; it takes {', '.join(known)}" if known else "")
        raise error(f"{what} takes no {kind} {name!r}{rest}")


def nearest(name: Any, known: Iterable) -> str:
    """ ". Did you mean ...?" for the nearest of the names that are known, or nothing where none is near."""
    close = difflib.get_close_matches(str(name), [one for one in known if isinstance(one, str)], n=1)
    return f". Did you mean {close[0]!r}?" if close else ""
