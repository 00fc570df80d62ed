"""Datasets in memory: pictures, feature vectors, or sequences of them, with one label per sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..validate import positive

# Without names the number of classes is the largest label + 1. A larger label than this comes from an identifier
# or a damaged file, and must not lead to millions of generated names.
_MAX_UNNAMED_CLASSES = 65_536

# The search for NaN and inf looks at this number of elements at a time, so that its temporary arrays take a few MiB.
_CHUNK = 1 << 20


class Dataset:
    """Samples in memory with one label per sample.

    All checks are made here, so that code that uses a dataset does not have to check again. The loader calls only `len`
    and ``batch(indices)``, so that other classes can take the place of this one.

    Args:
        x: samples first: pictures ``[N, H, W, C]`` or feature vectors ``[N, F]``; with `timed`, sequences ``[N, T,
            F]``, ``[N, T, L, C]`` or ``[N, T, H, W, C]``. Any real dtype; x is neither copied nor converted (uint8
            pictures stay uint8).
        y: ``[N]`` labels, whole numbers in ``0 .. n_classes - 1``; stored as int64.
        classes: names of the classes in the order of the labels. Default: ``"0", "1", ...`` up to the largest label in
            y. Give names (or give both parts the same names) if a part may lack the last class.
        name: name of the data in errors and reports. Default "data".
        scale: factor for x when a batch is made: ``1 / 255`` scales uint8 pictures to ``[0, 1]``. Default 1.
        timed: whether the second axis of x is time. Time comes first in a batch. Default False.

    Attributes:
        x, y, classes, name, scale, timed: the arguments. x and y are read-only views, because a later change would not
            be checked.

    Raises:
        ValueError: x is empty, has another number of axes, is not of a real dtype, or holds NaN, inf or a number too
            large for float32; y differs from x in length or holds anything but labels of a class; the classes are not
            distinct names; or scale is not finite and positive. The message names the first wrong element.
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
        self.name = name
        self.scale = positive(f"{owner}: scale", scale)
        self.timed = bool(timed)
        self.x = _checked_samples(x, self.scale, owner, self.timed)
        y = _checked_labels(y, len(self.x), owner)
        self.classes = _checked_classes(classes, y, owner)
        self.y = _checked_range(y, len(self.classes), owner)
        self.x.flags.writeable = False
        self.y.flags.writeable = False

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self.x.flags.writeable = self.y.flags.writeable = False  # a copied array is writeable again

    def __len__(self) -> int:
        """Number of samples, N."""
        return len(self.x)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.sample_shape))
        samples = f"{len(self)} samples of {shape} {self.x.dtype}"
        return f"Dataset({self.name!r}: {samples}, {self.n_classes} classes)"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: ``(H, W, C)`` or ``(F,)``; the shape of a timed sample begins with T."""
        return self.x.shape[1:]

    @property
    def n_classes(self) -> int:
        """Number of classes, including classes without a sample."""
        return len(self.classes)

    def select(self, indices: ArrayLike) -> Dataset:
        """Return the samples with these indices, in this order, as a new Dataset with the same classes, name and scale.

        Args:
            indices: ``[n]`` whole numbers, or a boolean mask ``[N]``, that select at least one sample.

        Raises:
            TypeError: the indices are neither whole numbers nor a boolean mask.
            ValueError: no sample is selected.
            IndexError: an index is out of range, or the mask has another length.
        """
        rows = checked_rows(indices, len(self), "Dataset.select")
        return Dataset(self.x[rows], self.y[rows], self.classes, self.name, self.scale, self.timed)

    def batch(self, indices: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(x, y)`` of the samples with these indices.

        Args:
            indices: as for `select`.

        Returns:
            x ``[n, *sample_shape]`` float32, multiplied by `scale`, or ``[T, n, ...]`` for timed samples; and y ``[n]``
                int64. Both are new arrays in C order.

        Raises:
            TypeError, ValueError, IndexError: as for `select`.
        """
        rows = checked_rows(indices, len(self), "Dataset.batch")
        x = self.x[rows].swapaxes(0, 1) if self.timed else self.x[rows]
        return scaled(x, self.scale), self.y[rows]


def checked_rows(indices: ArrayLike, n: int, caller: str) -> np.ndarray:
    """Return sample numbers ``[m]`` from whole numbers or a mask ``[n]``.

    Args:
        indices: whole numbers ``[m]`` or a boolean mask ``[n]``.
        n: number of samples.
        caller: begins the error messages.

    Raises:
        TypeError, ValueError, IndexError: as for `Dataset.select`.
    """
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
    """Return a Dataset for anything that can be trained on.

    Args:
        data: a Dataset or another source of batches, which is returned unchanged; or a tuple ``(x, y)``, which becomes
            a Dataset with scale 1 and unnamed classes.
        name: name of the Dataset that is made of a tuple.

    Raises:
        TypeError: data is none of these.
        ValueError: x or y do not pass the checks of `Dataset`.
    """
    if callable(getattr(data, "batch", None)) and hasattr(data, "__len__"):
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return Dataset(*data, name=name)
    got = f"a tuple of {len(data)}" if isinstance(data, tuple) else type(data).__name__
    raise TypeError(f"{name} must be a Dataset or a tuple (x, y) of arrays; got {got}")


def scaled(x: np.ndarray, scale: float) -> np.ndarray:
    """Return x times scale as a new float32 array in C order. All batches of stored samples are made here."""
    return np.multiply(x, np.float32(scale), dtype=np.float32, order="C", casting="same_kind")


def _array(value: ArrayLike, what: str, owner: str) -> np.ndarray:
    """Return the value as an array of a real dtype, or raise ValueError."""
    try:
        array = np.asarray(value)
    except ValueError:  # NumPy's message about nested lists of unequal lengths names neither argument nor owner
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


def _checked_labels(y: ArrayLike, n: int, owner: str) -> np.ndarray:
    """Return y as an ``[N]`` array of whole numbers in its own dtype, because uint64 or float may not fit int64 yet."""
    y = _array(y, "y", owner)
    if y.ndim != 1:
        hint = ". For one-hot rows: y.argmax(1)" if y.ndim == 2 and y.shape[1] > 1 else ""
        raise ValueError(f"{owner}: y must be [N], one label per sample; got shape {y.shape}{hint}")
    if len(y) != n:
        raise ValueError(f"{owner}: x and y must have the same length; got {n} samples and {len(y)} labels")
    if y.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(y) | (np.floor(y) != y))
        if bad.size:
            raise ValueError(f"{owner}: labels must be whole numbers; y[{bad[0]}] is {y[bad[0]]!s}")
    return y


def _checked_classes(classes: Sequence[object] | None, y: np.ndarray, owner: str) -> tuple[str, ...]:
    if classes is None:
        # At least one class, so that labels that are all negative reach the range check, which names the first one.
        return tuple(map(str, range(max(1, min(int(y.max()) + 1, _MAX_UNNAMED_CLASSES)))))
    if isinstance(classes, str):
        raise ValueError(f"{owner}: classes must be a sequence of names; got the single string {classes!r}")
    names = tuple(map(str, classes))
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{owner}: classes must be distinct names, at least one; got {names}")
    return names


def _checked_range(y: np.ndarray, n_classes: int, owner: str) -> np.ndarray:
    bad = np.flatnonzero((y < 0) | (y >= n_classes))
    if bad.size:
        raise ValueError(f"{owner}: labels must be in 0..{n_classes - 1}; y[{bad[0]}] is {y[bad[0]]!s}")
    return y.astype(np.int64)
