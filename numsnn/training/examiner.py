"""What a trainer says about its network: evaluations, predictions, and the report of a run."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Batch
from ..diagnostics import diagnose, record_spikes, write_report
from ..layers import Layer, Mode
from ..layers.inputs import first_samples
from ..losses import Loss
from ..names import choice
from ..validate import flag, whole
from .best import Best
from .callbacks import Callback
from .checks import checked_metrics
from .evaluation import Evaluation, evaluate, predict
from .history import History
from .loop import Loop
from .run_state import BEST
from .source import Kind, as_source, samples_of
from .widths import widths_of


class Examiner:
    """Base of `Trainer`: what it does with its network without training it."""

    net: Layer
    loss: Loss
    loop: Loop
    metrics: Any
    batch_size: int
    source: Any
    test: Evaluation | None
    best: Best
    callbacks: list[Callback]
    epoch: int
    out: Path | None

    @property
    def history(self) -> History:
        """The metrics of all epochs so far, as plain data."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Show a line of text beside the progress bars, if there are any."""
        raise NotImplementedError

    def evaluate(self, data) -> Evaluation:
        """Return loss, metrics and confusion counts on a dataset, with running statistics and without dropout.

        Args:
            data: a `numsnn.data.Dataset` or another source of batches; or a tuple (x, y) of arrays, samples first. For
                a network with several inputs, x is a dict of arrays by name.

        Raises:
            ValueError: the data hold NaN or inf, or targets that do not fit the loss or the network.
        """
        return self._measure(as_source(self.net, self.loss, data, "data"))

    def _measure(self, source):
        metrics = checked_metrics(self.metrics, self.loss, source.kind)
        mode = Mode(recompute=self.loop.recompute)
        return evaluate(self.net, self.loss, metrics, source.data, self.batch_size, source.kind, mode)

    def predict(self, x, target: str | None = None, per_step: bool | None = None) -> np.ndarray:
        """Return what the network says about every sample, samples first.

        Args:
            x: a `numsnn.data.Dataset` or another source of batches, whose targets are not looked at; or samples as in
                the x of a dataset; for several inputs, a dict of arrays by name. An array of whole numbers is
                multiplied by the scale of the training data, if these were whole numbers, too.
            target: what is asked for: "class", "labels" or "values". Default None: that of the data of the run, or the
                first kind that the loss takes.
            per_step: whether to return a prediction per step. Default None: as in the data of the run, or as the loss
                has it.

        Returns:
            classes ``[N]`` (int64), by the loss's rule: largest mean, maximum or first spike; labels ``[N, K]``
                (uint8); or values ``[N, ...]``. Per step, the second axis is time.

        Raises:
            ValueError: x is empty, holds NaN or inf, or does not fit the network.
        """
        known = self.source.kind if self.source else Kind(self.loss.targets[0], bool(self.loss.per_step))
        steps = known.per_step if per_step is None else flag("Trainer.predict: per_step", per_step)
        kind = Kind(known.target if target is None else target, steps)
        choice("Trainer.predict: target", kind.target, self.loss.targets)
        mode = Mode(recompute=self.loop.recompute)
        return predict(self.net, self.loss, samples_of(self.net, x, self.source), self.batch_size, kind, mode)

    def report(self, path, data=None, title: str = "Training run", samples: int = 256) -> Path:
        """Write the report of the run as one HTML page: learning curves, and with data also potentials, spikes, a
        diagnosis and the confusion of the classes.

        Args:
            path: the page, if its name ends with ".html"; otherwise a folder, for report.html and its pictures.
            data: data to look at, as for `evaluate`. Default None: the page shows the history alone.
            title: heading of the page. Default "Training run".
            samples: number of samples of the data for the diagnosis. Default 256.

        Returns:
            path of the page. If matplotlib is missing, the page has no pictures and says so.

        Raises:
            OSError: there is no such folder, or it cannot be written to.
            ValueError: as for `evaluate`.
        """
        samples = whole("Trainer.report: samples", samples)
        return write_report(path, self.history, title=title, config_text=str(self.net), **self._looks(data, samples))

    def _looks(self, data, samples):
        """Return the arguments of `write_report` beside history and title."""
        found: dict[str, Any] = {} if self.test is None else {"test": self.test.told()}
        if data is None:
            return found
        source = as_source(self.net, self.loss, data, "data")
        count = min(samples, len(source.data))
        batch = Batch.of(source.data.batch(np.arange(count)))
        found["end"] = diagnose(self.net, batch.x, batch.y, self.loss)
        found["raster"] = record_spikes(self.net, first_samples(self.net, batch.x, 1))
        found["confusion"] = self._measure(source).confusion
        found["classes"] = getattr(source.data, "classes", None) or None
        return found

    @contextmanager
    def evaluated(self):
        """A context in which the callbacks have prepared the network for an evaluation."""
        trainer: Any = self
        with ExitStack() as after:
            for callback in self.callbacks:
                callback.before_evaluation(trainer)
                after.callback(callback.after_evaluation, trainer)
            yield

    def _told_once(self, test):
        """Return the evaluation of the test data by the network of the best epoch, or of the last one."""
        if self.best.epoch:
            state = self.net.state()
            try:
                self.restore_best()
                result = self._measure(test)
            finally:
                self.net.load_state(state)
        else:
            with self.evaluated():
                result = self._measure(test)
        self.say(f"test: {result} (epoch {self.best.epoch or self.epoch})")
        return result

    def restore_best(self) -> int:
        """Give the network the parameters and statistics of the best epoch, and return the number of this epoch.

        Raises:
            RuntimeError: no epoch was chosen, because `fit` had no validation data, or its network is in no folder.
            CheckpointError: checkpoint.h5 in the folder is damaged, or holds another epoch.
        """
        if not self.best.epoch:
            raise RuntimeError("Trainer.restore_best: no epoch was chosen; give fit validation data: valid=...")
        self.best.give(self.net, None if self.out is None else self.out / BEST)
        return self.best.epoch

    def widths(self) -> dict[str, float | list[float]]:
        """Return the surrogate width of every neuron layer: a number, or a list if there is one width per channel."""
        return widths_of(self.net)
