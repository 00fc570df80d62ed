"""AEDAT 3.1 (iniVation), the format of DVS128 Gesture, and the label files of that dataset.

    header      lines that begin with "#" and end with CR LF; the first is "#!AER-DAT3.1", the last "#!END-HEADER"
    packets     each a header of 28 bytes, then its events

    packet      int16 type, int16 source, int32 size of an event, int32 offset of its time, int32 overflows of the
                clock, int32 capacity in events, int32 events, int32 valid events
    event of    uint32: bit 0 valid, bit 1 polarity (1 is brighter), bits 16 to 2 y from the top, bits 31 to 17 x;
    type 1      int32 time, to which 2^31 is added for each overflow of the clock that the packet states

All numbers are little endian, and times are in microseconds. Packets of other types (pictures, inertia, ...) are
skipped.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import NamedTuple

import numpy as np

from ...files import read_file
from ...validate import path_of
from ..compiled import compiled
from ..events import Events, checked_size
from .errors import FormatError
from .header import need_bytes, read_bytes, skip_lines

VERSION = b"#!AER-DAT3.1"
END = b"#!END-HEADER"
POLARITY = 1
PACKET = struct.Struct("<hhiiiiii")
EVENT = 8
TIME_OFFSET = 4
HEADLINE = b"class,startTime_usec,endTime_usec"


class Gesture(NamedTuple):
    """A section of a recording.

    Attributes:
        label: number of the class as in the file, from 1.
        start: first microsecond.
        end: microsecond after the last one.
    """

    label: int
    start: int
    end: int


def read_aedat3(path: str | os.PathLike[str], size: tuple[int, int] = (128, 128)) -> Events:
    """Return the events in a file.

    Raises:
        OSError: the file cannot be read.
        FormatError: as for `parse_aedat3`.
    """
    return parse_aedat3(read_bytes(path), size, source=os.fspath(path))


def parse_aedat3(data: bytes | mmap.mmap, size: tuple[int, int] = (128, 128), source: str = "<bytes>") -> Events:
    """Return the polarity events in the bytes of an AEDAT 3.1 file.

    ``skipped`` of the result counts events that are marked as invalid, and packets without polarity events.

    Args:
        data: content of the file.
        size: (height, width) of the sensor. Default (128, 128).
        source: name of the data in errors.

    Raises:
        FormatError: another version, a header without end, a packet that is truncated or states impossible numbers, or
            an event outside the sensor.
    """
    need_bytes("parse_aedat3", data, source)
    height, width = checked_size(size, "parse_aedat3")
    if data[: len(VERSION)] != VERSION:
        raise FormatError(source, 0, f"wrong magic number: must begin with {VERSION.decode()}, found {data[:12]!r}")
    packets, others = _packets(data, skip_lines(data, b"#", source, END), source)
    starts, counts, overflows = np.array(packets, np.int64).reshape(-1, 3).T
    ends = np.cumsum(counts)
    n = int(ends[-1]) if len(ends) else 0
    columns = np.empty(n, np.uint16), np.empty(n, np.uint16), np.empty(n, np.int64), np.empty(n, np.uint8)
    found, bad = _decode(np.frombuffer(data, np.uint8), starts, ends, overflows << 31, height, width, *columns)
    if bad >= 0:
        word = int.from_bytes(data[bad : bad + 4], "little")
        where = f"event at x {word >> 17}, y {word >> 2 & 0x7FFF} lies outside the {width}x{height} sensor"
        raise FormatError(source, int(bad), where)
    x, y, t, p = (column[:found] for column in columns)
    counted = {"marked invalid": n - found, "packets of other types": others}
    skipped = {reason: count for reason, count in counted.items() if count}
    return Events.checked(x, y, t, p, (height, width), skipped=skipped)


def _packets(data, position, source):
    """Return the polarity packets as (position, events, overflows of the clock), and the number of other packets."""
    packets, others = [], 0
    while position < len(data):
        if len(data) - position < PACKET.size:
            found = len(data) - position
            raise FormatError(source, position, f"truncated packet header: expected {PACKET.size} bytes, found {found}")
        kind, _, size, offset, overflows, capacity, events, _ = PACKET.unpack_from(data, position)
        body = position + PACKET.size
        if size < 0 or capacity < 0 or not 0 <= events <= capacity:
            counts = f"{events} events of {size} bytes, with a capacity of {capacity} events"
            raise FormatError(source, position, f"packet with impossible counts: {counts}")
        if size * capacity > len(data) - body:
            reason = f"truncated packet: expected {size * capacity} bytes, found {len(data) - body}"
            raise FormatError(source, body, reason)
        if kind != POLARITY:
            others += 1
        elif (size, offset) != (EVENT, TIME_OFFSET) or overflows < 0:
            wanted = f"{EVENT} bytes, the time at byte {TIME_OFFSET} and at least 0 overflows of the clock"
            reason = f"polarity events must have {wanted}; found {size}, {offset} and {overflows}"
            raise FormatError(source, position, reason)
        else:
            packets.append((body, events, overflows))
        position = body + size * capacity
    return packets, others


@compiled
def _decode(data, starts, ends, late, height, width, x, y, t, p):
    """Fill x, y, t, p from the pairs (place, time) of all packets.

    Args:
        data: bytes of the file.
        starts: ``[packets]`` position of each packet's first pair.
        ends: ``[packets]`` number of events up to the end of each packet.
        late: ``[packets]`` time that is added to the times of each packet.
        height, width: size of the sensor.
        x, y, t, p: arrays to be filled.

    Returns:
        the number of events, and the position of the first pair outside the sensor or -1.
    """
    found = 0
    for packet in range(len(ends)):
        count = ends[packet] - (ends[packet - 1] if packet else 0)
        pairs = data[starts[packet] : starts[packet] + 8 * count].reshape(count, 8)
        for k in range(count):
            pair = pairs[k]
            word = np.uint32(pair[0]) | np.uint32(pair[1]) << 8 | np.uint32(pair[2]) << 16 | np.uint32(pair[3]) << 24
            if not word & 1:
                continue
            column = word >> 17
            row = word >> 2 & 0x7FFF
            if row >= height or column >= width:
                return found, starts[packet] + 8 * k
            time = np.uint32(pair[4]) | np.uint32(pair[5]) << 8 | np.uint32(pair[6]) << 16 | np.uint32(pair[7]) << 24
            x[found] = column
            y[found] = row
            t[found] = np.int64(np.int32(time)) + late[packet]
            p[found] = word >> 1 & 1
            found += 1
    return found, -1


def read_gestures(path: str | os.PathLike[str]) -> list[Gesture]:
    """Return the gestures in a label file.

    Raises:
        OSError: the file cannot be read.
        FormatError: as for `parse_gestures`.
    """
    return parse_gestures(read_file(path_of("path", path)), source=os.fspath(path))


def parse_gestures(data: bytes, source: str = "<bytes>") -> list[Gesture]:
    """Return the gestures in the bytes of a label file of DVS128 Gesture.

    The file has a header line and then one line "class,start,end" per gesture. Classes are numbered from 1, and times
    are in microseconds.

    Args:
        data: content of the file.
        source: name of the data in errors.

    Raises:
        FormatError: the header line is missing, a line is not three whole numbers, a class is less than 1, or an end is
            not after its start.
    """
    need_bytes("parse_gestures", data, source)
    lines = data.split(b"\n")
    if lines[0].strip() != HEADLINE:
        raise FormatError(source, 0, f"the first line must be {HEADLINE.decode()}; found {lines[0][:40]!r}")
    found, position = [], len(lines[0]) + 1
    for line in lines[1:]:
        if line.strip():
            found.append(_gesture(line, position, source))
        position += len(line) + 1
    if not found:
        raise FormatError(source, len(data), "the file contains no gesture")
    return found


def _gesture(line, position, source):
    fields = line.strip().split(b",")
    if len(fields) != 3 or not all(field.strip().isdigit() and len(field) < 19 for field in fields):
        raise FormatError(source, position, f"a line must be three whole numbers; found {line[:60]!r}")
    gesture = Gesture(*map(int, fields))
    if gesture.label < 1 or gesture.end <= gesture.start:
        raise FormatError(source, position, f"class must be at least 1 and end larger than start; found {line[:60]!r}")
    return gesture
