"""Labelled samples held in memory: pictures, features, or sequences of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Without names the number of classes is the largest label + 1. A label beyond this is an id or a broken
# file, not a class, and must not turn into millions of made-up names.
_MAX_UNNAMED_CLASSES = 65_536

# Elements looked at in one go by the search for NaN and inf: keeps its temporary arrays at a few MiB.
_CHUNK = 1 << 20


class Dataset:
    """Samples with one label each; checked once, here, so that nothing behind has to check again.

    Args:
        x: samples first: pictures ``[N, H, W, C]`` or feature vectors ``[N, F]``; with `timed`, sequences
            ``[N, T, F]``, ``[N, T, L, C]`` or ``[N, T, H, W, C]``. Any real dtype; neither copied nor converted (uint8
            pictures stay uint8).
        y: ``[N]`` labels, whole numbers in ``0 .. n_classes - 1``; kept as int64.
        classes: names of the classes in label order. Default: ``"0", "1", ...`` up to the largest label in y, so name
            them (or give both parts the same names) where a part may lack the last class.
        name: what errors and reports call these data.
        scale: what a unit of x is multiplied with when a batch is made: ``1 / 255`` takes uint8 pictures to ``[0, 1]``.
            Default 1.
        timed: whether the second axis of x is time, which comes first in a batch. Default False.

    All of them are attributes; x and y are read-only views, as a change behind the checks would go unseen.

    Raises:
        ValueError: x is empty, has another rank, holds NaN or inf (also: a number beyond float32), or is not of a real
            dtype; y has another length than x, or holds anything but labels of a class; classes are not distinct
            names; scale is not finite and positive. The message names the first offender.

    Other kinds of data fit in beside this class: the loader asks for `len` and ``batch(indices)`` only.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        classes: Sequence[object] | None = None,
        name: str = "data",
        scale: float = 1.0,
        timed: bool = False,
    ) -> None:
        owner = f"Dataset {name!r}"
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"{owner}: scale must be finite and > 0; got {scale!r}")
        self.name = name
        self.scale = float(scale)
        self.timed = bool(timed)
        self.x = _checked_samples(x, self.scale, owner, self.timed)
        y = _checked_labels(y, len(self.x), owner)
        self.classes = _checked_classes(classes, y, owner)
        self.y = _checked_range(y, len(self.classes), owner)
        self.x.flags.writeable = False
        self.y.flags.writeable = False

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self.x.flags.writeable = self.y.flags.writeable = False  # which copies of arrays are not

    def __len__(self) -> int:
        """Number of samples, N."""
        return len(self.x)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.sample_shape))
        samples = f"{len(self)} samples of {shape} {self.x.dtype}"
        return f"Dataset({self.name!r}: {samples}, {self.n_classes} classes)"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: ``(H, W, C)`` or ``(F,)``; with T in front where the samples are timed."""
        return self.x.shape[1:]

    @property
    def n_classes(self) -> int:
        """Number of classes, whether or not each of them has a sample."""
        return len(self.classes)

    def select(self, indices: ArrayLike) -> Dataset:
        """The named samples, in that order, as a new Dataset with the same classes, name and scale.

        indices: ``[n]`` whole numbers, or a boolean mask ``[N]``; at least one. Raises TypeError for anything
        else, ValueError if none is selected, IndexError for an index out of range.
        """
        rows = checked_rows(indices, len(self), "Dataset.select")
        return Dataset(self.x[rows], self.y[rows], self.classes, self.name, self.scale, self.timed)

    def batch(self, indices: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """``(x, y)`` of the named samples: x ``[n, *sample_shape]`` float32, y ``[n]`` int64.

        x is scaled; of timed samples it is ``[T, n, ...]``. Both are new arrays in C order. indices and errors as in
        `select`.
        """
        rows = checked_rows(indices, len(self), "Dataset.batch")
        x = self.x[rows].swapaxes(0, 1) if self.timed else self.x[rows]
        return scaled(x, self.scale), self.y[rows]


def checked_rows(indices: ArrayLike, n: int, caller: str) -> np.ndarray:
    """Sample numbers ``[m]`` from whole numbers or a mask ``[n]``; raises as `Dataset.select`."""
    rows = np.asarray(indices)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "biu"):
        raise TypeError(
            f"{caller}: indices must be a list of whole numbers or a boolean mask; "
            f"got {type(indices).__name__} of shape {rows.shape} and dtype {rows.dtype}"
        )
    if rows.dtype.kind == "b":
        if len(rows) != n:
            raise IndexError(f"{caller}: the mask must have {n} entries; got {len(rows)}")
        rows = np.flatnonzero(rows)
    if not rows.size:
        raise ValueError(f"{caller}: indices select no sample")
    low, high = int(rows.min()), int(rows.max())
    if low < -n or high >= n:
        raise IndexError(f"{caller}: index {low if low < -n else high} is out of bounds for {n} samples")
    return np.where(rows < 0, rows + n, rows) if low < 0 else rows


def as_dataset(data: Any, name: str = "data") -> Dataset:
    """A Dataset, or another source of batches, as it is; or one made of a tuple ``(x, y)`` with that name, scale 1 and
    unnamed classes.

    Raises TypeError for anything else, ValueError where x or y do not pass the checks of `Dataset`.
    """
    if isinstance(data, Dataset) or (callable(getattr(data, "batch", None)) and hasattr(data, "__len__")):
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return Dataset(*data, name=name)
    got = f"a tuple of {len(data)}" if isinstance(data, tuple) else type(data).__name__
    raise TypeError(f"{name} must be a Dataset or a tuple (x, y) of arrays; got {got}")


def scaled(x: np.ndarray, scale: float) -> np.ndarray:
    """x times scale as new float32 array in C order; the one place that says how a batch is made."""
    return np.multiply(x, np.float32(scale), dtype=np.float32, order="C", casting="same_kind")


def _array(value: ArrayLike, what: str, owner: str) -> np.ndarray:
    """value as array of a real dtype, or ValueError."""
    try:
        array = np.asarray(value)
    except ValueError:  # NumPy's own words for ragged nested lists name neither the argument nor the owner
        raise ValueError(f"{owner}: {what} must be an array; got nested lists of unequal lengths") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{owner}: {what} must hold real numbers; got dtype {array.dtype}")
    return array


def _checked_samples(x: ArrayLike, scale: float, owner: str, timed: bool) -> np.ndarray:
    x = _array(x, "x", owner)
    if x.size == 0:
        raise ValueError(f"{owner}: x is empty; got shape {x.shape}")
    if timed and x.ndim not in (3, 4, 5):
        raise ValueError(f"{owner}: timed x must be [N, T, F], [N, T, L, C] or [N, T, H, W, C]; got shape {x.shape}")
    if not timed and x.ndim not in (2, 4):
        hints = {1: ". Add a feature axis: x[:, None]", 3: ". Add a channel axis: x[..., None]"}
        hint = hints.get(x.ndim, "")
        raise ValueError(f"{owner}: x must be [N, F] or [N, H, W, C]; got shape {x.shape}{hint}")
    if x.dtype.kind == "f":
        _check_finite(x, scale, owner)
    return x.view()  # making the view read-only leaves the caller's array alone


def _check_finite(x: np.ndarray, scale: float, owner: str) -> None:
    """ValueError if a number would reach a batch as NaN or inf, which includes overflow of float32."""
    step = max(1, _CHUNK // x[0].size)
    for first in range(0, len(x), step):
        chunk = x[first : first + step]
        with np.errstate(over="ignore", invalid="ignore"):
            bad = ~np.isfinite(scaled(chunk, scale))
        if bad.any():
            where = tuple(np.argwhere(bad)[0])
            raise ValueError(f"{owner}: x must be finite as float32; sample {first + where[0]} holds {chunk[where]!s}")


def _checked_labels(y: ArrayLike, n: int, owner: str) -> np.ndarray:
    """y as ``[N]`` array of whole numbers, still in its own dtype: uint64 or float may not fit int64 yet."""
    y = _array(y, "y", owner)
    if y.ndim != 1:
        hint = ". For one-hot rows: y.argmax(1)" if y.ndim == 2 and y.shape[1] > 1 else ""
        raise ValueError(f"{owner}: y must be [N], a label a sample; got shape {y.shape}{hint}")
    if len(y) != n:
        raise ValueError(f"{owner}: x and y must have the same length; got {n} samples and {len(y)} labels")
    if y.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(y) | (np.floor(y) != y))
        if bad.size:
            raise ValueError(f"{owner}: labels must be whole numbers; y[{bad[0]}] is {y[bad[0]]!s}")
    return y


def _checked_classes(classes: Sequence[object] | None, y: np.ndarray, owner: str) -> tuple[str, ...]:
    if classes is None:
        # At least one, so that labels that are all negative reach the range check, which names the first.
        return tuple(map(str, range(max(1, min(int(y.max()) + 1, _MAX_UNNAMED_CLASSES)))))
    if isinstance(classes, str):
        raise ValueError(f"{owner}: classes must be a sequence of names; got the single str {classes!r}")
    names = tuple(map(str, classes))
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{owner}: classes must be distinct names, at least one; got {names}")
    return names


def _checked_range(y: np.ndarray, n_classes: int, owner: str) -> np.ndarray:
    bad = np.flatnonzero((y < 0) | (y >= n_classes))
    if bad.size:
        raise ValueError(f"{owner}: labels must be in 0..{n_classes - 1}; y[{bad[0]}] is {y[bad[0]]!s}")
    return y.astype(np.int64)
