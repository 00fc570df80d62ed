"""Checks of what a dataset knows about its samples beside x: targets, lengths of sequences, weights."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..names import choice
from ..shown import shown
from ..validate import LARGEST_WHOLE

TARGETS = ("class", "labels", "values")
"""What y can hold: one class per sample, several labels per sample, or real numbers."""

NO_LABEL = -1
"""Stands for "no label at this step" where y holds a class per step."""

# Without names the number of classes is the largest label + 1. A larger label than this comes from an identifier
# or a damaged file, and must not lead to millions of generated names.
_MAX_UNNAMED_CLASSES = 65_536


_UNKNOWN = {
    "y": "Predictions need no targets: Trainer.predict(x) takes the array x",
    "labels": "Predictions need no labels: Trainer.predict(np.stack([to_frames(one, steps) for one in events]))",
}
"""What to do where targets are not known."""


class Targets(NamedTuple):
    """Targets that were checked: y in its stored dtype, what it holds, whether it has a time axis, and the names."""

    y: np.ndarray
    target: str
    per_step: bool
    classes: tuple[str, ...]


def checked_array(value: ArrayLike, what: str, owner: str) -> np.ndarray:
    """Return the value as an array of a real dtype, or raise ValueError."""
    try:
        array = np.asarray(value)
        ragged = array.dtype == object and array.ndim == 1 and any(np.ndim(entry) for entry in array)
    except Exception:  # NumPy's messages about nested lists of unequal lengths name neither argument nor owner
        ragged = True
    if ragged:
        hint = "For sequences of different length: Dataset.padded(x, y)"
        raise ValueError(f"{owner}: {what} must be an array; got nested lists of unequal lengths. {hint}")
    if array.dtype.kind not in "biuf":
        hint = ""
        if what in ("y", "labels") and _are_names(array):
            hint = f". For names of classes: classes, {what} = np.unique({what}, return_inverse=True)"
        raise ValueError(f"{owner}: {what} must hold real numbers; got dtype {array.dtype}{hint}")
    return array


def checked_targets(
    y: Any,
    n: int,
    steps: int | None,
    classes: Sequence[object] | None,
    target: str | None,
    per_step: bool | None,
    owner: str,
    what: str = "y",
) -> Targets:
    """Check targets; what they hold and whether they have a time axis is inferred where it is not given.

    Args:
        y, classes, target, per_step: as for `numsnn.data.Dataset`.
        n: number of samples.
        steps: T of the samples, or None if they have no time axis or none yet.
        owner: begins the error messages.
        what: the argument that holds the targets: "y" (default), or "labels" beside recordings.

    Raises:
        ValueError: as for `numsnn.data.Dataset`.
    """
    if y is None:
        raise ValueError(f"{owner}: {what} must hold targets; got None. {_UNKNOWN[what]}")
    if target is not None:
        choice(f"{owner}: target", target, TARGETS)
    if classes is not None and target in (None, "class"):
        y = _numbers_of_names(y, classes, owner, what)
    y = checked_array(y, what, owner)
    if per_step is not None and not isinstance(per_step, bool | np.bool_):
        raise ValueError(f"{owner}: per_step must be True, False or None; got {shown(per_step)}")
    if y.ndim == 0 or len(y) != n:
        got = f"{what} of shape {y.shape}" if y.ndim == 0 else f"{len(y)} labels"
        both = "x and y" if what == "y" else f"events and {what}"
        raise ValueError(f"{owner}: {both} must have the same length; got {n} samples and {got}")
    if target is None:
        target = "values" if y.dtype.kind == "f" else "labels" if y.dtype.kind == "b" and y.ndim > 1 else "class"
    if target == "values":
        # Before a feature axis is added, so that an error names the caller's element.
        y = _checked_values(y, owner, what)
    shaped = {"class": _class_axes, "labels": _label_axes, "values": _value_axes}[target]
    y, per_step = shaped(y, steps, per_step, owner, what)
    if per_step and steps is not None and y.shape[1] != steps:
        hint = "Targets without a time axis: per_step=False"
        raise ValueError(f"{owner}: y has {y.shape[1]} steps, but x has {steps}; got y of shape {y.shape}. {hint}")
    if not y.size:
        raise ValueError(f"{owner}: {what} must hold at least one target; got shape {y.shape}")
    if target == "class":
        y, names = _checked_classes(y, per_step, classes, owner, what)
    elif target == "labels":
        y, names = _checked_labels(y, owner, what), _checked_names(classes, y.shape[-1], f"labels of {what}", owner)
    else:
        names = _value_names(y, per_step, classes, owner, what)
    return Targets(y, target, per_step, names)


# --- axes ---


def _class_axes(y, steps, per_step, owner, what):
    if per_step is None:
        per_step = y.ndim == 2 and y.shape[1] == steps
    wanted = 2 if per_step else 1
    if y.ndim == wanted:
        return y, bool(per_step)
    if per_step:
        raise ValueError(f"{owner}: {what} must be [N, T], one class per step; got shape {y.shape}")
    hints = ["For several labels per sample: target='labels'", f"for one-hot rows: {what}.argmax(1)"]
    if y.ndim == 2 and y.shape[1] == 1:
        hints = [f"For one class per sample: {what}[:, 0]"]
    elif y.ndim == 2:
        hints += ["for one class per step: timed=True" if steps is None else f"for one class per step: {steps} columns"]
    else:
        hints = ["For pictures and other numbers: target='values'", "for several labels per step: target='labels'"]
    hint = "; ".join(hints)
    raise ValueError(f"{owner}: {what} must be [N], one class per sample; got shape {y.shape}. {hint}")


def _label_axes(y, steps, per_step, owner, what):
    if per_step is None:
        per_step = y.ndim == 3
    if y.ndim != 2 + per_step:
        wanted = "[N, T, K], K labels per step" if per_step else "[N, K], K labels per sample, or [N, T, K]"
        hint = f". For a single label: {what}[:, None]" if y.ndim == 1 else ""
        raise ValueError(f"{owner}: {what} must be {wanted}; got shape {y.shape}{hint}")
    return y, bool(per_step)


def _value_axes(y, steps, per_step, owner, what):
    if per_step is None:
        per_step = y.ndim in (3, 5)
    if y.ndim == 1 + per_step:
        y = y[..., None]
    if y.ndim < 2 + per_step:
        raise ValueError(f"{owner}: {what} must be [N, T, ...], values per step; got shape {y.shape[:1]}")
    return y, bool(per_step)


# --- content ---


def _first(bad: np.ndarray, y: np.ndarray, what: str) -> str:
    """Return the place and the value of the first bad element, such as "y[2, 5] is nan"."""
    where = tuple(int(k) for k in np.argwhere(bad)[0])
    return f"{what}[{', '.join(map(str, where))}] is {y[where]!s}"


def _checked_classes(y, per_step, classes, owner, what):
    if y.dtype.kind == "f":
        bad = ~np.isfinite(y) | (np.floor(y) != y)
        if bad.any():
            raise ValueError(f"{owner}: labels must be whole numbers; {_first(bad, y, what)}")
    if classes is None:
        # At least one class, so that labels that are all negative reach the range check, which names the first one.
        names = tuple(map(str, range(max(1, min(int(y.max()) + 1, _MAX_UNNAMED_CLASSES)))))
    else:
        names = _names(classes, owner)
    low = NO_LABEL if per_step else 0
    bad = (y < low) | (y >= len(names))
    if bad.any():
        more = f", or {NO_LABEL} for a step without a label" if per_step else ""
        wanted = f"labels must be in 0..{len(names) - 1}"
        if classes is not None:
            wanted = f"there {'is 1 class name' if len(names) == 1 else f'are {len(names)} class names'}, so {wanted}"
        elif (y < low).any():  # the largest class comes from the labels themselves
            bad, wanted = y < low, "labels must be at least 0"
        raise ValueError(f"{owner}: {wanted}{more}; {_first(bad, y, what)}")
    return y.astype(np.int64), names


def _checked_labels(y, owner, what):
    bad = (y != 0) & (y != 1)
    if bad.any():
        raise ValueError(f"{owner}: several labels per sample must be 0 or 1 each; {_first(bad, y, what)}")
    return y.astype(np.uint8)


def _checked_values(y, owner, what):
    with np.errstate(over="ignore", invalid="ignore"):
        values = y.astype(np.float32)
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"{owner}: values must be finite as float32; {_first(bad, y, what)}")
    return values


def need_label(found: Targets, lengths: np.ndarray | None, owner: str, what: str = "y") -> None:
    """Raise ValueError if y holds a class per step, but no step of the sequences has a label."""
    if found.target == "class" and found.per_step:
        labelled = found.y != NO_LABEL
        if lengths is not None:
            labelled &= np.arange(found.y.shape[1]) < lengths[:, None]
        if not labelled.any():
            raise ValueError(
                f"{owner}: {what} must hold at least one label: all steps have {NO_LABEL}, which means no label"
            )


# --- names ---


def _are_names(array: np.ndarray) -> bool:
    """Return whether an array holds strings; those of a table of pandas are objects."""
    if array.dtype == object:
        return array.size > 0 and all(isinstance(one, str) for one in array.ravel())
    return array.dtype.kind in "UST"


def _numbers_of_names(y, classes, owner, what):
    """Return the numbers of the classes that y names; another y is returned unchanged."""
    try:
        named = np.asarray(y)
    except Exception:  # nested lists of unequal lengths, which `checked_array` refuses
        return y
    if named.dtype.kind == "S" or not _are_names(named):
        return y
    numbers = {name: number for number, name in enumerate(_names(classes, owner))}
    for where, name in np.ndenumerate(named):
        if name not in numbers:
            choice(f"{owner}: {what}[{', '.join(map(str, where))}]", str(name), numbers)
    return np.array([numbers[name] for name in named.ravel()], np.int64).reshape(named.shape)


def _names(classes, owner):
    if isinstance(classes, str):
        raise ValueError(f"{owner}: classes must be a sequence of names; got the single string {shown(classes)}")
    if not isinstance(classes, Sequence) and not (isinstance(classes, np.ndarray) and classes.ndim == 1):
        raise ValueError(f"{owner}: classes must be a sequence of names; got {shown(classes)}")
    for name in classes:
        if not isinstance(name, str | Number | np.generic) or (isinstance(name, int) and abs(name) > LARGEST_WHOLE):
            raise ValueError(f"{owner}: classes must be names; got {shown(name)}")
    names = tuple(map(str, classes))
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{owner}: classes must be distinct names, at least one; got {shown(names)}")
    return names


def _checked_names(classes, n, named, owner, hint=""):
    if classes is None:
        return tuple(map(str, range(n)))
    names = _names(classes, owner)
    if len(names) != n:
        raise ValueError(f"{owner}: classes must name the {n} {named}; got {len(names)} names{hint}")
    return names


def _value_names(y, per_step, classes, owner, what):
    if classes is None or (isinstance(classes, Sequence) and not len(classes)):
        return ()
    n = int(np.prod(y.shape[1 + per_step :]))
    hint = ". Real numbers are values; if they are numbers of classes: target='class'"
    return _checked_names(classes, n, f"values of {what}", owner, hint)


# --- lengths and weights ---


def checked_lengths(lengths: ArrayLike | None, n: int, steps: int | None, owner: str) -> np.ndarray | None:
    """Return lengths ``[n]`` int64 of sequences of `steps` steps, or None.

    Raises:
        ValueError: the samples have no time axis, or the lengths are not n whole numbers in ``1 .. steps``.
    """
    if lengths is None:
        return None
    if steps is None:
        raise ValueError(f"{owner}: lengths belong to sequences; pass timed=True")
    found = checked_array(lengths, "lengths", owner)
    if found.shape != (n,) or found.dtype.kind not in "iu":
        got = f"shape {found.shape} and dtype {found.dtype}"
        raise ValueError(f"{owner}: lengths must be [{n}] whole numbers, one per sample; got {got}")
    bad = np.flatnonzero((found < 1) | (found > steps))
    if bad.size:
        where = f"lengths[{bad[0]}] is {found[bad[0]]!s}"
        raise ValueError(f"{owner}: lengths must be in 1..{steps}, the steps of x; {where}")
    return found.astype(np.int64)


def checked_weights(weights: ArrayLike | None, n: int, owner: str) -> np.ndarray | None:
    """Return weights ``[n]`` float32, or None.

    Raises:
        ValueError: they are not n finite numbers of at least 0, or none of them is positive.
    """
    if weights is None:
        return None
    given = checked_array(weights, "weights", owner)
    if given.shape != (n,):
        raise ValueError(f"{owner}: weights must be [{n}], one per sample; got shape {given.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        found = given.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(found) | (found < 0))
    if bad.size:
        where = f"weights[{bad[0]}] is {given[bad[0]]!s}"
        raise ValueError(f"{owner}: weights must be finite as float32 and at least 0; {where}")
    if not found.any():
        raise ValueError(f"{owner}: weights must hold at least one positive number")
    return found
