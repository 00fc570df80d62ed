"""Reading a binary file, and the text at its start."""

from __future__ import annotations

import os

from .errors import FormatError

LONGEST_LINE = 4096


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The whole file, without the detours that pathlib takes: recordings are many and small."""
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def skip_lines(data: bytes, mark: bytes, source: str, end: bytes | None = None) -> int:
    """Position behind the header lines: those that begin with mark, or, with end, up to the line that begins with it.

    Raises `FormatError` for a line that does not end, or the end line missing.
    """
    position = 0
    while data.startswith(mark, position):
        newline = data.find(b"\n", position, position + LONGEST_LINE)
        if newline < 0:
            raise FormatError(source, position, f"header line has no end within {LONGEST_LINE} bytes")
        last = end is not None and data.startswith(end, position)
        position = newline + 1
        if last:
            return position
    if end is not None:
        raise FormatError(source, position, f"the header must end with the line {end.decode()}")
    return position
