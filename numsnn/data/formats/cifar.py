"""The binary version of CIFAR-10 and CIFAR-100.

    CIFAR-10    1 byte: class, 0 to 9
    CIFAR-100   1 byte: group of classes, 0 to 19; 1 byte: class, 0 to 99
    3072 bytes  1024 of red, 1024 of green, 1024 of blue, each 32x32, row by row

A file consists of such records. The Python version of the same data is pickled. It is refused, because reading it would
run any code that the file contains. Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
"""

from __future__ import annotations

import os
from numbers import Integral

import numpy as np

from ...files import read_file
from ...shown import shown
from ...validate import path_of
from .errors import FormatError
from .header import need_bytes

SIDE = 32
PIXELS = 3 * SIDE * SIDE
LABELS = {10: (10,), 100: (20, 100)}


def read_cifar(path: str | os.PathLike[str], classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures and labels in a file.

    Raises:
        OSError: the file cannot be read.
        FormatError, ValueError: as for `parse_cifar`.
    """
    return parse_cifar(read_file(path_of("path", path)), classes, source=os.fspath(path))


def parse_cifar(data: bytes, classes: int = 10, source: str = "<bytes>") -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures ``[N, 32, 32, 3]`` and labels ``[N]`` in the bytes of a file of CIFAR-10 or CIFAR-100.

    Both are new uint8 arrays. The labels of CIFAR-100 are the hundred classes, not the twenty groups.

    Args:
        data: content of the file.
        classes: 10 (default) or 100.
        source: name of the data in errors.

    Raises:
        FormatError: the data are pickled or empty, their length is not a whole number of records, or a label is out of
            range.
        ValueError: classes is neither 10 nor 100.
    """
    need_bytes("parse_cifar", data, source)
    if isinstance(classes, bool) or not isinstance(classes, Integral) or int(classes) not in LABELS:
        raise ValueError(f"parse_cifar: classes must be 10 or 100; got {shown(classes)}")
    ends = LABELS[classes]
    record = len(ends) + PIXELS
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        reason = "pickled: this is the Python version, and unpickling runs code; use the binary version (.bin files)"
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
