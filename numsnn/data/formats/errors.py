"""The error that all parsers raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...shown import one_line

LONGEST = 400
"""Characters of the source, and of the reason, that a message holds at most."""


class FormatError(ValueError):
    """A file does not have the expected format. The message is ``source: byte offset: reason``, or ``source: reason``.

    Attributes:
        source: name of the file, or a substitute such as ``<bytes>``.
        offset: position of the first byte that is wrong or missing; in a compressed file a position in the unpacked
            data. None if the fault has no position.
        reason: one line for the user.
    """

    def __init__(self, source: str, offset: int | None, reason: str) -> None:
        super().__init__(source, offset, reason)  # all three arguments, so that the error can be pickled
        self.source = source
        self.offset = offset
        self.reason = reason

    def __str__(self) -> str:
        place = "" if self.offset is None else f" byte {self.offset}:"
        return f"{one_line(str(self.source), LONGEST)}:{place} {one_line(str(self.reason), LONGEST)}"


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
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(source, 0, f"not {what}, or damaged: {reason}") from error
