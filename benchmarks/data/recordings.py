"""Made-up recordings in the file formats of event cameras, each of EVENTS events in order of time."""

import struct

import numpy as np

from numsnn.data import formats
from numsnn.data.dvs import Sensor

EVENTS = 4_000_000


def columns(side: int) -> tuple:
    """x, y, t and p of random events on a square of pixels."""
    rng = np.random.default_rng(0)
    x, y, p = rng.integers(0, side, EVENTS), rng.integers(0, side, EVENTS), rng.integers(0, 2, EVENTS)
    return x, y, np.arange(EVENTS), p


def atis_file():
    x, y, t, p = columns(34)
    out = np.empty((EVENTS, 5), np.uint8)
    out.T[:] = x, y, p << 7 | t >> 16 & 127, t >> 8 & 255, t & 255
    return out.tobytes()


def aedat2_file():
    x, y, t, p = columns(128)
    words = np.stack([(127 - y) << 8 | (127 - x) << 1 | (1 - p), t], axis=1).astype(">u4")
    return b"#!AER-DAT2.0\r\n" + words.tobytes()


def aedat3_file(size=4096):
    x, y, t, p = columns(128)
    words = np.stack([x << 17 | y << 2 | p << 1 | 1, t], axis=1).astype("<u4")
    out = [b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"]
    for first in range(0, EVENTS, size):
        body = words[first : first + size]
        out += [struct.pack("<hhiiiiii", 1, 0, 8, 4, 0, len(body), len(body), len(body)), body.tobytes()]
    return b"".join(out)


def dat_file():
    x, y, t, p = columns(128)
    words = np.stack([t, p << 28 | y << 14 | x], axis=1).astype("<u4")
    return b"% Version 2\n% Height 128\n% Width 128\n\x0c\x08" + words.tobytes()


FILES = {
    "ATIS": (atis_file, formats.parse_atis),
    "AEDAT 2.0": (aedat2_file, formats.parse_aedat2),
    "AEDAT 3.1": (aedat3_file, formats.parse_aedat3),
    "DAT": (dat_file, formats.parse_dat),
}
"""Format -> functions that make and that parse a file."""


def simulated_recording() -> bytes:
    """What the simulated camera sees of a diagonal line, as an ATIS file."""
    made = Sensor().record(np.eye(28))
    raw = made.x, made.y, made.p.astype(int) << 7 | made.t >> 16, made.t >> 8 & 255, made.t & 255
    return np.stack(raw, axis=1).astype(np.uint8).tobytes()
