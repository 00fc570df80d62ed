"""SHD and SSC, the spoken digits and commands of Cramer et al. 2020 ("The Heidelberg spiking data sets"): HDF5.

    /spikes/times   [N] lists of float, seconds
    /spikes/units   [N] lists of int, 0 to 699: channels of a model of the cochlea
    /labels         [N]
    /extra/keys     [K] names of the classes

Files are read a stretch of recordings at a time, as the largest has 4.5 GB unpacked. HDF5 says itself where a file is
damaged, but not at which byte: the offset of such an error is 0. Lists of varying length are the part of HDF5 that
damage can send into an endless loop (libhdf5 2.0; a fuzzer found it): check the publisher's MD5 sum first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from ..events import Events
from .errors import FormatError
from .hdf5 import opened

CHANNELS = 700
_LONGEST = 1000.0
"""Seconds: a time beyond is no recording of a spoken word."""


def read_spike_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """Labels ``[N]`` int64 in a file of SHD or SSC. Raises as `read_spikes`."""
    with opened(path) as file:
        return _labels(file, os.fspath(path))


def read_spike_names(path: str | os.PathLike[str], classes: int) -> list[str]:
    """Names of the classes in a file of SHD or SSC, or numbers where it has none. Raises as `read_spikes`."""
    with opened(path) as file:
        keys = file["extra/keys"][()] if "extra/keys" in file else []
        names = [key.decode() if isinstance(key, bytes) else str(key) for key in np.ravel(keys)]
    return names if len(set(names)) == classes else [str(label) for label in range(classes)]


def read_spikes(path: str | os.PathLike[str], first: int = 0, last: int | None = None) -> Iterator[Events]:
    """Recordings first to last - 1 (default: all) of a file of SHD or SSC.

    A recording is a row of 700 pixels without polarity. Times are rounded to microseconds. Raises OSError if the file
    cannot be opened, `FormatError` if it is not HDF5, lacks an array, has one of another kind, or a spike is out of
    range.
    """
    source = os.fspath(path)
    with opened(path) as file:
        n = len(_labels(file, source))
        arrays = [_array(file, f"spikes/{name}", source) for name in ("times", "units")]
        if any(len(array) != n for array in arrays):
            raise FormatError(source, 0, f"spikes/times, spikes/units and labels must be equally long; labels has {n}")
        for k in range(first, n if last is None else min(n, last)):
            times, units = (np.asarray(array[k]) for array in arrays)
            yield _recording(times, units, f"{source}, recording {k}")


def _recording(times, units, source):
    if times.ndim != 1 or times.shape != units.shape or times.dtype.kind != "f" or units.dtype.kind not in "iu":
        found = f"{times.dtype} {times.shape} and {units.dtype} {units.shape}"
        raise FormatError(source, 0, f"times must be real and units whole numbers, one a spike; found {found}")
    good = (times >= 0) & (times < _LONGEST) & (units >= 0) & (units < CHANNELS)
    if not good.all():
        k = int(np.argmin(good))
        wanted = f"within [0, {_LONGEST:g}) s and 0..{CHANNELS - 1}"
        raise FormatError(source, 0, f"spike {k} at {times[k]} s in channel {units[k]} must be {wanted}")
    t = np.round(times.astype(np.float64) * 1e6).astype(np.int64)
    zero = np.zeros(len(t), np.uint8)
    return Events(units, zero, t, zero, (1, CHANNELS), polarities=1)


def _array(file, name, source):
    import h5py

    array = file.get(name)
    if not isinstance(array, h5py.Dataset) or array.ndim != 1:
        raise FormatError(source, 0, f"no array {name!r} with an entry a recording: not a file of SHD or SSC")
    return array


def _labels(file, source):
    labels = np.asarray(_array(file, "labels", source)[()])
    if labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        raise FormatError(source, 0, f"labels must be whole numbers of at least 0; found {labels.dtype}")
    return labels.astype(np.int64)
