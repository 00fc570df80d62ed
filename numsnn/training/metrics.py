"""What a run reports: the result of an evaluation, and a line of JSON an epoch."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Evaluation:
    """Result on a dataset.

    Attributes:
        loss: mean over samples.
        accuracy: share of right answers, between 0 and 1.
        confusion: counts ``[K, K]``, true class by predicted class.
        seconds: wall time.
    """

    loss: float
    accuracy: float
    confusion: np.ndarray
    seconds: float


class MetricsLog:
    """``metrics.jsonl`` in a run's folder: one line of JSON an epoch, on disk as soon as the epoch ends.

    Args:
        path: of the file, or None to keep the lines in memory only.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.history: list[dict] = []

    def resume(self, epochs: int) -> None:
        """Take over the lines of the first `epochs` epochs; what a killed run wrote beyond them is dropped."""
        if self.path is None or not self.path.exists():
            return
        kept = []
        for line in self.path.read_text().splitlines():
            try:
                metrics = json.loads(line)
            except json.JSONDecodeError:  # the line a killed run was writing
                break
            if metrics["epoch"] <= epochs:
                kept.append(metrics)
        self.history = kept
        self.path.write_text("".join(json.dumps(metrics) + "\n" for metrics in kept))

    def append(self, metrics: dict) -> None:
        """Add an epoch."""
        self.history.append(metrics)
        if self.path is not None:
            with open(self.path, "a") as file:
                file.write(json.dumps(metrics) + "\n")
                file.flush()
                os.fsync(file.fileno())
