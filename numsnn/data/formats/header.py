"""Reading a binary file, and the text at its start."""

from __future__ import annotations

import contextlib
import mmap
import os

from .errors import FormatError

LONGEST_LINE = 4096
LONG = 1 << 22
"""Bytes of a long file."""


def read_bytes(path: str | os.PathLike[str]) -> bytes | mmap.mmap:
    """The whole file, without the detours that pathlib takes: recordings are many and small.

    A long one comes in memory of its own in large pages, where the system has them: to get the memory of a bytes object
    page by page takes longer than to decode it.
    """
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size < LONG or not hasattr(mmap, "MADV_HUGEPAGE"):
            return file.readall()
        data = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a kernel without them
            data.madvise(mmap.MADV_HUGEPAGE)
        view, found = memoryview(data), 0
        while more := file.readinto(view[found:]):
            found += more
        return data if found == size else bytes(view[:found])


def skip_lines(data: bytes | mmap.mmap, mark: bytes, source: str, end: bytes | None = None) -> int:
    """Position behind the header lines: those that begin with mark, or, with end, up to the line that begins with it.

    Raises `FormatError` for a line that does not end, or the end line missing.
    """
    position = 0
    while data[position : position + len(mark)] == mark:
        newline = data.find(b"\n", position, position + LONGEST_LINE)
        if newline < 0:
            raise FormatError(source, position, f"header line has no end within {LONGEST_LINE} bytes")
        last = end is not None and data[position : position + len(end)] == end
        position = newline + 1
        if last:
            return position
    if end is not None:
        raise FormatError(source, position, f"the header must end with the line {end.decode()}")
    return position
