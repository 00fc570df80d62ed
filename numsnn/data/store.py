"""Stores: one compact file per dataset, from which networks can be trained directly.

A store is a sealed HDF5 file (see `numsnn.hdf5`). Its arrays are divided into pieces of some rows, which are verified
when they are read; everything else is verified when the store is opened.

    attributes     format, kind ("pictures", "sequences" or "events"), name, source, classes, scale, size, polarities,
                   target ("class", "labels" or "values") and per_step
    /PART/y        [N, ...] targets, or [N, T, ...] per step; -1 stands for a step without a label. PART is train, test
                   or, if the publisher provides it, valid
    /PART/lengths  [N] steps of each sequence; this and the next array may be missing
    /PART/weights  [N] weights of the samples in a loss
    pictures       /PART/x        [N, H, W, C] or [N, F]; sequences have T as their second axis
    events         /PART/address  [M] (y * width + x) * polarities + p of all recordings, one after another
                   /PART/time     [M] microseconds since the recording's first event
                   /PART/offset   [N + 1] position of the first event of each recording, and M
                   /PART/start    [N] microseconds at the first event

Integers have the smallest type that can hold them. The same samples give the same file, byte for byte. Stores of
earlier versions, "numsnn data 1" and "numsnn data 2", have the same arrays but no seal, and are read, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..hdf5 import ArrayFile, SealedWriter, opened, sealing
from ..names import choice
from ..plain_json import parsed
from ..shown import printable
from ..validate import flag, path_of, positive, whole
from .events import checked_size
from .formats import FormatError
from .recordings import Recordings, pack
from .stored import EventArrays, Group, SampleArrays, StoredSamples, found_array, read_rows, undamaged
from .targets import TARGETS, checked_lengths, checked_targets, checked_weights

FORMAT = "numsnn data 3"
OLD_FORMATS = ("numsnn data 1", "numsnn data 2")
KINDS = ("pictures", "sequences", "events")
PARTS = ("train", "valid", "test")
_KINDS = {"class": "iu", "labels": "u", "values": "f"}
"""Kinds of the dtypes of targets."""
CHUNK_BYTES = 16384
"""Bytes per chunk of pictures. Chunks are small because a shuffled order reads a whole chunk for a single picture."""
CHUNK_EVENTS = 16384
_MORE = {"lengths": np.int64, "weights": np.float32}
MEMORY = 256 << 20


class Store:
    """An open store: ``store["train"]`` or ``store.train`` is one of its parts.

    Parts are `numsnn.data.stored.StoredSamples` or `numsnn.data.Recordings`.
    """

    def __init__(self, file: ArrayFile, path: str, memory: int) -> None:
        self._file, self.path, self._origin = file, path, (os.path.abspath(path), memory)
        self.about = _header(file, path)
        self.kind, self.name, self.source = (self.about[key] for key in ("kind", "name", "source"))
        self.classes = tuple(self.about["classes"])
        there = {name.partition("/")[0] for name in file.names()}
        self.parts = {part: _part(Group(file, part), self.about, path, memory) for part in PARTS if part in there}
        if not self.parts:
            raise FormatError(path, None, f"the store holds none of the parts {', '.join(PARTS)}")

    def __getitem__(self, part: str):
        if part not in self.parts:
            raise KeyError(f"{self.path} has no part {part!r}; its parts are {', '.join(self.parts)}")
        return self.parts[part]

    def __getattr__(self, part: str):
        if part in PARTS and part in self.__dict__.get("parts", {}):
            return self.parts[part]
        raise AttributeError(f"{type(self).__name__} has no attribute or part {part!r}")

    def __repr__(self) -> str:
        parts = ", ".join(f"{part} {len(samples)}" for part, samples in self.parts.items())
        return f"Store({self.name!r}: {self.kind}, {parts}; {next(iter(self.parts.values()))._described()})"

    def __reduce__(self):
        return open_store, self._origin

    def close(self) -> None:
        """Close the file. Parts that are in memory can still be used."""
        self._file.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def open_store(path: str | os.PathLike[str], memory: int = MEMORY) -> Store:
    """Open a store.

    Args:
        path: path of the file.
        memory: number of bytes; a part that takes at most this number is read at its first use and kept in memory,
            larger parts are read from the file sample by sample. Default 256 MiB.

    Raises:
        OSError: the file does not exist or cannot be read.
        FormatError: the file is not a store, or is damaged.
    """
    path = path_of("open: path", path)
    whole("open: memory", memory, 0)
    source = os.fspath(path)
    with undamaged(source):
        file = opened(path)
    try:
        return Store(file, source, memory)
    except BaseException:
        file.close()
        raise


def _header(file, path):
    """Return the attributes after checking them."""
    about = dict(file.attributes)
    found, wanted = about.get("format"), (FORMAT,) if file.sealed else OLD_FORMATS
    if found not in wanted:
        hint = ""
        if found == FORMAT:
            hint = ". Its seal is missing, because another program has written it anew; write it with numsnn.data.save"
        listed = " or ".join(map(repr, wanted))
        raise FormatError(path, None, f"not a store of numsnn: its format is {found!r}, expected {listed}{hint}")
    try:
        if isinstance(about["classes"], str):
            about["classes"] = parsed(about["classes"])
        about["classes"] = [_text(name) for name in about["classes"]]
        about["name"], about["source"] = _text(about["name"]), _text(about["source"])
        about["target"] = choice("target", about.get("target", "class"), TARGETS)
        about["per_step"] = flag("per_step", about.get("per_step", False))
        about["scale"] = positive("scale", about["scale"])
        choice("kind", about["kind"], KINDS)
        if about["kind"] == "events":
            about["size"] = checked_size(about["size"], "size")
            choice("polarities", about["polarities"], (1, 2))
    except (KeyError, ValueError, TypeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise FormatError(path, None, f"the attributes of the store are damaged: {reason}") from error
    return about


def _text(value):
    """Return a text of a file without characters that could control a terminal."""
    if not isinstance(value, str):
        raise TypeError(f"name, source and classes must be text; found {value!r}")
    return printable(value)


def _part(group, about, path, memory):
    """Return a part of a store after checking its targets."""
    y = found_array(group, "y", path)
    if not y.ndim or not len(y):
        raise FormatError(path, None, f"{group.name}/y must hold at least one label")
    kinds = {"y": _KINDS[about["target"]], "lengths": "iu", "weights": "f"}
    for key, kind in kinds.items():
        if key in group and group[key].dtype.kind not in kind:
            raise FormatError(
                path, None, f"{group.name}/{key} has the dtype {group[key].dtype}, which numsnn never writes"
            )
    y = read_rows(y, slice(None), path)
    events = about["kind"] == "events"
    arrays: Any = (EventArrays if events else SampleArrays)(group, about, path, memory)
    steps = arrays.sample_shape[0] if about["kind"] == "sequences" else None
    name, n = f"{about['name']} {group.name[1:]}", len(arrays)
    keys = [key for key in ("lengths", "weights") if key in group]
    more = {key: read_rows(group[key], slice(None), path) for key in keys}
    try:
        lengths = checked_lengths(more.get("lengths"), n, steps, group.name)
        weights = checked_weights(more.get("weights"), n, group.name)
        names = about["classes"] or None
        found = checked_targets(y, n, steps, names, about["target"], about["per_step"], f"{group.name}/y")
    except ValueError as error:
        raise FormatError(path, None, str(error)) from error
    if events:
        return Recordings.placed(arrays, found, name, weights)
    return StoredSamples(arrays, found, name, about["scale"], about["kind"] == "sequences", lengths, weights)


# --- writing ---


@contextmanager
def writing(
    path: str | os.PathLike[str],
    kind: str,
    name: str,
    classes: Iterable[str],
    source: str = "",
    scale: float = 1.0,
    size: tuple[int, int] = (0, 0),
    polarities: int = 2,
    folder: str | os.PathLike[str] | None = None,
    target: str = "class",
    per_step: bool = False,
) -> Iterator[Writer]:
    """Open a `Writer` of a new store. The new file replaces `path` when the block ends, and is removed if the block
    fails.

    Args:
        path, kind, name, classes, source, scale, size, polarities: as in the store.
        folder: folder in which the file is written. Default: the folder of `path`.
        target, per_step: what the targets are, as for `numsnn.data.Dataset`. Default: one class per sample.

    Raises:
        ValueError: an unknown kind or target, a scale that is not positive, or a size that is none.
        OSError: the file cannot be written, or the disk is full.
    """
    choice("store: kind", kind, KINDS)
    classes = list(map(str, classes))
    choice("store: target", target, TARGETS)
    scale, per_step = positive("store: scale", scale), flag("store: per_step", per_step)
    if kind == "events":
        size = checked_size(size, "store")
        choice("store: polarities", polarities, (1, 2))
    attributes = {
        "format": FORMAT,
        "kind": kind,
        "name": str(name),
        "classes": classes,
        "source": str(source),
        "scale": scale,
        "size": [int(side) for side in size],
        "polarities": int(polarities),
        "target": target,
        "per_step": per_step,
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with sealing(path, attributes, folder) as sealed:
        yield Writer(sealed, classes, (kind, tuple(size), polarities), (target, per_step))


class Writer:
    """Writes a store, some samples at a time."""

    def __init__(self, sealed: SealedWriter, classes: list[str], form: tuple, targets: tuple[str, bool]) -> None:
        self._sealed, self._classes = sealed, classes
        self._kind, self._size, self._polarities = form
        self._target, self._per_step = targets
        self._events: dict[str, int] = {}
        self._label: Any = {"labels": np.uint8, "values": np.float32}.get(self._target)
        if self._label is None:  # with a sign if there is a number for "no label"
            self._label = np.min_scalar_type(-len(classes) if self._per_step else max(0, len(classes) - 1))

    def append(self, part: str, samples, labels, lengths=None, weights=None) -> None:
        """Add samples to a part.

        Args:
            part: "train", "valid" or "test".
            samples: an array ``[n, ...]``, or for events a list of `Events`.
            labels: ``[n, ...]`` targets.
            lengths, weights: ``[n]``, or None if no sample of the part has them.

        Raises:
            ValueError: an unknown part, different numbers of samples and labels, or targets as `numsnn.data.Dataset`
                refuses them.
        """
        choice("store: part", part, PARTS)
        if len(samples) != len(labels):
            raise ValueError(f"store: got {len(samples)} samples, but {len(labels)} labels")
        columns = {"x": np.asarray(samples)}
        if self._kind == "events":
            columns = pack(samples, self._size, self._polarities)
        self.append_packed(part, columns, labels)
        for name, column in (("lengths", lengths), ("weights", weights)):
            if column is not None:
                self._sealed.append(f"{part}/{name}", np.asarray(column, _MORE[name]), CHUNK_EVENTS)

    def append_packed(self, part: str, columns: dict[str, np.ndarray], labels: np.ndarray) -> None:
        """Add samples in the form in which the store holds them: {"x": ...}, or for events the result of `pack`.

        Raises:
            ValueError: as for `append`.
        """
        if not len(labels):
            return
        names = self._classes or None
        labels = checked_targets(labels, len(labels), None, names, self._target, self._per_step, "store").y
        if self._kind == "events":
            known = self._events.get(part, 0)
            ends = np.concatenate([[] if part in self._events else [0], np.cumsum(columns["lengths"]) + known])
            self._events[part] = int(ends[-1])
            columns = {"offset": ends.astype(np.int64)} | {key: columns[key] for key in ("address", "time", "start")}
            for key, column in columns.items():
                self._sealed.append(f"{part}/{key}", column, CHUNK_EVENTS)
        else:
            x = columns["x"]
            self._sealed.append(f"{part}/x", x, max(1, CHUNK_BYTES // max(1, x[:1].nbytes)))
        y = labels.astype(self._label)
        self._sealed.append(f"{part}/y", y, CHUNK_EVENTS if y.ndim == 1 else max(1, CHUNK_BYTES // y[:1].nbytes))
