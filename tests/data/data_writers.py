"""Files of every format, written number by number from their definitions, without NumPy and without the tested code."""

import struct

EVENTS = [(3, 5, 100, 1), (33, 0, 250, 0), (0, 33, 250, 1), (17, 9, 8_000, 0), (1, 2, 300_000, 1)]
"""Events, each (x, y, t, p)."""


def atis(events, overflow_at=()):
    """Write ATIS. Each overflow mark makes later times 8192 us smaller; a mark stands before each named event."""
    out, late = b"", 0
    for k, (x, y, t, p) in enumerate(events):
        if k in overflow_at:
            out += bytes([0, 240, 0, 0, 0])
            late += 8192
        time = t - late
        out += bytes([x, y, p << 7 | time >> 16 & 127, time >> 8 & 255, time & 255])
    return out


def aedat2(events, header=b"#!AER-DAT2.0\r\n# created by a test\r\n"):
    """Write AEDAT 2.0 of a DVS128: columns count from the right, rows from below, and a 0 stands for p = 1."""
    out = header
    for x, y, t, p in events:
        out += struct.pack(">Ii", (127 - y) << 8 | (127 - x) << 1 | (1 - p), t)
    return out


AEDAT3_HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"


def packet(events, kind=1, overflows=0, capacity=None, number=None, size=8, offset=4, invalid=()):
    body = b""
    for k, (x, y, t, p) in enumerate(events):
        body += struct.pack("<Ii", x << 17 | y << 2 | p << 1 | (k not in invalid), t)
    number = len(events) if number is None else number
    capacity = len(events) if capacity is None else capacity
    body += bytes(max(0, capacity - len(events)) * 8 if capacity < 1000 else 0)
    return struct.pack("<hhiiiiii", kind, 1, size, offset, overflows, capacity, number, number) + body


def aedat3(*packets):
    return AEDAT3_HEADER + b"".join(packets)


def dat(events, header=b"% Data file containing CD events.\n% Version 2\n% Height 240\n% Width 304\n", kind=12):
    out = header + bytes([kind, 8])
    for x, y, t, p in events:
        out += struct.pack("<II", t, p << 28 | y << 14 | x)
    return out


def cifar(labels, pictures):
    """Write CIFAR; every picture is a list of rows of (r, g, b)."""
    out = b""
    for label, picture in zip(labels, pictures, strict=True):
        out += bytes(label)
        for channel in range(3):
            out += bytes(pixel[channel] for row in picture for pixel in row)
    return out
