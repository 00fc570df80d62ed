"""Opening a file of arrays, with a seal or of an earlier version without one."""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np

from ..apart import Damage, read_one
from ..files import open_file
from .form import MAGIC, PIECE, Index, entry, need_apart
from .reading import ArrayFile, Source, open_sealed

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SECONDS = 30.0
"""Seconds in which the HDF5 library must find the arrays of a file, of which it reads no numbers."""


def opened(path: str | os.PathLike[str]) -> ArrayFile:
    """Open a file of arrays for reading.

    Raises:
        OSError: the file does not exist or cannot be read, or the path does not lead to a file.
        Damage: it is no such file, or is damaged.
    """
    with open_file(path) as file:
        start = file.read(len(MAGIC))
        try:
            if start.startswith(MAGIC):
                return open_sealed(Source(file))
            if start.startswith(SIGNATURE):
                return _without_seal(Source(file), path)
        except Damage as error:
            raise Damage(f"not readable: {error}") from error
    raise Damage("not readable: it has neither the seal of numsnn nor the signature of HDF5")


def _without_seal(source, path):
    """Return the arrays of a file without a seal. A separate process says where they lie, because only the HDF5 library
    can find out; their numbers are then read here."""
    header, (offsets, sizes) = read_one(path, "index", SECONDS)
    entries, first = [], 0
    try:
        for one in header["entries"]:
            last = first + one.pop("pieces")
            pieces = np.zeros(last - first, PIECE)
            pieces["offset"], pieces["size"] = offsets[first:last], sizes[first:last]
            entries.append(entry(**one, pieces=pieces))
            first = last
    except (KeyError, TypeError, ValueError) as error:
        raise Damage(f"the arrays are not those of numsnn: {error}") from error
    need_apart(entries, source.size)
    told = json.dumps([header["attributes"], [(*one[:1], one.dtype.str, *one[2:5]) for one in entries]])
    identity = hashlib.sha256(told.encode() + offsets.tobytes() + sizes.tobytes())
    return ArrayFile(source, Index(header["attributes"], entries, ""), identity.hexdigest(), sealed=False)
