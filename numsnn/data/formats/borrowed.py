"""Formats that other packages read, which are installed only for them: AEDAT 4 and Prophesee's RAW.

==========  ====================================================  ==========================
format      the file begins with                                  package
==========  ====================================================  ==========================
AEDAT 4     ``#!AER-DAT4``                                        ``aedat``, in numsnn[aedat]
RAW         lines with %, one of them ``% evt 2.0`` or            ``faery``, in numsnn[raw]
            ``% format EVT3...``: EVT 2.0, 2.1 and 3.0
==========  ====================================================  ==========================
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ...files import open_file
from ...validate import path_of
from ..columns import as_events
from ..events import Events, checked_size
from .errors import FormatError, content

AEDAT4 = b"#!AER-DAT4"
_EVT = re.compile(rb"^% *(evt +\d|format +EVT\d)", re.MULTILINE)
_GEOMETRY = re.compile(rb"^% *(geometry +\d|.*width=\d|Width +\d)", re.MULTILINE)
_WIDEST = (2048, 2048)
"""Columns and rows that RAW can count, for files that do not state a size."""


def is_raw(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a RAW file."""
    return start.startswith(b"%") and _EVT.search(start) is not None


def read_aedat4(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> Events:
    """Return the events of the first stream of events in an AEDAT 4 file.

    Args:
        path: path of the file.
        size: (height, width) of the sensor. Default: the size that the file states.

    Raises:
        ImportError: the package aedat is not installed.
        OSError: the file cannot be read.
        FormatError: the file is damaged, has no events, or an event lies outside the sensor.
    """
    path = path_of("path", path)
    if size is not None:
        size = checked_size(size, "size of the sensor")
    source = os.fspath(path)
    aedat = _package("aedat", "AEDAT 4", "aedat")
    with open_file(path):  # a missing file must raise OSError
        pass

    def read():
        decoder = aedat.Decoder(Path(path))
        streams = {k: about for k, about in decoder.id_to_stream().items() if about["type"] == "events"}
        if not streams:
            raise FormatError(source, None, "the file has no stream of events")
        first = min(streams)
        packets = [packet["events"] for packet in decoder if packet["stream_id"] == first and "events" in packet]
        return packets, (streams[first]["height"], streams[first]["width"])

    packets, stated = _guarded(read, source, "AEDAT 4")
    return _events(packets, stated if size is None else size, source)


def read_raw(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> Events:
    """Return the events in a RAW file of Prophesee (EVT 2.0, 2.1 or 3.0); arguments and errors as for `read_aedat4`.

    The package is faery. Without a size in the file, the default is the smallest size that contains all events.
    """
    path = path_of("path", path)
    if size is not None:
        size = checked_size(size, "size of the sensor")
    source = os.fspath(path)
    decoder = _package("faery", "Prophesee's RAW", "raw").file_decoder
    with open_file(path) as file:
        start = file.read(4096)
    states_size = _GEOMETRY.search(start) is not None

    def read():
        found = decoder.Decoder(Path(path), dimensions_fallback=_WIDEST, file_type="evt")
        width, height = found.dimensions()
        return list(found), (height, width) if states_size else None

    packets, stated = _guarded(read, source, "RAW")
    return _events(packets, stated if size is None else size, source)


def _package(name: str, what: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ImportError(f'{what} needs the package {name}; install it with: pip install "numsnn[{extra}]"') from None


def _guarded(read, source, what):
    """Return what a decoder finds. Whatever it raises for damaged files becomes a FormatError."""
    try:
        return read()
    except (FormatError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # decoders written in Rust raise PanicException, which is no Exception
        reason = str(error).strip() or type(error).__name__
        raise FormatError(source, 0, f"not {what}, or damaged: {reason}") from error


def _events(packets, size, source):
    columns = {}
    for letter, name in (("x", "x"), ("y", "y"), ("t", "t"), ("p", "on")):
        kind = {"t": np.uint64, "p": np.bool_}.get(letter, np.uint16)
        columns[letter] = np.concatenate([np.empty(0, kind), *(packet[name] for packet in packets)])
    with content(source):
        return Events(**as_events(columns, size))
