"""Metrics: how good the predictions of a network are, counted batch by batch.

    trainer = snn.Trainer(net, snn.losses.RateCrossEntropy(), metrics=[snn.metrics.Accuracy(), snn.metrics.TopK(5)])

A loss has standard metrics for each kind of target (`standard`); ``metrics=`` replaces them. The first metric of a run
compares its epochs.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from .describe import Described
from .names import choice
from .validate import whole


class Readout:
    """What a network said about one batch, and what it should have said. All arrays are on the host.

    Args:
        loss: the `numsnn.losses.Loss` that decides.
        z: readout ``[T, N, ...]``.
        y: targets ``[N, ...]``, or ``[T, N, ...]`` for one target per step.
        target: kind of the targets: "class", "labels" or "values".
        per_step: whether there is one target per step.
        lengths: ``[N]`` steps of each sequence, or None.
    """

    def __init__(self, loss: Any, z: np.ndarray, y, target: str, per_step: bool, lengths=None):
        self.loss, self.z, self.y, self.target, self.per_step = loss, z, np.asarray(y), target, per_step
        self.counted = None if lengths is None else np.arange(len(z))[:, None] < np.asarray(lengths)

    @cached_property
    def predictions(self) -> np.ndarray:
        """What the network says, in the form of the targets."""
        return self.loss.predict(self.z, self.target, self.per_step, self.counted)

    @cached_property
    def scores(self) -> np.ndarray:
        """One number per class, ``[N, K]``, or ``[T, N, K]`` for one target per step."""
        return self.z if self.per_step else self.loss.scores(self.z, self.counted)

    @cached_property
    def there(self) -> np.ndarray:
        """Which targets count: truth values ``[N]``, or ``[T, N]`` for one target per step."""
        steps, samples = self.z.shape[:2]
        there = np.ones((steps, samples) if self.per_step else samples, bool)
        if self.per_step and self.counted is not None:
            there &= self.counted
        if self.per_step and self.target == "class":
            there &= self.y >= 0
        return there

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions and targets that count, ``[M, K]`` each, or ``[M]`` for classes."""
        found, want = self.predictions, self.y.reshape(self.predictions.shape)
        if self.per_step:  # otherwise, all samples count
            found, want = found[self.there], want[self.there]
        if self.target == "class":
            return found, want
        return found.reshape(len(found), -1), want.reshape(len(want), -1)


class Metric(Described):
    """Base of the metrics. A subclass writes

    - ``count(readout)``, which returns what a `Readout` contributes, a float64 vector;
    - ``value(counts)``, which turns the contributions of all batches together into a number;
    - ``add(a, b)``, if contributions are not simply added.

    Attributes:
        targets: kinds of targets that it measures.
        higher: whether a higher number is better.
    """

    targets: ClassVar[tuple[str, ...]] = ("class",)
    higher: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The name in histories and reports, such as "accuracy"."""
        return type(self).__name__.lower()

    def count(self, readout: Readout) -> np.ndarray:
        """Return what the batch contributes."""
        raise TypeError(f"{type(self).__name__} has no count(readout)")

    def add(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the contribution of two batches together."""
        return a + b

    def value(self, counts: np.ndarray) -> float:
        """Return the metric for the contributions of all batches together."""
        raise TypeError(f"{type(self).__name__} has no value(counts)")

    def better(self, a: float, b: float) -> bool:
        """Return whether a is better than b."""
        return a > b if self.higher else a < b


class _Share(Metric):
    """Base of the metrics that are a share: of ``counts`` = [hits, all]."""

    def value(self, counts):
        return float(counts[0] / counts[1]) if counts[1] else 0.0


class Accuracy(_Share):
    """The share of classes that are right, between 0 and 1: of samples, or of the steps that have a label."""

    def count(self, readout):
        found, want = readout.pairs()
        return np.array([np.count_nonzero(found == want), len(want)], np.float64)


class TopK(_Share):
    """The share of samples (or of steps that have a label) whose class is among the k largest scores.

    Classes of equal score are ranked in their order.

    Args:
        k: number of classes, at least 1. Default 5.
    """

    def __init__(self, k: int = 5):
        self.k = whole("TopK: k", k)

    @property
    def name(self):
        return f"top{self.k}"

    def count(self, readout):
        scores, want = readout.scores[readout.there], readout.y[readout.there]
        mine = np.take_along_axis(scores, want[:, None].astype(np.int64), 1)
        before = (np.arange(scores.shape[1]) < want[:, None]) & (scores == mine)
        rank = np.count_nonzero(~(scores <= mine) | before, axis=1)  # beside NaN, no class is among the first
        return np.array([np.count_nonzero(rank < self.k), len(want)], np.float64)


class F1(Metric):
    """The harmonic mean of precision and recall, for several labels per sample; between 0 and 1.

        F1 = 2 TP / (2 TP + FP + FN)

    TP, FP and FN count labels that are rightly there, wrongly there, and wrongly missing. F1 is 0 if all are 0.

    Args:
        average: "micro" (default) counts over all labels together; "macro" is the mean of the F1 of every label.
    """

    targets = ("labels",)

    def __init__(self, average: str = "micro"):
        self.average = choice("F1: average", average, ("micro", "macro"))

    @property
    def name(self):
        return "f1" if self.average == "micro" else "f1_macro"

    def count(self, readout):
        found, want = (array.astype(bool) for array in readout.pairs())
        hits = np.count_nonzero(found & want, axis=0)
        return np.stack([hits, found.sum(0) - hits, want.sum(0) - hits]).astype(np.float64).ravel()

    def value(self, counts):
        hits, wrong, missing = counts.reshape(3, -1)
        if self.average == "micro":
            hits, wrong, missing = hits.sum(), wrong.sum(), missing.sum()
        total = 2 * hits + wrong + missing
        return float(np.mean(np.divide(2 * hits, total, out=np.zeros_like(total * 1.0), where=total > 0)))


class ExactMatch(_Share):
    """The share of samples whose labels are all right, between 0 and 1 (subset accuracy)."""

    targets = ("labels",)

    @property
    def name(self):
        return "exact_match"

    def count(self, readout):
        found, want = readout.pairs()
        return np.array([np.count_nonzero((found == want).all(1)), len(want)], np.float64)


class MeanAbsoluteError(Metric):
    """The mean of |prediction - value| over all numbers; lower is better."""

    targets = ("values",)
    higher = False

    @property
    def name(self):
        return "mae"

    def count(self, readout):
        found, want = readout.pairs()
        return np.array([np.abs(found - want).sum(dtype=np.float64), want.size], np.float64)

    def value(self, counts):
        return float(counts[0] / counts[1]) if counts[1] else 0.0


class R2(Metric):
    """Coefficient of determination: 1 for perfect predictions, 0 for always predicting the mean of every output.

        R2 = 1 - sum (prediction - value)^2 / sum (value - mean of its output)^2

    The sums are over all numbers (scikit-learn's "variance_weighted"). R2 is 0 if no value differs from its mean.
    """

    targets = ("values",)

    @property
    def name(self):
        return "r2"

    def count(self, readout):
        found, want = (array.astype(np.float64) for array in readout.pairs())
        if not len(want):
            return np.zeros(2 + 2 * want.shape[1])
        mean = want.mean(0)
        return np.concatenate([[len(want), ((found - want) ** 2).sum()], mean, ((want - mean) ** 2).sum(0)])

    def add(self, a, b):
        """Merge means and squared deviations (Chan, Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115)."""
        outputs = (len(a) - 2) // 2
        (n, m), (mean, other) = (a[0], b[0]), (a[2 : 2 + outputs], b[2 : 2 + outputs])
        total = max(n + m, 1)
        difference = other - mean
        squares = a[2 + outputs :] + b[2 + outputs :] + difference**2 * (n * m / total)
        return np.concatenate([[n + m, a[1] + b[1]], mean + difference * (m / total), squares])

    def value(self, counts):
        outputs = (len(counts) - 2) // 2
        spread = counts[2 + outputs :].sum()
        return float(1 - counts[1] / spread) if spread else 0.0


def standard(target: str) -> tuple[Metric, ...]:
    """Return the metrics of a run unless the user names others: accuracy for classes, F1 and exact match for labels,
    and R2 and the mean absolute error for values.

    Raises:
        ValueError: target is none of "class", "labels" and "values".
    """
    if choice("standard: target", target, ("class", "labels", "values")) == "class":
        return (Accuracy(),)
    return (F1(), ExactMatch()) if target == "labels" else (R2(), MeanAbsoluteError())
