"""Datasets in memory: pictures, feature vectors, or sequences of them, with a target per sample or per step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..validate import flag, listed, positive, text
from .batch import Batch
from .samples import Samples, checked_rows
from .targets import NO_LABEL, checked_array, checked_lengths, checked_targets, checked_weights, need_label

# The search for NaN and inf looks at this number of elements at a time, so that its temporary arrays take a few MiB.
_CHUNK = 1 << 20


class Dataset(Samples):
    """Samples in memory with one target per sample, or one per time step.

    All checks are made here, so that code that uses a dataset does not have to check again. The loader calls only `len`
    and ``batch(indices)``, so that other classes can take the place of this one.

    ==========  ==============================  ==============================  =====================================
    target      y                               y per step                      inferred for
    ==========  ==============================  ==============================  =====================================
    "class"     ``[N]`` in 0 .. n_classes - 1   ``[N, T]``; -1: no label here   whole numbers
    "labels"    ``[N, K]``, 0 or 1 per label    ``[N, T, K]``                   truth values with 2 or 3 axes
    "values"    ``[N]``, ``[N, D]`` or          ``[N, T, D]`` or                real numbers (of a float dtype)
                ``[N, H, W, C]``                ``[N, T, H, W, C]``
    ==========  ==============================  ==============================  =====================================

    Args:
        x: samples first: pictures ``[N, H, W, C]`` or feature vectors ``[N, F]``; with `timed`, sequences ``[N, T,
            F]``, ``[N, T, L, C]`` or ``[N, T, H, W, C]``. Any real dtype; x is neither copied nor converted (uint8
            pictures stay uint8).
        y: targets, samples first, of one of the forms in the table. Values ``[N]`` become ``[N, 1]``. Whole numbers of
            a float dtype are labels of classes only with ``target="class"``. With `classes`, labels may be their
            names, strings.
        classes: names of the classes or labels in their order. Default: ``"0", "1", ...`` up to the largest label in
            y, or as many as there are labels. Give names (or give both parts the same names) if a part may lack the
            last class. For values: names of the outputs, by default none.
        name: name of the data in errors and reports. Default "data".
        scale: factor for x when a batch is made: ``1 / 255`` scales uint8 pictures to ``[0, 1]``. Default 1.
        timed: whether the second axis of x is time. Time comes first in a batch. Default False.
        target: what y holds: "class", "labels" or "values". Default None: inferred from y's dtype, see the table.
        per_step: whether the second axis of y is time, with a target per step. Default None: True for whole numbers
            ``[N, T]`` of the same T as timed x, for labels with three axes, and for values with three or five axes.
        lengths: ``[N]`` steps of each sequence, in 1 .. T, for timed x. Steps from there on are padding, which losses,
            metrics and statistics ignore; they must be finite. `padded` makes such data. Default None: all are whole.
        weights: ``[N]`` weights of the samples in a loss, at least 0, one of them positive. Default None: all equal.

    Attributes:
        x, scale, timed: the arguments. x and y are read-only, because a later change would not be checked.
        y, target, per_step, classes, name, lengths, weights: as in `numsnn.data.samples.Samples`.

    Raises:
        ValueError: x is empty, has another number of axes, is not of a real dtype, or holds NaN, inf or a number too
            large for float32; y differs from x in length, has another form, or holds anything but what its target
            says; the classes are not distinct names; lengths or weights are out of range; or scale is not finite and
            positive. The message names the first wrong element.
    """

    alike = (*Samples.alike, "scale", "timed", "sample_shape")

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        classes: Sequence[object] | None = None,
        name: str = "data",
        scale: float = 1.0,
        timed: bool = False,
        target: str | None = None,
        per_step: bool | None = None,
        lengths: ArrayLike | None = None,
        weights: ArrayLike | None = None,
    ) -> None:
        self.name = text("Dataset: name", name)
        owner = f"Dataset {name!r}"
        self.scale = positive(f"{owner}: scale", scale)
        self.timed = flag(f"{owner}: timed", timed)
        self.x = _checked_samples(x, y, self.scale, owner, self.timed)
        n, steps = len(self.x), self.x.shape[1] if self.timed else None
        self.lengths = checked_lengths(lengths, n, steps, owner)
        found = checked_targets(y, n, steps, classes, target, per_step, owner)
        need_label(found, self.lengths, owner)
        self.y, self.target, self.per_step, self.classes = found
        self.weights = checked_weights(weights, n, owner)
        self._freeze()

    def _freeze(self) -> None:
        super()._freeze()
        self.x.flags.writeable = False

    @classmethod
    def padded(cls, sequences: Sequence[ArrayLike], y: Any, **options: Any) -> Dataset:
        """Return sequences of different length as one Dataset, in which shorter ones end with zeros.

        Args:
            sequences: N arrays ``[T_i, F]``, ``[T_i, L, C]`` or ``[T_i, H, W, C]``.
            y: targets ``[N, ...]``, or a list of N arrays ``[T_i, ...]`` with a target per step, which is padded with
                zeros, or with -1 (no label) if it holds classes.
            options: classes, name, scale, target, per_step and weights, as for `Dataset`.

        Raises:
            TypeError: lengths or timed is given.
            ValueError: sequences is not a list, a sequence is empty or has another shape than the others, or as for
                `Dataset`.
        """
        for key in ("lengths", "timed"):
            if key in options:
                raise TypeError(f"Dataset.padded: takes no {key}; it is known from the sequences")
        owner = f"Dataset {text('Dataset: name', options.get('name', 'data'))!r}"
        sequences = listed(f"{owner}: sequences", sequences, "arrays, one per sequence")
        x, lengths = _pad(sequences, "x", owner, 0)
        per_step = options.get("per_step")
        if per_step is None and isinstance(y, list | tuple):
            arrays = [checked_array(entry, "y", owner) for entry in y]
            steps = [len(entry) if entry.ndim else 0 for entry in arrays]
            per_step = steps == lengths.tolist()
        if per_step:
            y = listed(f"{owner}: y", y, "arrays, one per sequence")
            kinds = {checked_array(entry, "y", owner).dtype.kind for entry in y}
            whole = options.get("target") == "class" or (options.get("target") is None and kinds <= set("iu"))
            y, found = _pad(y, "y", owner, NO_LABEL if whole else 0)
            if found.shape != lengths.shape or (found != lengths).any():
                k = int(np.argmax(found != lengths)) if found.shape == lengths.shape else min(len(found), len(lengths))
                raise ValueError(f"{owner}: y must have as many steps as x; they differ from sequence {k} on")
            options["per_step"] = True
        return cls(x, y, timed=True, lengths=lengths, **options)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.sample_shape))
        return f"Dataset({self.name!r}: {len(self)} samples of {shape} {self.x.dtype}, {self._described()})"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: ``(H, W, C)`` or ``(F,)``; the shape of a timed sample begins with T."""
        return self.x.shape[1:]

    def _take(self, rows):
        self.x = self.x[rows]

    def _join(self, parts):
        self.x = np.concatenate([part.x for part in parts])

    def batch(self, indices: ArrayLike) -> Batch:
        """Return the pair ``(x, y)`` of the samples with these indices, with their lengths and weights.

        Args:
            indices: ``[n]`` whole numbers, or a boolean mask ``[N]``, that select at least one sample.

        Returns:
            x ``[n, *sample_shape]`` float32, multiplied by `scale`, or ``[T, n, ...]`` for timed samples; and y ``[n,
                ...]``, or ``[T, n, ...]`` per step, in the dtype in which it is stored. Both are new arrays in C order.

        Raises:
            TypeError, ValueError, IndexError: as for `select`.
        """
        rows = checked_rows(indices, len(self), "Dataset.batch")
        x = self.x[rows].swapaxes(0, 1) if self.timed else self.x[rows]
        return self._batch(scaled(x, self.scale), rows)


def as_dataset(data: Any, name: str = "data", timed: bool = False) -> Dataset:
    """Return a Dataset for anything that can be trained on.

    Args:
        data: a Dataset or another source of batches, which is returned unchanged; or a tuple ``(x, y)``, which becomes
            a Dataset with scale 1 and unnamed classes.
        name: name of the Dataset that is made of a tuple.
        timed: whether the x of a tuple has time as its second axis. Default False.

    Raises:
        TypeError: data is none of these.
        ValueError: x or y do not pass the checks of `Dataset`.
    """
    text("as_dataset: name", name)
    if callable(getattr(data, "batch", None)) and hasattr(data, "__len__") and not isinstance(data, type):
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return Dataset(*data, name=name, timed=timed)
    got, hint = type(data).__name__, ""
    if isinstance(data, tuple):
        got = f"a tuple of {len(data)}"
        if len(data) > 2:
            hint = ". With lengths or weights: Dataset(x, y, timed=True, lengths=..., weights=...)"
    elif callable(getattr(data, "frames", None)):
        hint = ". Recordings become samples by .frames(steps)"
    elif isinstance(data, list) and len(data) == 2:
        hint = ". Write (x, y) in round brackets"
    elif isinstance(data, np.ndarray):
        hint = ". The targets are missing"
    raise TypeError(f"{name} must be a Dataset or a tuple (x, y) of arrays; got {got}{hint}")


def scaled(x: np.ndarray, scale: float) -> np.ndarray:
    """Return x times scale as a new float32 array in C order. All batches of stored samples are made here."""
    return np.multiply(x, np.float32(scale), dtype=np.float32, order="C", casting="same_kind")


def _checked_samples(x: ArrayLike, y: Any, scale: float, owner: str, timed: bool) -> np.ndarray:
    n = len(y) if hasattr(y, "__len__") and getattr(y, "shape", None) != () else 0
    if isinstance(x, tuple) and len(x) != n and any(np.ndim(entry) > 1 for entry in x if hasattr(entry, "dtype")):
        hint = "Join features with np.concatenate(x, axis=-1); an snn.Graph with several inputs takes a dict of arrays"
        raise ValueError(f"{owner}: x must be one array; got a tuple of {len(x)} arrays. {hint}")
    x = checked_array(x, "x", owner)
    if x.size == 0:
        raise ValueError(f"{owner}: x is empty; got shape {x.shape}")
    if timed and x.ndim not in (3, 4, 5):
        hint = ". Sequences of one feature: x[..., None]" if x.ndim == 2 else ""
        wanted = "[N, T, F], [N, T, L, C] or [N, T, H, W, C]"
        raise ValueError(f"{owner}: timed x must be {wanted}; got shape {x.shape}{hint}")
    if not timed and x.ndim not in (2, 4):
        hints = {
            1: ". Add a feature axis: x[:, None]",
            3: ". Sequences [N, T, F]: timed=True; grey pictures [N, H, W]: x[..., None] adds a channel axis",
            5: ". Sequences [N, T, H, W, C]: timed=True",
        }
        hint = hints.get(x.ndim, "")
        raise ValueError(f"{owner}: x must be [N, F] or [N, H, W, C]; got shape {x.shape}{hint}")
    if x.dtype.kind == "f":
        _check_finite(x, scale, owner)
    return x.view()  # the view is made read-only; the caller's array is not


def _check_finite(x: np.ndarray, scale: float, owner: str) -> None:
    """Raise ValueError if a number would be NaN or inf in a batch, including overflow of float32."""
    step = max(1, _CHUNK // x[0].size)
    for first in range(0, len(x), step):
        chunk = x[first : first + step]
        with np.errstate(over="ignore", invalid="ignore"):
            bad = ~np.isfinite(scaled(chunk, scale))
        if bad.any():
            where = tuple(np.argwhere(bad)[0])
            raise ValueError(f"{owner}: x must be finite as float32; sample {first + where[0]} holds {chunk[where]!s}")


def _pad(sequences, what: str, owner: str, fill: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences as one array ``[N, T, ...]`` whose shorter ones end with `fill`, and their lengths ``[N]``."""
    arrays = [checked_array(entry, what, owner) for entry in sequences]
    if not arrays:
        raise ValueError(f"{owner}: {what} holds no sequence")
    for k, array in enumerate(arrays):
        if array.ndim == 0 or not len(array):
            raise ValueError(f"{owner}: sequence {k} of {what} must have at least one step; got shape {array.shape}")
        if array.shape[1:] != arrays[0].shape[1:]:
            got = f"{array.shape} after {arrays[0].shape}"
            raise ValueError(f"{owner}: sequence {k} of {what} must differ in its steps alone; got shape {got}")
    lengths = np.array([len(array) for array in arrays])
    kind = np.result_type(*arrays) if fill == 0 else np.result_type(*arrays, np.int8)
    out = np.full((len(arrays), lengths.max(), *arrays[0].shape[1:]), fill, kind)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return out, lengths
