"""The history of a run, in memory and on disk: one line of JSON per epoch."""

import json
import os
from pathlib import Path

from ..files import not_written, write_file
from ..tables import html_tables, records


class History(list):
    """The metrics of all epochs of a run: a list with one dictionary per epoch. In a notebook it shows as a table."""

    def _repr_html_(self) -> str:
        return html_tables([records(self)])


class MetricsLog:
    """``metrics.jsonl`` in the folder of a run: one line of JSON per epoch, on disk as soon as the epoch ends.

    Args:
        path: path of the file, or None to keep the metrics in memory only.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.history = History()

    def rewrite(self, history: list[dict]) -> None:
        """Start the log with the metrics of these epochs: none for a new run, those of the checkpoint for a resumed
        run.

        Later lines of the file are removed.
        """
        self.history = History(history)
        if self.path is not None:
            write_file(self.path, "".join(json.dumps(metrics) + "\n" for metrics in history))

    def append(self, metrics: dict) -> None:
        """Add an epoch. After an OSError, `rewrite` writes what is missing."""
        self.history.append(metrics)
        if self.path is not None:
            try:
                with open(self.path, "a") as file:
                    file.write(json.dumps(metrics) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise not_written(self.path, error) from error
