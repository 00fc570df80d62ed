"""What all datasets share: targets, and the operations that choose and join samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..names import choice
from ..shown import shown
from ..validate import flag, whole, within
from .batch import Batch

_STREAM = 0x73706C6974  # "split": no other use of the same seed may draw the same random numbers


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

    alike: tuple[str, ...] = ("target", "per_step", "target_shape", "classes")
    """Attributes that must be equal in datasets that are joined, or stored together."""

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

    # --- choosing samples ---

    def select(self, indices: ArrayLike) -> Self:
        """Return the samples with these indices, in this order, as a dataset of the same kind.

        Nothing is read from a file; events stay events, and what changes samples at random goes on to do so.

        Args:
            indices: ``[n]`` whole numbers, or a boolean mask ``[N]``, that select at least one sample.

        Raises:
            TypeError: the indices are neither whole numbers nor a boolean mask.
            ValueError: no sample is selected.
            IndexError: an index is out of range, or the mask has another length.
        """
        rows = checked_rows(indices, len(self), f"{type(self).__name__}.select")
        part = self._twin()
        part._take(rows)
        part.y = self.y[rows]
        part.lengths, part.weights = (None if own is None else own[rows] for own in (self.lengths, self.weights))
        part._freeze()
        return part

    def split(self, share: float, stratify: bool = True, seed: int = 0) -> tuple[Self, Self]:
        """Divide the samples at random into two datasets, in each of which they keep their order.

        Args:
            share: part of the samples in the first dataset, between 0 and 1; their number is rounded.
            stratify: keep the balance of the classes, as far as whole samples allow. It has no effect where there is
                not one class per sample. Default True.
            seed: whole number of at least 0 that determines the division. Default 0.

        Raises:
            ValueError: an argument is out of range, or a part would be empty.
        """
        share = within("split: share", share, 0, 1)
        flag("split: stratify", stratify)
        n = round(share * len(self))
        if not 0 < n < len(self):
            raise ValueError(f"split: a share of {share:g} of {len(self)} samples leaves one part empty")
        balanced = stratify and self._one_class
        mask = _drawn(self.y if balanced else np.zeros(len(self)), n, seed, "split")
        return self.select(mask), self.select(~mask)

    def subset(
        self, classes: Iterable[str | int] | None = None, n: int | None = None, relabel: bool = False, seed: int = 0
    ) -> Self:
        """Return the samples of some classes, or a smaller number of samples with the same balance of the classes.

        Args:
            classes: names or numbers of the classes whose samples remain. Default: all.
            n: number of samples, drawn at random; they keep their order. Default: all.
            relabel: number the remaining classes anew, in the order in which they are given, so that a network needs
                only so many outputs. Default False: labels and names stay as they are.
            seed: whole number of at least 0 that determines the draw. Default 0.

        Raises:
            ValueError: neither classes nor n is given, a class is unknown or given twice, no sample remains, there is
                not one class per sample, or n is out of range.
        """
        if classes is None and n is None:
            raise ValueError("subset: give classes, n or both")
        flag("subset: relabel", relabel)
        if not self._one_class and (classes is not None or relabel):
            kind = f"{self.target}{' per step' if self.per_step else ''}"
            raise ValueError(f"subset: classes need one class per sample; {self.name!r} has {kind}")
        numbers = list(range(self.n_classes)) if classes is None else self._numbers(classes)
        rows = np.flatnonzero(np.isin(self.y, numbers)) if classes is not None else np.arange(len(self))
        if not len(rows):
            raise ValueError(f"subset: {self.name!r} has no sample of the classes {[self.classes[k] for k in numbers]}")
        if n is not None:
            if whole("subset: n", n) > len(rows):
                raise ValueError(f"subset: n must be at most {len(rows)}, the number of samples; got {n}")
            labels = self.y[rows] if self._one_class else np.zeros(len(rows))
            rows = rows[_drawn(labels, n, seed, "subset")]
        part = self.select(rows)
        if relabel:
            table = np.zeros(len(self.classes), np.int64)
            table[numbers] = np.arange(len(numbers))
            part._relabel(table, tuple(self.classes[k] for k in numbers))
            part._freeze()
        return part

    @property
    def _one_class(self) -> bool:
        """Whether there is one class per sample."""
        return self.target == "class" and not self.per_step

    def _numbers(self, classes) -> list[int]:
        """Return the numbers of classes that are given by name or number."""
        numbers, given = [], _listed(classes)
        for one in given:
            if isinstance(one, str):
                numbers.append(self.classes.index(choice("subset: class", one, self.classes)))
            elif whole("subset: class", one, 0) < self.n_classes:
                numbers.append(int(one))
            else:
                raise ValueError(
                    f"subset: class must be a name, or a number in 0..{self.n_classes - 1}; got {shown(one)}"
                )
        if not numbers or len(set(numbers)) != len(numbers):
            raise ValueError(f"subset: classes must be distinct, at least one; got {given}")
        return numbers

    # --- what a kind of dataset adds ---

    def _take(self, rows: np.ndarray) -> None:
        """Choose the x of these samples, before targets, lengths and weights are chosen."""
        raise NotImplementedError

    def _join(self, parts: tuple[Any, ...]) -> None:
        """Join the x of these datasets, before targets, lengths and weights are joined."""
        raise NotImplementedError

    def _relabel(self, table: np.ndarray, classes: tuple[str, ...]) -> None:
        """Replace each label by its entry of the table."""
        self.y, self.classes = table[self.y], classes

    def _twin(self) -> Self:
        """Return another object with the same attributes. (Copying would open files again.)"""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def _freeze(self) -> None:
        """Make the arrays read-only, because a later change would not be checked."""
        for array in (self.y, self.lengths, self.weights):
            if array is not None:
                array.flags.writeable = False

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._freeze()  # a copied array is writeable again

    def _described(self) -> str:
        """Return what a repr says about the targets."""
        what = {"class": f"{self.n_classes} classes", "labels": f"{self.n_outputs} labels"}
        shape = "x".join(map(str, self.target_shape))
        text = what.get(self.target, "1 value" if self.n_outputs == 1 else f"{shape} values")
        return f"{text} per step" if self.per_step else text

    def _batch(self, x: np.ndarray, rows: np.ndarray) -> Batch:
        """Return x with targets, lengths and weights of the samples with these numbers."""
        y = self.y[rows]
        if self.per_step:
            y = np.ascontiguousarray(y.swapaxes(0, 1))
        lengths, weights = (None if own is None else own[rows] for own in (self.lengths, self.weights))
        return Batch(x, y, lengths, weights)


Kind = TypeVar("Kind", bound=Samples)


def _listed(classes) -> list:
    """Return names or numbers of classes as a list, or raise ValueError."""
    if not isinstance(classes, tuple | list | set | range) and not (isinstance(classes, np.ndarray) and classes.ndim):
        raise ValueError(f"subset: classes must be a sequence of names or numbers; got {shown(classes)}")
    return list(classes)


def concat(first: Kind, *others: Kind) -> Kind:
    """Return the samples of several datasets of the same kind, one after another, as one dataset.

    Samples in files are not read. Where some datasets have lengths or weights, the sequences of the others are whole,
    and their weights are 1.

    Args:
        first, others: datasets of one class, for example `Dataset`, with equal targets, classes and shapes of samples.

    Raises:
        TypeError: something is not a dataset, or they are of different classes.
        ValueError: they differ in what must be equal.
    """
    parts = (first, *others)
    for k, part in enumerate(parts):
        if not isinstance(part, Samples) or type(part) is not type(first):
            got = type(part).__name__ + ("" if k == 0 else f" after {type(first).__name__}")
            raise TypeError(f"concat: needs datasets of one class; argument {k} is {got}")
    need_alike("concat", {f"argument {k}": part for k, part in enumerate(parts)}, first.alike)
    if not others:
        return first
    joined = first._twin()
    joined._join(parts)
    joined.y = np.concatenate([part.y for part in parts])
    joined.lengths = _filled(parts, "lengths", lambda part: part.sample_shape[0])
    joined.weights = _filled(parts, "weights", lambda part: 1)
    joined._freeze()
    return joined


def need_alike(owner: str, parts: Mapping[str, Samples], keys: Iterable[str]) -> None:
    """Raise ValueError if datasets, by the name that a message uses, differ in one of these attributes."""
    first = next(iter(parts.values()))
    for part, data in parts.items():
        for key in keys:
            ours, theirs = getattr(data, key), getattr(first, key)
            if ours != theirs:
                raise ValueError(
                    f"{owner}: all parts need the same {key}; {part} has {ours!r}, the first has {theirs!r}"
                )


def _filled(parts, name, default):
    """Return an attribute of all parts as one array, or None if no part has it."""
    own = [getattr(part, name) for part in parts]
    kind = next((array.dtype for array in own if array is not None), None)
    if kind is None:
        return None
    pairs = zip(parts, own, strict=True)
    return np.concatenate([np.full(len(part), default(part), kind) if a is None else a for part, a in pairs])


def _drawn(labels, n, seed, owner):
    """Return a mask of n samples, stratified by label, in random numbers of this module."""
    sequence = np.random.SeedSequence(whole(f"{owner}: seed", seed, 0), spawn_key=(_STREAM,))
    return stratified(labels, n, np.random.Generator(np.random.PCG64(sequence)))


def stratified(y: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n samples with the same balance of the classes.

    Each class gives its share ``n * count / N``, rounded down. The samples that are then missing come from the classes
    with the largest remainders; of equal remainders the smaller label comes first. The samples of a class are the first
    ones of a random permutation, drawn in the order of the labels.

    Args:
        y: ``[N]`` labels.
        n: number of samples.
        rng: random generator of the permutations.

    Returns:
        whether each sample is drawn, boolean ``[N]``.
    """
    labels, counts = np.unique(y, return_counts=True)
    share, remainder = np.divmod(n * counts, len(y))
    share[np.argsort(-remainder, kind="stable")[: n - share.sum()]] += 1
    mask = np.zeros(len(y), bool)
    for label, some in zip(labels, share, strict=True):
        mask[rng.permutation(np.flatnonzero(y == label))[:some]] = True
    return mask


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
    wanted = f"{caller}: indices must be a list of whole numbers or a boolean mask"
    try:
        rows = np.asarray(indices)
    except Exception:  # nested lists of unequal lengths or too deep
        raise TypeError(f"{wanted}; got {shown(indices)}") from None
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "biu"):
        raise TypeError(f"{wanted}; got {type(indices).__name__} of shape {rows.shape} and dtype {rows.dtype}")
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
