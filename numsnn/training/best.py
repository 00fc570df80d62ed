"""The best epoch of a run, chosen on validation data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..layers import Layer
from ..metrics import Metric
from . import checkpoint
from .evaluation import Evaluation


class Best:
    """The best epoch so far: by the first metric of the run, and of equal epochs the one with the lower loss.

    Attributes:
        epoch: number of the epoch, from 1; 0 if no epoch was chosen.
        value: its first metric, or None if the run has no metric.
        loss: its loss.
    """

    def __init__(self) -> None:
        self.epoch, self.loss = 0, math.inf
        self.value: float | None = None
        self._state: dict | None = None

    def __repr__(self) -> str:
        return f"Best(epoch={self.epoch}, value={self.value}, loss={self.loss})"

    def observe(self, epoch: int, result: Evaluation, metrics: tuple[Metric, ...], net: Layer) -> bool:
        """Take the evaluation of one more epoch; return whether it is the best one, whose network is then kept."""
        value = next(iter(result.metrics.values()), None)
        if not self._improves(result.loss, value, metrics):
            return False
        self.epoch, self.value, self.loss = epoch, value, result.loss
        self._state = net.state()
        return True

    def _improves(self, loss, value, metrics):
        if not self.epoch:
            return True
        if value is None or value == self.value:
            return loss < self.loss
        return metrics[0].better(value, self.value)

    def give(self, net: Layer, path: Path | None) -> None:
        """Give a network the parameters and statistics of the best epoch, which lie in memory or in a checkpoint."""
        if self._state is None:
            self._state = checkpoint.read(path)[0].state()
        net.load_state(self._state)

    def plain(self) -> dict[str, Any]:
        """Return the attributes as plain data."""
        return {"epoch": self.epoch, "value": self.value, "loss": self.loss if self.epoch else None}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Best:
        """Return the best epoch of a run that is restored; its network lies in a checkpoint."""
        best = cls()
        if plain["epoch"]:
            best.epoch, best.value, best.loss = plain["epoch"], plain["value"], plain["loss"]
        return best
