"""The one error of all parsers."""

from __future__ import annotations


class FormatError(ValueError):
    """A file is not what its format asks for: ``source: byte offset: reason``.

    source: file name, or a stand-in such as ``<bytes>``. offset: position of the first byte that is wrong or
    missing, counted in the unpacked data where the file is compressed. reason: one line for the user. All
    three are attributes too.
    """

    def __init__(self, source: str, offset: int, reason: str) -> None:
        super().__init__(source, offset, reason)  # all three, so that the error survives pickling
        self.source = source
        self.offset = offset
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.source}: byte {self.offset}: {self.reason}"
