"""Prophesee's DAT, the format of N-CARS.

    header      lines that begin with "% " and end with LF: "% Version 2", "% Width 304", "% Height 240", ...
    1 byte      type of the events: 0 (2-D) or 12 (contrast detection), which have the same layout
    1 byte      size of an event in bytes, 8
    8 bytes     per event: uint32 time in microseconds; uint32 with x in bits 13 to 0, y in bits 27 to 14 and the
                polarity in bits 31 to 28 (any value but 0 is brighter)

All numbers are little endian; x is counted from the left, y from the top. Files of version 1 have no width and height.
Those of them that have no type and size either cannot be read.
"""

from __future__ import annotations

import mmap
import os
import re

import numpy as np

from ..compiled import compiled
from ..events import Events, checked_size
from .errors import FormatError
from .header import need_bytes, read_bytes, skip_lines

TYPES = (0, 12)
EVENT = 8


def read_dat(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> Events:
    """Return the events in a file.

    Raises:
        OSError: the file cannot be read.
        FormatError: as for `parse_dat`.
    """
    return parse_dat(read_bytes(path), size, source=os.fspath(path))


def parse_dat(data: bytes | mmap.mmap, size: tuple[int, int] | None = None, source: str = "<bytes>") -> Events:
    """Return the events in the bytes of a DAT file.

    Args:
        data: content of the file.
        size: (height, width) of the sensor. Default: the size in the header or, without one, the smallest size that
            contains all events.
        source: name of the data in errors.

    Raises:
        FormatError: the header is wrong, the events have another type, an event is truncated, or an event lies outside
            the sensor.
    """
    need_bytes("parse_dat", data, source)
    if data[:1] != b"%":
        raise FormatError(
            source, 0, f"wrong magic number: must begin with a line that starts with %, found {data[:4]!r}"
        )
    start = skip_lines(data, b"%", source)
    if len(data) < start + 2:
        raise FormatError(source, start, f"truncated: type and size of events need 2 bytes, found {len(data) - start}")
    kind, bytes_per_event = data[start], data[start + 1]
    if kind not in TYPES or bytes_per_event != EVENT:
        reason = f"events must have type 0 or 12 and {EVENT} bytes; found type {kind} and {bytes_per_event} bytes"
        raise FormatError(source, start, reason)
    body = start + 2
    rest = (len(data) - body) % EVENT
    if rest:
        raise FormatError(source, len(data) - rest, f"truncated event: expected {EVENT} bytes, found {rest}")
    words = np.frombuffer(data, "<u4", offset=body).astype(np.uint32)
    n = len(words) // 2
    x, y, t, p = np.empty(n, np.uint16), np.empty(n, np.uint16), np.empty(n, np.int64), np.empty(n, np.uint8)
    _decode(words, x, y, t, p)
    if size is None:
        size = _size(data[:start], source) or (int(y.max(initial=0)) + 1, int(x.max(initial=0)) + 1)
    height, width = checked_size(size, "parse_dat")
    outside = (y >= height) | (x >= width)
    if outside.any():
        k = int(np.argmax(outside))
        reason = f"event at x {x[k]}, y {y[k]} lies outside the {width}x{height} sensor"
        raise FormatError(source, body + EVENT * k, reason)
    return Events.checked(x, y, t, p, (height, width))


def _size(header, source):
    """Return (height, width) from the header, or None."""
    sides = []
    for word in (b"Height", b"Width"):
        line = re.search(rb"^% ?" + word + rb" +(\S+)", header, re.MULTILINE)
        if line is None:
            return None
        if not line[1].isdigit() or len(line[1]) > 9 or not 1 <= int(line[1]) <= 1 << 14:
            reason = f"{word.decode()} must be a whole number in 1..{1 << 14}; found {line[1][:20]!r}"
            raise FormatError(source, line.start(), reason)
        sides.append(int(line[1]))
    return tuple(sides)


@compiled
def _decode(words, x, y, t, p):
    """Fill x, y, t, p from pairs (time, place)."""
    for k in range(len(words) // 2):
        place = words[2 * k + 1]
        t[k] = words[2 * k]
        x[k] = place & 0x3FFF
        y[k] = place >> 14 & 0x3FFF
        p[k] = place >> 28 != 0
