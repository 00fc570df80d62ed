"""Waiting for a metric to improve: what early stopping and a learning rate that falls on a plateau share."""

import math
from numbers import Real

import numpy as np

from .shown import shown
from .validate import as_float, at_least, flag, text, whole


class Patience:
    """Counts the epochs since a metric improved last.

    Args:
        owner: class that waits; error messages begin with it.
        patience: number of epochs without an improvement that are too many, at least 1.
        metric: name of the metric in the history.
        min_delta: an improvement must be larger than this number, at least 0.
        higher: whether a higher number is better.

    Attributes:
        best: the best number so far, or None.
        waited: number of epochs since then.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, owner: str, patience: int, metric: str, min_delta: float, higher: bool):
        self.owner, self.metric = owner, text(f"{owner}: metric", metric, empty=False)
        self.patience = whole(f"{owner}: patience", patience)
        self.min_delta = at_least(f"{owner}: min_delta", min_delta, 0)
        self.higher = flag(f"{owner}: higher", higher)
        self.best: float | None = None
        self.waited = 0

    def read(self, metrics: dict) -> float:
        """Return the metric of an epoch.

        Raises:
            ValueError: there is no such metric, or it is no number; the message names those that there are.
        """
        if not isinstance(metrics, dict):
            raise TypeError(f"{self.owner}.observe: metrics must be a dictionary; got {shown(metrics)}")
        value = metrics.get(self.metric)
        if isinstance(value, bool) or not isinstance(value, Real):
            there = ", ".join(repr(key) for key, number in metrics.items() if isinstance(number, float | np.floating))
            hint = ". Give fit data for it: valid=..." if self.metric.startswith("valid_") else ""
            raise ValueError(f"{self.owner}: the epoch has no metric {self.metric!r}; it has {there}{hint}")
        return float(value)

    def exhausted(self, value: float) -> bool:
        """Take the metric of one more epoch, and return whether it has not improved for too many epochs. NaN is no
        improvement."""
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{self.owner}.observe: value must be a number; got {shown(value)}")
        value = as_float(value)
        gain = math.inf if self.best is None else (value - self.best) * (1 if self.higher else -1)
        if gain > self.min_delta and not math.isnan(value):
            self.best, self.waited = float(value), 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def state(self) -> dict:
        """Return best and waited as plain data, with what they are about."""
        return {"best": self.best, "waited": self.waited, "watched": [self.metric, self.higher]}

    def load_state(self, state: dict) -> None:
        """Restore a state that `state` returned; one of another metric says nothing about this one.

        Raises:
            ValueError: a number is missing or is none.
        """
        best = state["best"]
        if best is not None and (isinstance(best, bool) or not isinstance(best, Real) or math.isnan(best)):
            raise ValueError(f"{self.owner}: best must be a number or None; got {best!r}")
        whole(f"{self.owner}: waited", state["waited"], 0)
        if state["watched"] == [self.metric, self.higher]:
            self.best, self.waited = state["best"], state["waited"]

    def restart(self) -> None:
        """Forget all numbers so far."""
        self.best, self.waited = None, 0
