"""Reading events from a file of any format, which its first bytes decide.

=====================================  =====================================================================
file                                   read by
=====================================  =====================================================================
.npz, .npy                             `parse_npz`, `parse_npy`
.csv, .txt                             `parse_text`
HDF5                                   `hdf5`: arrays of a group, or one structured array
AEDAT 2.0, AEDAT 3.1, DAT              `read_aedat2`, `read_aedat3`, `read_dat`
AEDAT 4, Prophesee's RAW               `read_aedat4`, `read_raw`, which need other packages
=====================================  =====================================================================

ATIS (N-MNIST) has no such first bytes; `read_atis` reads it.
"""

from __future__ import annotations

import os

from ...files import open_file, read_file
from ...shown import shown
from ...validate import path_of, text
from ..columns import Columns
from ..events import Events, checked_size
from . import aedat2, aedat3, borrowed, dat
from .errors import FormatError
from .hdf5 import read_hdf5
from .npz import NPY, parse_npy, parse_npz
from .text import parse_text

_HDF5 = b"\x89HDF\r\n\x1a\n"
_START = 4096
"""Bytes at the start of a file that are looked at."""


def read_events(
    path: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    group: str = "",
    unit: str | None = None,
    columns: Columns = None,
) -> Events:
    """Return the events in a file: .npz, .npy, .csv, HDF5, AEDAT, DAT or RAW, which its first bytes decide.

    Columns are known by the usual names, such as x, y, t, p or "timestamp" and "polarity". Polarities are 0 and 1, -1
    and 1, or truth values; without a column p the sensor has none. Real numbers that are whole are taken exactly.

    Args:
        path: path of the file.
        size: (height, width) of the sensor in pixels. Default: the size that the file states, or the smallest size that
            contains all events. Recordings of one dataset need the same size.
        group: group of the arrays in an HDF5 file, for example "events", or path of one structured array, such as
            "CD/events". Default "": the arrays lie at the top.
        unit: what times count: "s", "ms", "us" or "ns". Default: microseconds for whole numbers; real numbers are
            refused without a unit. Times become whole microseconds: real numbers are rounded, nanoseconds cut off.
        columns: order of columns that have no names, such as "xytp" or "txyp" ("_" for a column of something else), or
            names that are not known: ``{"t": "clock", "p": None}``; None says that there is no polarity.

    Raises:
        OSError: the file cannot be read.
        ImportError: the format needs a package that is not installed; the message names it.
        FormatError: the format is unknown, a column is missing or of another kind, the columns differ in length, or an
            event lies outside the sensor.
        ValueError: unit, group or columns are given for a format that has none.
    """
    path = path_of("read_events: path", path)
    text("read_events: group", group)
    if size is not None:
        size = checked_size(size, "read_events")
    source = os.fspath(path)
    with open_file(path) as file:
        start = file.read(_START)
    if not start:
        raise FormatError(source, None, "the file is empty")
    named = {"unit": unit, "columns": columns}
    if start.startswith(_HDF5):
        return read_hdf5(path, size, group, unit, columns)
    if group:
        raise ValueError(f"{source}: group {group!r} belongs to HDF5 files, and this is another file")
    for begins, parse in ((b"PK", parse_npz), (NPY, parse_npy)):
        if start.startswith(begins):
            return parse(read_file(path), size, source, unit, columns)
    read = _sensor_format(start)
    if read is not None:
        for name, value in named.items():
            if value is not None:
                raise ValueError(f"{source}: takes no {name}, because the format states it; got {shown(value)}")
        return read(path, size)
    if _is_text(start):
        return parse_text(read_file(path), size, source, unit, columns)
    known = ".npz, .npy, text, HDF5, AEDAT, DAT or RAW"
    hint = "Files of N-MNIST: numsnn.data.formats.read_atis"
    raise FormatError(source, 0, f"not a file of {known}: begins with {start[:8]!r}. {hint}")


def _sensor_format(start):
    """Return the reader of a camera's own format, or None."""
    if start.startswith(borrowed.AEDAT4):
        return borrowed.read_aedat4
    if start.startswith(b"#!AER-DAT3"):
        return lambda path, size: aedat3.read_aedat3(path, size or (128, 128))
    if start.startswith(b"#!AER-DAT"):
        return _read_aedat2
    if borrowed.is_raw(start):
        return borrowed.read_raw
    if start.startswith(b"%") and not _is_text(start):
        return dat.read_dat
    return None


def _read_aedat2(path, size):
    events = aedat2.read_aedat2(path)
    if size is not None and tuple(size) != events.size:
        raise ValueError(f"{os.fspath(path)}: AEDAT 2.0 is of a DVS128, whose size is {events.size}; got {size}")
    return events


def _is_text(start: bytes) -> bool:
    """Return whether bytes at the start of a file are text: UTF-8 without control characters."""
    try:
        start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:  # a character may be cut off at the end
            return False
    return not any(byte < 32 and byte not in b"\t\n\r" for byte in start)
