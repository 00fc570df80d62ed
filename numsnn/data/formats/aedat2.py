"""AEDAT 2.0 as jAER wrote it for the DVS128 camera, the format of CIFAR10-DVS.

    header      lines that begin with "#" and end with CR LF; the first is "#!AER-DAT2.0"
    8 bytes     address, uint32; time in microseconds, int32

All numbers are big endian. An address of the DVS128 has the polarity in bit 0 (0 is brighter), the column in bits 7 to
1, counted from the right, and the row in bits 14 to 8, counted from below. Bit 15 marks an external signal, which is
not an event of a pixel. Higher bits are not used.
"""

from __future__ import annotations

import mmap
import os

import numpy as np

from ..compiled import compiled
from ..events import Events
from .errors import FormatError
from .header import need_bytes, read_bytes, skip_lines

RECORD = 8
SIDE = 128
EXTERNAL = 1 << 15
VERSION = b"#!AER-DAT2.0"


def read_aedat2(path: str | os.PathLike[str]) -> Events:
    """Return the events in a file.

    Raises:
        OSError: the file cannot be read.
        FormatError: as for `parse_aedat2`.
    """
    return parse_aedat2(read_bytes(path), source=os.fspath(path))


def parse_aedat2(data: bytes | mmap.mmap, source: str = "<bytes>") -> Events:
    """Return the events of a DVS128 (128x128 pixels) in the bytes of an AEDAT 2.0 file.

    ``skipped["external signal"]`` of the result counts the records that are not events of a pixel.

    Args:
        data: content of the file.
        source: name of the data in errors.

    Raises:
        FormatError: the version is missing or another one, the header has no end, an event is truncated, or an address
            has more than the sensor's 16 bits.
    """
    need_bytes("parse_aedat2", data, source)
    if data[: len(VERSION)] != VERSION:
        raise FormatError(source, 0, f"wrong magic number: must begin with {VERSION.decode()}, found {data[:12]!r}")
    start = skip_lines(data, b"#", source)
    rest = (len(data) - start) % RECORD
    if rest:
        raise FormatError(source, len(data) - rest, f"truncated event: expected {RECORD} bytes, found {rest}")
    words = np.frombuffer(data, ">u4", offset=start).astype(np.uint32)
    n = len(words) // 2
    columns = np.empty(n, np.uint16), np.empty(n, np.uint16), np.empty(n, np.int64), np.empty(n, np.uint8)
    found, bad = _decode(words, *columns)
    if bad >= 0:
        address = int(words[2 * bad])
        raise FormatError(source, start + RECORD * bad, f"address 0x{address:08x} has more than the DVS128's 16 bits")
    x, y, t, p = (column[:found] for column in columns)
    return Events.checked(x, y, t, p, (SIDE, SIDE), skipped={"external signal": n - found} if found < n else {})


@compiled
def _decode(words, x, y, t, p):
    """Fill x, y, t, p from pairs (address, time); return the number of events, and the first wrong record or -1."""
    found = 0
    for k in range(len(words) // 2):
        address = words[2 * k]
        if address >> 16:
            return found, k
        if address & EXTERNAL:
            continue
        x[found] = SIDE - 1 - (address >> 1 & 127)
        y[found] = SIDE - 1 - (address >> 8 & 127)
        t[found] = np.int32(words[2 * k + 1])
        p[found] = 1 - (address & 1)
        found += 1
    return found, -1
