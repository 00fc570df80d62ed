"""Reading a binary file, and the lines of text at its start."""

from __future__ import annotations

import contextlib
import mmap
import os

from ...files import open_file
from ...validate import instance, path_of
from .errors import FormatError

LONGEST_LINE = 4096
LONG = 1 << 22
"""Files of at least this number of bytes are read into large pages."""


def read_bytes(path: str | os.PathLike[str]) -> bytes | mmap.mmap:
    """Return the content of a file.

    This is faster than pathlib, which matters because recordings are many and small. A long file is read into memory
    with large pages if the system has them, because allocating a bytes object page by page takes longer than decoding
    it.
    """
    with open_file(path_of("path", path)) as file:
        size = os.fstat(file.fileno()).st_size
        if size < LONG or not hasattr(mmap, "MADV_HUGEPAGE"):
            return file.read()
        data = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # an operating system without large pages
            data.madvise(mmap.MADV_HUGEPAGE)
        view, found = memoryview(data), 0
        while more := file.readinto(view[found:]):
            found += more
        return data if found == size else bytes(view[:found])


def need_bytes(what: str, data, source) -> None:
    """Refuse arguments of a parser that are not the content of a file and its name.

    Raises:
        TypeError: data are not bytes, or source is no text; the message begins with what.
    """
    instance(f"{what}: data", data, (bytes, bytearray, memoryview, mmap.mmap), "bytes, the content of a file")
    instance(f"{what}: source", source, str, "a text, the name of the data")


def skip_lines(data: bytes | mmap.mmap, mark: bytes, source: str, end: bytes | None = None) -> int:
    """Return the position after the header lines.

    Args:
        data: content of the file.
        mark: bytes with which each header line begins.
        source: name of the data in errors.
        end: bytes with which the last header line begins. Default: the header ends before the first line without the
            mark.

    Raises:
        FormatError: a line does not end, or the last header line is missing.
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
