"""The binary version of CIFAR-10 and CIFAR-100 (Krizhevsky 2009, "Learning multiple layers of features from tiny
images").

    CIFAR-10    a byte: class, 0 to 9
    CIFAR-100   a byte: group of classes, 0 to 19; a byte: class, 0 to 99
    3072 bytes  1024 of red, 1024 of green, 1024 of blue, each 32x32, row by row

A file is such records one after another. The Python version of the same data is pickled: reading it would run whatever
code the file holds, so it is refused.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .errors import FormatError

SIDE = 32
PIXELS = 3 * SIDE * SIDE
LABELS = {10: (10,), 100: (20, 100)}


def read_cifar(path: str | os.PathLike[str], classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels in a file. Raises OSError if it cannot be read, else as `parse_cifar`."""
    return parse_cifar(Path(path).read_bytes(), classes, source=os.fspath(path))


def parse_cifar(data: bytes, classes: int = 10, source: str = "<bytes>") -> tuple[np.ndarray, np.ndarray]:
    """``(x [N, 32, 32, 3], y [N])``, both new uint8 arrays, of the bytes of a file of CIFAR-10 or CIFAR-100.

    classes: 10 or 100; of CIFAR-100 the hundred classes are given, not the twenty groups. Raises `FormatError` for
    pickled data, a length that is no whole number of records, no record, a label out of range; ValueError for other
    classes.
    """
    if classes not in LABELS:
        raise ValueError(f"parse_cifar: classes must be 10 or 100; got {classes!r}")
    ends = LABELS[classes]
    record = len(ends) + PIXELS
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        reason = "pickled: this is the Python version, and unpickling runs code; take the binary version (.bin files)"
        raise FormatError(source, 0, reason)
    if not len(data) or len(data) % record:
        whole = len(data) - len(data) % record
        raise FormatError(source, whole, f"truncated record: expected {record} bytes, found {len(data) - whole}")
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    for place, end in enumerate(ends):
        bad = np.flatnonzero(records[:, place] >= end)
        if bad.size:
            offset, label = int(bad[0]) * record + place, records[bad[0], place]
            raise FormatError(source, offset, f"label must be in 0..{end - 1}, found {label}")
    pictures = records[:, len(ends) :].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pictures), records[:, len(ends) - 1].copy()
