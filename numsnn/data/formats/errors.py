"""The error that all parsers raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...shown import one_line

LONGEST = 400
"""Characters of the source, and of the reason, that a message holds at most."""
MOST_UNPACKED = 1 << 26
"""Bytes to which a file of any size may be unpacked: a constant polarity, for example, takes almost no space."""
MOST_TIMES = 32
"""How many times larger than the file its unpacked content may be beyond that; recordings and pictures have 1 to 20."""


class FormatError(ValueError):
    """A file does not have the expected format. The message is ``source: byte offset: reason``, or ``source: reason``.

    Attributes:
        source: name of the file, or a substitute such as ``<bytes>``.
        offset: position of the first byte that is wrong or missing; in a compressed file a position in the unpacked
            data. None if the fault has no position.
        reason: one line for the user.
    """

    def __init__(self, source: str, offset: int | None, reason: str) -> None:
        reason = one_line(str(reason), LONGEST)  # it may quote the file
        super().__init__(source, offset, reason)  # all three arguments, so that the error can be pickled
        self.source = source
        self.offset = offset
        self.reason = reason

    def __str__(self) -> str:
        place = "" if self.offset is None else f" byte {self.offset}:"
        return f"{one_line(str(self.source), LONGEST)}:{place} {self.reason}"


def check_unpacked(size: int, packed: int, source: str, what: str, remedy: str, offset: int | None = None) -> None:
    """Refuse content that would fill the memory, before it is unpacked.

    Args:
        size: bytes of the unpacked content, as the file states them.
        packed: bytes of the file.
        source: name of the file.
        what: what would be unpacked, for example "the columns".
        remedy: how a user makes a file that is read, if the size is right.
        offset: position of the error. Default None.

    Raises:
        FormatError: the size is more than `MOST_UNPACKED` and `MOST_TIMES` that of the file.
    """
    if size > MOST_UNPACKED + MOST_TIMES * packed:
        wanted = f"at most {MOST_UNPACKED >> 20} MiB and {MOST_TIMES} times the file's {packed} bytes"
        reason = f"{what} would take {size} bytes; expected {wanted}. If it is right, {remedy}"
        raise FormatError(source, offset, reason)


@contextmanager
def content(source: str) -> Iterator[None]:
    """Turn a ValueError about the content of a file into a `FormatError` without a position."""
    try:
        yield
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(source, None, str(error)) from error


@contextmanager
def damage(source: str, what: str, errors: tuple[type[BaseException], ...]) -> Iterator[None]:
    """Turn errors of another library, of these classes, into a `FormatError` of one line.

    Args:
        source: name of the file.
        what: what the file is not, for example "an .npz archive".
        errors: classes of the errors that damaged files lead to.
    """
    try:
        yield
    except FormatError:
        raise
    except errors as error:
        reason = str(error).strip() or type(error).__name__
        raise FormatError(source, 0, f"not {what}, or damaged: {reason}") from error
