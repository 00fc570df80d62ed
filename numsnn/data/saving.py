"""Writing datasets of every kind as the parts of a store."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..names import choice
from ..validate import path_of, text
from .augment import Augmented
from .dataset import Dataset, as_dataset
from .events import Events
from .frames import Frames
from .recordings import Recordings
from .samples import Samples, need_alike
from .store import PARTS, writing
from .stored import StoredSamples

_BLOCK = 256
"""Samples that are held in memory at a time while a part is copied."""


def save(path: str | os.PathLike[str], name: str = "data", source: str = "", **parts: Any) -> None:
    """Write datasets as the parts of a store: ``save("mine.h5", train=train, test=test)``.

    Events are kept as events, and frames as the sequences that they are. Targets, lengths and weights are kept.

    Args:
        path: path of the file, which is replaced if it exists.
        name: name of the dataset. Default "data".
        source: where the data come from. Default "".
        parts: one or more of train, valid and test: each a `Dataset`, `Recordings`, `Frames`, a part of another store,
            a tuple ``(x, y)`` of arrays, or a tuple of a list of `Events` and their labels. All need the same kind,
            targets, classes, scale, shape of samples and sensor.

    Raises:
        TypeError: a part is none of these.
        ValueError: no part is given, a part is unknown or augmented, or the parts differ.
        OSError: the file cannot be written.
    """
    path = path_of("save: path", path)
    name, source = text("save: name", name), text("save: source", source)
    if not parts:
        raise ValueError("save: give at least one part, for example train=dataset")
    for part in parts:
        choice("save: part", part, PARTS)
    found = {part: _storable(f"save: {part}", data) for part, data in parts.items()}
    kinds = {part: _kind(data) for part, data in found.items()}
    first = next(iter(found.values()))
    if len(set(kinds.values())) > 1:
        listed = ", ".join(f"{part} has {kind}" for part, kind in kinds.items())
        raise ValueError(f"save: all parts need the same kind of samples; {listed}")
    keys = ("size", "polarities") if isinstance(first, Recordings) else ("scale", "sample_shape")
    need_alike("save", found, (*Samples.alike, *keys))
    form: dict[str, Any] = {"target": first.target, "per_step": first.per_step}
    if isinstance(first, Recordings):
        form |= {"size": first.size, "polarities": first.polarities}
    else:
        form["scale"] = first.scale
    with writing(path, next(iter(kinds.values())), name, first.classes, source, **form) as writer:
        for part in sorted(found, key=PARTS.index):
            _write(writer, part, found[part])


def _storable(owner: str, data: Any) -> Any:
    """Return what is stored of a part, or raise an error that says what can be stored."""
    if isinstance(data, Augmented):
        raise ValueError(f"{owner} is augmented, and its samples differ in every epoch; save its source instead")
    if _are_events(data):
        raise TypeError(f"{owner} is a list of Events without labels; give Recordings(events, labels)")
    if isinstance(data, tuple) and len(data) == 2 and _are_events(data[0]):
        return Recordings(*data, name=owner.removeprefix("save: "))
    if isinstance(data, tuple):
        return as_dataset(data, owner.removeprefix("save: "))
    if not isinstance(data, Dataset | Frames | Recordings | StoredSamples):
        wanted = "a Dataset, Recordings, Frames, a part of a store, or a tuple (x, y)"
        raise TypeError(f"{owner} must be {wanted}; got {type(data).__name__}")
    return data


def _are_events(data: Any) -> bool:
    return isinstance(data, list | tuple) and len(data) > 0 and all(isinstance(entry, Events) for entry in data)


def _kind(data: Any) -> str:
    return "events" if isinstance(data, Recordings) else "sequences" if data.timed else "pictures"


def _write(writer, part: str, data: Any) -> None:
    """Write the samples of a part; those that are not in memory as arrays, a block at a time."""
    if isinstance(data, Dataset):
        writer.append(part, data.x, data.y, data.lengths, data.weights)
        return
    kind = _count_type(data) if isinstance(data, Frames) else None
    block = len(data) if isinstance(data, StoredSamples) and data.in_memory else _BLOCK
    for first in range(0, len(data), block):
        rows = np.arange(first, min(first + block, len(data)))
        if isinstance(data, Recordings):
            samples: Any = [data.events(int(row)) for row in rows]
        elif isinstance(data, StoredSamples):
            samples = data.raw(rows)
        else:
            samples = data.batch(rows).x.swapaxes(0, 1).astype(kind)
        lengths, weights = (None if own is None else own[rows] for own in (data.lengths, data.weights))
        writer.append(part, samples, data.y[rows], lengths, weights)


def _count_type(frames: Frames) -> np.dtype:
    """Return the smallest whole-number type that holds all counts of the frames."""
    most = max(int(frames.batch(np.arange(k, min(k + 64, len(frames)))).x.max()) for k in range(0, len(frames), 64))
    return np.min_scalar_type(most)
