"""What a run reports: the result of an evaluation, and one line of JSON per epoch."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import write_file


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation on a dataset.

    Attributes:
        loss: mean over the samples.
        accuracy: share of correct predictions, between 0 and 1.
        confusion: counts ``[K, K]``, true class by predicted class.
        seconds: wall time.
    """

    loss: float
    accuracy: float
    confusion: np.ndarray
    seconds: float


class MetricsLog:
    """``metrics.jsonl`` in the folder of a run: one line of JSON per epoch, on disk as soon as the epoch ends.

    Args:
        path: path of the file, or None to keep the metrics in memory only.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.history: list[dict] = []

    def rewrite(self, history: list[dict]) -> None:
        """Start the log with the metrics of these epochs: none for a new run, those of the checkpoint for a resumed
        run.

        Later lines of the file are removed.
        """
        self.history = list(history)
        if self.path is not None:
            write_file(self.path, "".join(json.dumps(metrics) + "\n" for metrics in history))

    def append(self, metrics: dict) -> None:
        """Add an epoch."""
        self.history.append(metrics)
        if self.path is not None:
            with open(self.path, "a") as file:
                file.write(json.dumps(metrics) + "\n")
                file.flush()
                os.fsync(file.fileno())
