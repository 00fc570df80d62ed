"""The best epoch of a run, chosen on validation data."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..layers import Layer
from ..metrics import Metric
from . import checkpoint
from .evaluation import Evaluation
from .source import Source
from .training_state import checked_best


class Best:
    """The best epoch so far: by the first metric of the run, and of equal epochs the one with the lower loss.

    Attributes:
        epoch: number of the epoch, from 1; 0 if no epoch was chosen.
        value: its first metric, or None if the run has no metric.
        loss: its loss.
        among: checksum of the targets of the validation data that it was chosen on, or None.
    """

    def __init__(self, among: int | None = None) -> None:
        self.epoch, self.loss, self.among = 0, math.inf, among
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
        if value is None or self.value is None or value == self.value:
            return loss < self.loss or math.isnan(self.loss) > math.isnan(loss)
        if math.isnan(value) or math.isnan(self.value):
            return not math.isnan(value)
        return metrics[0].better(value, self.value)

    def give(self, net: Layer, path: Path | None) -> None:
        """Give a network the parameters and statistics of the best epoch, which lie in memory or in a checkpoint.

        Raises:
            RuntimeError: they are not in memory, and there is no checkpoint.
            FileNotFoundError: the checkpoint does not exist.
            CheckpointError: it is damaged, or holds another epoch.
        """
        if self._state is None:
            self._state = self._read(path)
        net.load_state(self._state)

    def _read(self, path):
        """Return the parameters and statistics of the best epoch from a checkpoint."""
        if path is None:
            raise RuntimeError(
                f"the network of epoch {self.epoch} is in the folder of its run; give the Trainer this folder: out=..."
            )
        net, _, training = checkpoint.read(path)
        found = (training or {}).get("best") or Best().plain()
        checked_best(path, found)
        there = Best.of(found)
        if repr(there) != repr(self):
            raise CheckpointError(f"{path}: holds {there}; the best epoch of this run is {self}")
        return net.state()

    def plain(self) -> dict[str, Any]:
        """Return the attributes as plain data."""
        loss = self.loss if self.epoch else None
        return {"epoch": self.epoch, "value": self.value, "loss": loss, "among": self.among}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Best:
        """Return the best epoch of a run that is restored; its network lies in a checkpoint."""
        best = cls(plain.get("among"))
        if plain["epoch"]:
            best.epoch, best.value, best.loss = plain["epoch"], plain["value"], plain["loss"]
        return best


def checksum(source: Source) -> int:
    """Return a checksum of the targets of some data, by which other data are told apart; their number without any."""
    targets = getattr(source.data, "y", None)
    if not isinstance(targets, np.ndarray):
        return len(source.data)
    return zlib.crc32(np.ascontiguousarray(targets).tobytes(), len(source.data))
