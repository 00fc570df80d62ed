"""Waiting for a metric to improve: what early stopping and a learning rate that falls on a plateau share."""

import math
from numbers import Real

from .validate import at_least, flag, whole


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
        self.owner, self.metric = owner, metric
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
        value = metrics.get(self.metric)
        if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
            there = ", ".join(
                repr(key) for key, number in metrics.items() if isinstance(number, Real) and not isinstance(number, int)
            )
            hint = ". Give fit data for it: valid=..." if self.metric.startswith("valid_") else ""
            raise ValueError(f"{self.owner}: the epoch has no metric {self.metric!r}; it has {there}{hint}")
        return float(value)

    def exhausted(self, value: float) -> bool:
        """Take the metric of one more epoch, and return whether it has not improved for too many epochs."""
        gain = None if self.best is None else (value - self.best) * (1 if self.higher else -1)
        if gain is None or gain > self.min_delta:
            self.best, self.waited = float(value), 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def state(self) -> dict:
        """Return best and waited as plain data."""
        return {"best": self.best, "waited": self.waited}

    def load_state(self, state: dict) -> None:
        """Restore a state that `state` returned."""
        self.best, self.waited = state["best"], state["waited"]
