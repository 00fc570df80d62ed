"""The 5-byte events of the ATIS camera, the format of N-MNIST and N-Caltech101.

    byte 0     x, from the left
    byte 1     y, from the top; 240, which is not a row of the sensor, marks an overflow of the clock
    byte 2     bit 7: polarity, 1 is brighter; bits 6 to 0: time, bits 22 to 16
    byte 3     time, bits 15 to 8
    byte 4     time, bits 7 to 0

Times are in microseconds. An overflow mark is not an event; it adds 8192 us to all times after it. Source: Orchard et
al. 2015, "Converting static image datasets to spiking neuromorphic datasets using saccades".
"""

from __future__ import annotations

import mmap
import os

import numpy as np

from ..compiled import compiled
from ..events import Events, checked_size
from .errors import FormatError
from .header import need_bytes, read_bytes

RECORD = 5
OVERFLOW_ROW = 240
OVERFLOW_TIME = 8192


def read_atis(path: str | os.PathLike[str], size: tuple[int, int] = (34, 34)) -> Events:
    """Return the events in a file.

    Raises:
        OSError: the file cannot be read.
        FormatError, ValueError: as for `parse_atis`.
    """
    return parse_atis(read_bytes(path), size, source=os.fspath(path))


def parse_atis(data: bytes | mmap.mmap, size: tuple[int, int] = (34, 34), source: str = "<bytes>") -> Events:
    """Return the events in the bytes of an N-MNIST or N-Caltech101 recording.

    ``skipped["clock overflow"]`` of the result counts the overflow marks.

    Args:
        data: content of the file.
        size: (height, width) of the sensor. Default (34, 34), for N-MNIST; (180, 240) is enough for all of
            N-Caltech101.
        source: name of the data in errors.

    Raises:
        FormatError: the file is empty, its length is not a multiple of 5, or an event lies outside the sensor.
        ValueError: the sensor is larger than the format allows.
    """
    need_bytes("parse_atis", data, source)
    height, width = checked_size(size, "parse_atis")
    if height > OVERFLOW_ROW:
        raise ValueError(f"parse_atis: height must be at most {OVERFLOW_ROW}, the overflow mark; got {height}")
    if not len(data):
        raise FormatError(source, 0, "the file is empty: expected events of 5 bytes")
    if len(data) % RECORD:
        whole = len(data) - len(data) % RECORD
        raise FormatError(source, whole, f"truncated event: expected {RECORD} bytes, found {len(data) - whole}")
    n = len(data) // RECORD
    columns = np.empty(n, np.uint16), np.empty(n, np.uint16), np.empty(n, np.int64), np.empty(n, np.uint8)
    records = np.frombuffer(data, np.uint8).reshape(n, RECORD)
    found, bad, overflows = n, -1, 0
    last_column, last_row = _decode_plain(records, *columns)
    if last_column >= width or last_row >= height:
        found, bad, overflows = _decode(records, height, width, *columns)
    if bad >= 0:
        column, row = data[RECORD * bad], data[RECORD * bad + 1]
        what = f"event at x {column}, y {row} lies outside the {width}x{height} sensor"
        raise FormatError(source, RECORD * bad, what)
    x, y, t, p = (column[:found] for column in columns)
    return Events.checked(x, y, t, p, (height, width), skipped={"clock overflow": int(overflows)} if overflows else {})


@compiled
def _decode_plain(records, x, y, t, p):
    """Fill x, y, t, p as if there were no overflow marks and no events outside the sensor; return the largest x and y.

    Without these branches decoding takes half the time.
    """
    column, row = np.uint8(0), np.uint8(0)
    for k in range(len(records)):
        high = np.int32(records[k, 2])
        column, row = max(column, records[k, 0]), max(row, records[k, 1])
        x[k] = records[k, 0]
        y[k] = records[k, 1]
        t[k] = (high & 127) << 16 | np.int32(records[k, 3]) << 8 | np.int32(records[k, 4])
        p[k] = records[k, 2] >> 7
    return column, row


@compiled
def _decode(records, height, width, x, y, t, p):
    """Fill x, y, t, p; return the number of events, the first record outside or -1, and the overflow marks."""
    late = 0
    overflows = 0
    for k in range(len(records)):
        row = records[k, 1]
        if row >= height or records[k, 0] >= width:
            if row != OVERFLOW_ROW:
                return k - overflows, k, overflows
            late += OVERFLOW_TIME
            overflows += 1
            continue
        high = np.int64(records[k, 2])
        found = k - overflows
        x[found] = records[k, 0]
        y[found] = row
        t[found] = ((high & 127) << 16 | np.int64(records[k, 3]) << 8 | np.int64(records[k, 4])) + late
        p[found] = high >> 7
    return len(records) - overflows, -1, overflows
