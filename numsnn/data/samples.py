"""What all datasets share: the targets of their samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from .batch import Batch


class Samples:
    """Base of all datasets: what is known about the samples beside x.

    Attributes:
        y: targets, samples first: ``[N, ...]``, or ``[N, T, ...]`` per step. Read-only.
        target: what y holds: "class" (int64, a class per sample or step; -1 for a step without a label), "labels"
            (uint8, 0 or 1 per label) or "values" (float32).
        per_step: whether the second axis of y is time.
        classes: names of the classes or labels; for values the names of the outputs, or ().
        lengths: ``[N]`` int64, steps of each sequence, or None if all sequences are whole.
        weights: ``[N]`` float32, weights of the samples in a loss, or None if all count the same.
        name: name of the data in errors and reports.
    """

    y: np.ndarray
    target: str
    per_step: bool
    classes: tuple[str, ...]
    lengths: np.ndarray | None
    weights: np.ndarray | None
    name: str

    def __len__(self) -> int:
        """Number of samples, N."""
        return len(self.y)

    @property
    def n_classes(self) -> int:
        """Number of classes or labels, including those without a sample; 0 for values without names."""
        return len(self.classes)

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one target, without the axes of samples and time: () for a class, (K,) for K labels."""
        return self.y.shape[1 + self.per_step :]

    @property
    def n_outputs(self) -> int:
        """Number of outputs that a network needs: of classes, of labels, or of values per sample and step."""
        return self.n_classes if self.target == "class" else math.prod(self.target_shape)

    def _described(self) -> str:
        """Return what a repr says about the targets."""
        what = {"class": f"{self.n_classes} classes", "labels": f"{self.n_outputs} labels"}
        text = what.get(self.target, f"{'x'.join(map(str, self.target_shape))} values")
        return f"{text} per step" if self.per_step else text

    def _batch(self, x: np.ndarray, rows: np.ndarray) -> Batch:
        """Return x with targets, lengths and weights of the samples with these numbers."""
        y = self.y[rows]
        if self.per_step:
            y = np.ascontiguousarray(y.swapaxes(0, 1))
        lengths, weights = (None if own is None else own[rows] for own in (self.lengths, self.weights))
        return Batch(x, y, lengths, weights)


def checked_rows(indices: ArrayLike, n: int, caller: str) -> np.ndarray:
    """Return sample numbers ``[m]`` from whole numbers or a mask ``[n]``.

    Args:
        indices: whole numbers ``[m]`` or a boolean mask ``[n]``.
        n: number of samples.
        caller: begins the error messages.

    Raises:
        TypeError: the indices are neither whole numbers nor a boolean mask.
        ValueError: no sample is selected.
        IndexError: an index is out of range, or the mask has another length.
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
