"""Events in a text file: one line per event, columns that a comma, a semicolon, a tab or blanks separate.

    # a comment; lines that begin with #, % or // are left out
    x,y,t,p
    12,5,1000,1

The names of the columns stand in the first line that is no comment, or in a comment that names x, y and t. Without
names the caller gives the order of the columns.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping

import numpy as np

from ..columns import NAMES, Columns, as_events, by_name, by_order
from ..events import Events
from .errors import FormatError, content
from .header import need_bytes

COMMENTS = ("#", "%", "//")
_PLAIN = {b"true": b"1", b"True": b"1", b"TRUE": b"1", b"false": b"0", b"False": b"0", b"FALSE": b"0", b'"': b""}
"""Truth values and quotation marks, and what stands for them when numbers are read."""
_REAL = re.compile(rb"[.eEnN]")
"""What a text of whole numbers does not hold: points, exponents, nan and inf."""
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
"""A number with a decimal comma."""
_POINT = "has a decimal comma; write numbers with a point, 0.5"


def parse_text(
    data: bytes,
    size: tuple[int, int] | None = None,
    source: str = "<bytes>",
    unit: str | None = None,
    columns: Columns = None,
) -> Events:
    """Return the events in the bytes of a text file.

    Args:
        data: content of the file, UTF-8.
        size, unit, columns: as for `read_events`.
        source: name of the data in errors.

    Raises:
        FormatError: as for `read_events`; a line has another number of columns, or something that is no number.
    """
    need_bytes("parse_text", data, source)
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(source, error.start, "not a text of UTF-8") from None
    first, names = _heading(data, source)
    lines = data[first:]
    before = data.count(b"\n", 0, first)
    row = next(_rows(lines), None)
    separator = _separator(row[2]) if row else None
    width = len(_fields(row[2], separator)) if row else len(names or ())
    named = names if columns is None or isinstance(columns, Mapping) else None
    if row and (reason := _wrong_form(row[2], width, named)):
        raise FormatError(source, first + row[0], f"line {before + row[1] + 1} {reason}: {row[2][:60]!r}")
    with content(source):
        where = _positions(named, width, columns)
    table = _numbers(lines, width, separator) if row else np.empty((0, width), np.int64)
    if table is None:
        wanted = f"the header names {width} columns" if named else f"the first line of numbers has {width}"
        offset, reason = _wrong_row(lines, width, separator, before, wanted)
        raise FormatError(source, first + offset, reason)
    with content(source):
        return Events(**as_events({letter: table[:, k] for letter, k in where.items()}, size, unit))


def _rows(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield position, number and text of the lines that are neither blank nor comments."""
    for position, number, line in _lines(data):
        if line and not line.startswith(COMMENTS):
            yield position, number, line


def _lines(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield position, number (from 0) and text of all lines."""
    position, number = 0, 0
    while position < len(data):
        end = data.find(b"\n", position)
        end = len(data) if end < 0 else end
        yield position, number, data[position:end].decode(errors="replace").strip()
        position, number = end + 1, number + 1


def _heading(data: bytes, source: str) -> tuple[int, list[str] | None]:
    """Return the position of the first line of numbers, and the names of the columns or None."""
    names = None
    for position, _, line in _lines(data):
        comment = next((mark for mark in COMMENTS if line.startswith(mark)), "")
        line = line.removeprefix(comment).strip()
        fields = _fields(line, _separator(line))
        if comment and all(any(field.lower() in NAMES[letter] for field in fields) for letter in "xyt"):
            names = fields
        elif line and not comment and any(map(_is_name, fields)):
            end = data.find(b"\n", position)
            return (len(data) if end < 0 else end + 1), fields
        elif line and not comment:
            return position, names
    if names is None:
        raise FormatError(source, len(data), "the file holds no events and no names of columns")
    return len(data), names


def _is_name(field: str) -> bool:
    """Return whether a field is a name and not a number."""
    return re.match(r"[A-Za-z_]", field) is not None and field.lower() not in ("nan", "inf", "true", "false")


def _separator(line: str) -> str | None:
    """Return what separates the fields of a line; None stands for blanks and tabs."""
    return next((mark for mark in (",", ";") if mark in line), None)


def _fields(line: str, separator: str | None) -> list[str]:
    return [field.strip().strip("\"'") for field in line.split(separator)]


def _wrong_form(line: str, width: int, names: list[str] | None) -> str:
    """Return the fault of the first line of numbers, or an empty string."""
    fields = re.split(r"[;\s]+", line)  # with decimal commas the columns are separated by something else
    if len(fields) > 2 and any(map(_COMMA.fullmatch, fields)) and "," not in "".join(_COMMA.sub("", f) for f in fields):
        return _POINT
    if names is not None and len(names) != width:
        return f"has {width} values, the header names {len(names)} columns ({', '.join(names)[:60]})"
    return ""


def _positions(names: list[str] | None, width: int, columns: Columns) -> Mapping[str, int]:
    """Return the position of each column."""
    if names is None:
        return by_order(width, columns)
    if len(set(names)) != len(names):
        raise ValueError(f"the header must name each column once; found {', '.join(names)}")
    return {letter: names.index(name) for letter, name in by_name(names, columns).items()}


def _numbers(lines: bytes, width: int, separator: str | None) -> np.ndarray | None:
    """Return the numbers of all lines ``[N, width]``, int64 if all are whole; None if a line is wrong."""
    for word, number in _PLAIN.items():
        lines = lines.replace(word, number) if word in lines else lines
    kind = np.float64 if _REAL.search(lines) else np.int64
    comments = [mark for mark in COMMENTS if mark.encode() in lines]
    try:
        table = np.loadtxt(io.BytesIO(lines), kind, comments=comments or None, delimiter=separator, ndmin=2)
    except (ValueError, OverflowError):
        return None
    return table if table.shape[1] == width else None


def _wrong_row(lines: bytes, width: int, separator: str | None, before: int, wanted: str) -> tuple[int, str]:
    """Return position and fault of the first line that is not made of as many numbers."""
    for position, number, line in _rows(lines):
        fields = _fields(line, separator)
        where = f"line {before + number + 1}"
        if len(fields) != width:
            return position, f"{where} has {len(fields)} values, {wanted}: {line[:60]!r}"
        for field in fields:
            try:
                float(_PLAIN.get(field.encode(), field))
            except ValueError:
                if _COMMA.fullmatch(field):
                    return position, f"{where} {_POINT}: {line[:60]!r}"
                return position, f"{where} must hold numbers; found {field[:40]!r}"
            if re.fullmatch(r"[+-]?\d{19,}", field):
                return position, f"{where} holds a number that is too large: {field[:40]}"
    return 0, "a comment behind numbers, or a number, cannot be read"
