"""Targets: their kinds, and the checks of what a user gives as one."""

from typing import NamedTuple

import numpy as np

from ..errors import ShapeError
from ..shown import shown

NAMES = {
    ("class", False): "one class per sample",
    ("class", True): "one class per step",
    ("labels", False): "several labels per sample",
    ("labels", True): "several labels per step",
    ("values", False): "values per sample",
    ("values", True): "values per step",
}
"""(kind, whether there is one target per step) -> its name in messages."""

NO_LABEL = -1
"""In one class per step: the step has no label, and does not count."""


class Wanted(NamedTuple):
    """Targets that were checked.

    Attributes:
        y: int64 or float array, in the form that the kernel of the loss takes.
        labelled: ``[T, N]`` truth values: whether the step has a target; None if all steps have one.
        weights: weights that follow from the targets: ``[N]`` for samples, ``[T, N]`` for steps; None for none.
    """

    y: np.ndarray
    labelled: np.ndarray | None = None
    weights: np.ndarray | None = None


def array_of(what: str, name: str, value) -> np.ndarray:
    """Return what a user gave as an array; refuse what cannot be one."""
    try:
        return np.asarray(value)
    except Exception:  # nested lists that are too deep, or objects that fail when they are converted
        ragged = isinstance(value, list | tuple) and any(isinstance(entry, list | tuple) for entry in value)
        got = "nested lists of unequal lengths" if ragged else shown(value)
        raise ShapeError(f"{what}: {name} must be an array; got {got}") from None


def classes_of(what: str, y, shape) -> np.ndarray:
    """Return labels as int64 ``[N]``; refuse labels that do not fit the readout's shape ``[T, N, K]``."""
    steps, samples, classes = shape
    y = array_of(what, "targets", y)
    if y.shape != (samples,) or y.dtype.kind not in "iu":
        hint = ". There are as many as steps: the input of a network is [T, N, ...], for example x.swapaxes(0, 1)"
        raise ShapeError(
            f"{what}: labels must be {samples} whole numbers, one per sample; got {y.dtype} of shape {y.shape}"
            + (hint if y.shape == (steps,) and steps != samples else "")
        )
    if y.min() < 0 or y.max() >= classes:
        bad = np.flatnonzero((y < 0) | (y >= classes))
        raise ShapeError(
            f"{what}: labels must lie in 0..{classes - 1} for a readout of {classes}; got {y[bad[0]]} at index {bad[0]}"
        )
    return y.astype(np.int64)


def step_classes_of(what: str, y, shape) -> np.ndarray:
    """Return labels as int64 ``[T, N]``, -1 where there is none; refuse labels that do not fit the readout."""
    steps, samples, classes = shape
    y = array_of(what, "targets", y)
    if y.shape != (steps, samples) or y.dtype.kind not in "iu":
        raise ShapeError(
            f"{what}: labels must be whole numbers of shape {(steps, samples)}, one per step and sample; "
            f"got {y.dtype} of shape {y.shape}"
        )
    bad = np.argwhere((y < NO_LABEL) | (y >= classes))
    if bad.size:
        at = tuple(bad[0].tolist())
        raise ShapeError(
            f"{what}: labels must lie in 0..{classes - 1} for a readout of {classes}, or be {NO_LABEL} for a step "
            f"without a label; got {y[at]} at index {at}"
        )
    return y.astype(np.int64)


def values_of(what: str, y, shape, correct: float, incorrect: float, moving: bool = True) -> np.ndarray:
    """Return wanted values as floats ``[T, N, K]``, or ``[1, N, K]`` if they are the same at every step.

    Args:
        what: begins the messages.
        y: classes ``[N]`` (whole numbers), labels (whole numbers or truth values) or values (floats) of the readout's
            shape, with or without its first axis.
        shape: shape of the readout, ``[T, N, ...]``.
        correct, incorrect: wanted values where there is a label, and where there is none.
        moving: whether values may differ from step to step. Default True.

    Raises:
        ShapeError: the targets do not fit the readout.
        ValueError: a value is NaN or inf, or a label is neither 0 nor 1.
    """
    y = array_of(what, "targets", y)
    steps, samples, *rest = shape
    if y.dtype.kind in "iu" and y.ndim == 1:
        if len(rest) > 1:
            raise ShapeError(f"{what}: one class per sample needs a readout [T, N, K]; got {tuple(shape)}")
        y = np.where(np.arange(rest[0]) == classes_of(what, y, shape)[:, None], correct, incorrect)
    if y.shape == (samples,) and rest == [1]:
        y = y[:, None]
    whole, constant = tuple(shape), (samples, *rest)
    if y.shape not in ((whole, constant) if moving else (constant,)):
        wanted = f"the readout's shape {whole}, or {constant}" if moving else f"shape {constant}"
        raise ShapeError(f"{what}: wanted values must have {wanted}; got {y.shape}")
    if y.dtype.kind in "biu":
        if y.dtype.kind != "b" and not np.isin(y, (0, 1)).all():
            raise ValueError(f"{what}: labels must be 0 or 1; for values, give floats: y.astype(numpy.float32)")
        y = np.where(y, correct, incorrect)
    if y.dtype.kind != "f":
        raise ShapeError(f"{what}: targets must be numbers; got {y.dtype}")
    if not np.isfinite(y).all():
        raise ValueError(f"{what}: wanted values must be finite; got NaN or inf among them")
    return y.reshape(steps if y.ndim == len(shape) else 1, samples, -1)
