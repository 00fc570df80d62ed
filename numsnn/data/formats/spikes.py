"""SHD and SSC, spoken digits and commands as spikes, in HDF5.

    /spikes/times   [N] lists of float, seconds
    /spikes/units   [N] lists of int, 0 to 699: channels of a model of the cochlea
    /labels         [N]
    /extra/keys     [K] names of the classes

Damaged lists of varying length can send the HDF5 library into an endless loop. Files are therefore read in a separate
process (see `numsnn.apart`), a few recordings at a time, because the largest file takes 4.5 GB unpacked. HDF5
reports that a file is damaged, but not at which byte: the offset of such an error is 0. Source: Cramer et al. 2020,
"The Heidelberg spiking data sets for the systematic evaluation of spiking neural networks".
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from ...apart import Damage, read_apart, read_one
from ...validate import path_of, whole
from ..events import Events
from .errors import FormatError

CHANNELS = 700
_LONGEST = 1000.0
"""Seconds: no recording of a spoken word is longer."""


def read_spike_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """Return the labels ``[N]`` int64 in a file of SHD or SSC; errors as for `read_spikes`."""
    path = path_of("read_spike_labels: path", path)
    labels = _only(path, "labels")[1][0]
    if labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        raise FormatError(os.fspath(path), None, f"labels must be whole numbers of at least 0; found {labels.dtype}")
    return labels.astype(np.int64)


def read_spike_names(path: str | os.PathLike[str], classes: int) -> list[str]:
    """Return the names of the classes in a file of SHD or SSC, or numbers; errors as for `read_spikes`."""
    path, classes = path_of("read_spike_names: path", path), whole("read_spike_names: classes", classes, high=2**16)
    names = _only(path, "names")[0].get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FormatError(os.fspath(path), None, "damaged: extra/keys must hold the names of the classes")
    return names if len(set(names)) == classes else [str(label) for label in range(classes)]


def read_spikes(path: str | os.PathLike[str], first: int = 0, last: int | None = None) -> Iterator[Events]:
    """Return the recordings first to last - 1 (default: all) of a file of SHD or SSC.

    A recording has one row of 700 pixels without polarity. Times are rounded to microseconds.

    Raises:
        OSError: the file cannot be opened.
        FormatError: the file is not HDF5, an array is missing or of another kind, a spike is out of range, or the HDF5
            library hangs, crashes or runs out of memory while it reads the file.
    """
    path = path_of("read_spikes: path", path)
    first = whole("read_spikes: first", first, 0)
    return _recordings(path, first, None if last is None else whole("read_spikes: last", last, 0))


def _recordings(path, first, last) -> Iterator[Events]:
    k = first
    for _, (lengths, times, units) in _read(path, "spikes", first, last):
        whole = lengths.dtype == np.int64 and units.dtype.kind in "iu" and times.dtype.kind == "f"
        if not whole or (lengths < 0).any() or not lengths.sum() == len(times) == len(units):
            found = f"{lengths.sum()} spikes, {len(times)} {times.dtype} times and {len(units)} {units.dtype} units"
            raise FormatError(os.fspath(path), None, f"damaged: recordings {k} and after have {found}")
        ends = np.cumsum(lengths)[:-1]
        for one, channels in zip(np.split(times, ends), np.split(units, ends), strict=True):
            yield _recording(one, channels, f"{os.fspath(path)}, recording {k}")
            k += 1


def _read(path, what, first=0, last=None):
    """Yield what `read_apart` yields; damage becomes a FormatError."""
    try:
        yield from read_apart(path, what, first=first, last=last)
    except Damage as error:
        raise FormatError(os.fspath(path), 0, str(error)) from error


def _only(path, what):
    """Return the only message of a task; damage becomes a FormatError."""
    try:
        return read_one(path, what)
    except Damage as error:
        raise FormatError(os.fspath(path), 0, str(error)) from error


def _recording(times, units, source):
    good = (times >= 0) & (times < _LONGEST) & (units >= 0) & (units < CHANNELS)
    if not good.all():
        k = int(np.argmin(good))
        wanted = f"within [0, {_LONGEST:g}) s and 0..{CHANNELS - 1}"
        raise FormatError(source, None, f"spike {k} at {times[k]} s in channel {units[k]} must be {wanted}")
    t = np.round(times.astype(np.float64) * 1e6).astype(np.int64)
    zero = np.zeros(len(t), np.uint8)
    return Events(units, zero, t, zero, (1, CHANNELS), polarities=1)
