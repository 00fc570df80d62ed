"""The error that all parsers raise."""

from __future__ import annotations


class FormatError(ValueError):
    """A file does not have the expected format. The message is ``source: byte offset: reason``.

    Attributes:
        source: name of the file, or a substitute such as ``<bytes>``.
        offset: position of the first byte that is wrong or missing; in a compressed file a position in the unpacked
            data.
        reason: one line for the user.
    """

    def __init__(self, source: str, offset: int, reason: str) -> None:
        super().__init__(source, offset, reason)  # all three arguments, so that the error can be pickled
        self.source = source
        self.offset = offset
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.source}: byte {self.offset}: {self.reason}"
