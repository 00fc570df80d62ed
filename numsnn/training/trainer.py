"""The training loop: fit, evaluate, predict, save and resume."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..data import Batch, Loader
from ..errors import DeviceMemoryError
from ..kernels import DEVICES
from ..layers import Layer
from ..layers.inputs import each
from ..layers.turn import taken
from ..locks import Lock
from ..losses import Loss, RateCrossEntropy
from ..metrics import Metric, Readout
from ..names import choice
from ..optim import Adam, Optimizer
from ..schedules import Cosine, Schedule
from ..validate import at_least, flag, path_of, positive, whole
from . import run_state
from .batch_step import BatchStep
from .best import Best, choose_among
from .callbacks import Callback
from .checks import (
    checked_metrics,
    checked_truncate,
    ends_run,
    function,
    named_metrics,
    need_no_validation,
    need_unfrozen,
    part,
    parts,
    plain_metrics,
    writable_folder,
)
from .evaluation import Evaluation, Tally, fed
from .examiner import Examiner
from .history import History, MetricsLog
from .interrupt import DelayedInterrupt
from .loop import Loop, pass_seed
from .progress import bar_of, say, summary
from .room import advice
from .run_state import LAST, METRICS
from .source import as_source


class Trainer(Examiner):
    """Trains a network by backpropagation through time with hand-written kernels.

    Args:
        net: the network; it is built at the first batch if it is not built yet.
        loss: default `RateCrossEntropy`. It says what a target is: see `numsnn.losses`.
        optimizer: default ``Adam(2e-3)``.
        schedule: default `Cosine`.
        device: "cpu" (default), "cuda" or "reference". On "cuda" data and parameters stay on the GPU: the next batch is
            copied during a training step, and only losses, the norm of the gradients and the readout are copied back.
        seed: determines the initial weights, the order of samples and dropout. All random numbers are a function of the
            seed and the position in the run, so that a run can be repeated, stopped and resumed bit for bit. Default 0.
        batch_size: samples per pass. Default 64.
        truncate: number of steps per chunk (truncated BPTT). Each chunk has its own loss, backward pass and update;
            states are carried to the next chunk, but gradients do not go back to the one before. Needs inputs with a
            time axis. Default None: gradients go back through all steps.
        clip_norm: largest global norm of the gradients. Default None: gradients are not clipped.
        out: folder of the run, made if it is missing, for metrics.jsonl, checkpoint.h5 (best epoch) and last.h5.
            Default None: nothing is written. `fit` locks it.
        save_every: seconds between writings of last.h5 within an epoch; 0 writes it after every batch. It is also
            written after every epoch. Default 60.
        on_batch: function that is called with the trainer after every batch.
        on_epoch: function called with the trainer and the epoch's metrics after every epoch; True ends the run.
        accumulate: number of batches whose gradients are added for one update. Default 1.
        metrics: list of `numsnn.metrics`; the first one chooses the best epoch. Default None: those of the loss.
        callbacks: list of `numsnn.training.Callback`, such as `EarlyStopping` and `WeightAverage`. Default none.
        recompute: whether passes keep less for the backward pass, which computes it again: less memory, more time, the
            same bits (see `numsnn.Mode`). A run may be resumed with the other value. Default False.

    Attributes:
        epoch, batch: number of epochs that are complete, and of batches of the current one.
        updated: whether the last batch ended with an update of the parameters; see accumulate.
        ended, stopped: whether a callback has ended the run, and whether on_epoch has stopped it.
        history: list of the metrics of all epochs.
        lock: the lock of the folder, which `fit` holds; ``with trainer.lock:`` holds it for longer.
        best: number ("epoch", 0 if there is none), first metric ("value") and "loss" of the best epoch so far.
        test: the `Evaluation` on the test data at the end of the last `fit`, or None.

    Raises:
        ValueError: an argument is out of range, or two metrics have the same name.
        TypeError: loss, optimizer, schedule, a metric, a callback or a function is an object of another kind.
        DeviceError: the device is "cuda" but there is no CUDA device, or the software that it needs is not installed.
        OSError: the folder cannot be made or written to.
    """

    def __init__(
        self,
        net: Layer,
        loss: Loss | None = None,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        device: str = "cpu",
        seed: int = 0,
        batch_size: int = 64,
        truncate: int | None = None,
        clip_norm: float | None = None,
        out: str | os.PathLike[str] | None = None,
        save_every: float = 60.0,
        on_batch: Callable[[Trainer], object] | None = None,
        on_epoch: Callable[[Trainer, dict], object] | None = None,
        accumulate: int = 1,
        metrics: Sequence[Metric] | None = None,
        callbacks: Sequence[Callback] = (),
        recompute: bool = False,
    ):
        self.net = part("Trainer", "net", net, Layer).to(choice("Trainer: device", device, DEVICES))
        self.loss = part("Trainer", "loss", loss, Loss, RateCrossEntropy)
        self.schedule = part("Trainer", "schedule", schedule, Schedule, Cosine)
        self.seed = whole("Trainer: seed", seed, 0)
        optimizer = part("Trainer", "optimizer", optimizer, Optimizer, lambda: Adam(2e-3))
        self.loop = Loop(self.net, optimizer, self.seed, recompute=flag("Trainer: recompute", recompute))
        self.clip_norm = clip_norm
        self.batch_size = whole("Trainer: batch_size", batch_size)
        self.accumulate = whole("Trainer: accumulate", accumulate)
        self.truncate = checked_truncate(self.net, truncate, self.accumulate)
        self.save_every = at_least("Trainer: save_every", save_every, 0)
        self.on_batch, self.on_epoch = function("on_batch", on_batch), function("on_epoch", on_epoch)
        self.callbacks = list(parts("callbacks", "a callback", callbacks, Callback))
        self.metrics: Any = None if metrics is None else named_metrics(parts("metrics", "a metric", metrics, Metric))
        self.out = None if out is None else writable_folder(out)
        self.lock: Lock | nullcontext[None] = nullcontext() if self.out is None else Lock(self.out)
        self.epochs: Any = None
        self.first = self.epoch = self.batch = 0
        self.updated = self.ended = self.stopped = self.unsaved = False
        self.running = run_state.new_epoch()
        self.best = Best()
        self.source: Any = None
        self.test: Evaluation | None = None
        self.log = MetricsLog(None if self.out is None else self.out / METRICS)
        self._progress = False

    @property
    def clip_norm(self) -> float | None:
        """The largest global norm of the gradients."""
        return self.loop.clip_norm

    @clip_norm.setter
    def clip_norm(self, limit: float | None) -> None:
        self.loop.clip_norm = None if limit is None else positive("Trainer: clip_norm", limit)

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser."""
        return self.loop.optimizer

    @property
    def history(self) -> History:
        """The metrics of all epochs so far, as plain data."""
        return self.log.history

    @property
    def finished(self) -> bool:
        """Whether the run has reached its last epoch, or was ended before."""
        return self.epochs is not None and (self.ended or self.stopped or self.epoch >= self.first + self.epochs)

    # --- training ---

    def fit(
        self, train, valid=None, epochs: int = 10, resume: bool | str = False, progress: bool = True, test=None
    ) -> History:
        """Train for a number of epochs.

        A second call goes on: after a complete run it trains for `epochs` more epochs, with the schedule from its
        beginning; after an interruption it finishes the run. Between two calls, data and learning rate may change.

        Args:
            train: a `numsnn.data.Dataset` or another source of batches; or a tuple (x, y) of arrays, samples first. For
                a network with several inputs, x is a dict of arrays by name.
            valid: the same, for validation: evaluated after every epoch, it chooses the best epoch by the first metric
                (of equal epochs, the one with the lower loss). Default None: no epoch is chosen.
            epochs: length of the run, which the schedule depends on. Default 10.
            resume: True continues from last.h5 in the folder of the run, with the same result, bit for bit, as without
                the interruption; data, epochs and settings must be those of the run. "changes" also continues if they
                differ, and says what is different. Without this file the run starts from the beginning. Default False.
            progress: show one progress bar per epoch with loss, metrics and samples per second. Default True.
            test: like `valid`, but evaluated once at the end, with the network of the chosen epoch (without `valid`: of
                the last epoch). The result is in ``trainer.test``. Default None.

        Returns:
            the history: per epoch "epoch", "train_loss", "valid_loss", "train_" and "valid_" with the name of each
                metric (such as "valid_accuracy", between 0 and 1), "seconds", "learning_rate", "widths".

        Raises:
            ValueError: the loss or a metric does not take the targets of the data, the data do not fit the network, a
                callback or the schedule follows a metric of validation data that are not given, or every layer that can
                learn is frozen.
            DivergenceError: a loss or gradient is not finite; the message names step, layer and last good checkpoint.
            DeviceMemoryError: the device has no memory for a training step; the message names a batch size that fits.
            KeyboardInterrupt: Ctrl-C; before that the batch is finished and last.h5 is written.
            SystemExit: the same for SIGTERM, with code 143 and one line on standard error.
            BlockingIOError: another process, or another Trainer, uses the folder.
            FileExistsError: the folder already holds a run and resume is False.
            CheckpointError: last.h5 belongs to another network or run.
        """
        train = as_source(self.net, self.loss, train, "train")
        valid = None if valid is None else as_source(self.net, self.loss, valid, "valid")
        test = None if test is None else as_source(self.net, self.loss, test, "test")
        metrics = checked_metrics(self.metrics, self.loss, train.kind)
        for other in (valid, test):
            if other is not None:
                checked_metrics(metrics, self.loss, other.kind)
        if valid is None:
            need_no_validation((self.schedule, *self.callbacks), metrics)
        with self.lock:
            self.start(train, epochs, resume, progress)
            if valid is not None:
                choose_among(self, valid)
            for callback in self.callbacks:
                callback.on_start(self)
            self._finish(train, valid, test)
            if test is not None:
                self.test = self._told_once(test)
        return self.history

    def _finish(self, train, valid, test):
        """Train on what is left of the run."""
        loader = Loader(train.data, self.batch_size, shuffle=True, seed=self.seed, workers=1)
        with taken(self.net), DelayedInterrupt() as interrupt:
            while not self.finished:
                full = None
                try:
                    self._fit_epoch(loader, interrupt)
                except DeviceMemoryError as error:
                    full = str(error)
                if full:  # outside the except block, where the error does not keep arrays in memory
                    given = self.loss, len(self.optimizer.slots), self.batch_size, train.data, self.loop.recompute
                    hint = advice(self.net, *given)
                    raise DeviceMemoryError(f"{full}. The batch has {self.batch_size} samples; {hint}")
                self._finish_epoch(valid, len(loader))
                if interrupt.terminated or (interrupt.requested and (test is not None or not self.finished)):
                    run_state.stop(self, interrupt)

    def start(self, train, epochs: int, resume: bool | str = False, progress: bool = False) -> None:
        """Build the network and begin the run, or restore it from its folder. `fit` calls this method itself.

        Args:
            train, epochs, resume: as for `fit`.
            progress: say what changes in a run that is resumed. Default False.

        Raises:
            ValueError: the loss does not take the targets of the data, epochs is not that of an unfinished run, or
                every layer that can learn is frozen and there is no callback, which might unfreeze some.
            BlockingIOError: another process, or another Trainer, uses the folder.
            FileExistsError: the folder already holds a run and resume is False.
            CheckpointError: last.h5 belongs to another network or run, or to a run of another length.
        """
        epochs = whole("Trainer.fit: epochs", epochs)
        before = self.source
        self.source = train = as_source(self.net, self.loss, train, "train")
        if not self.net.built:
            batch = Batch.of(train.data.batch(np.arange(min(self.batch_size, len(train.data)))))
            self.net.build(each(batch.x, np.shape), self.seed)
        if not self.callbacks:  # which may unfreeze layers before the first update
            need_unfrozen("Trainer.fit", self.net)
        self.metrics = checked_metrics(self.metrics, self.loss, train.kind)
        self._progress = flag("Trainer.fit: progress", progress)
        with self.lock:
            run_state.begin(self, epochs, resume)
        if self.batch and before is not None and len(before.data) != len(train.data):
            run_state.begin_epoch_anew(self)

    def say(self, text: str) -> None:
        """Show a line of text beside the progress bars, if there are any."""
        if self._progress:
            say(text)

    def _fit_epoch(self, loader, interrupt):
        """Train on the remaining batches of the current epoch."""
        saved = time.monotonic()
        title = f"epoch {self.epoch + 1}/{self.first + self.epochs}"
        with bar_of(title, self.batch, len(loader), self._progress) as bar:
            for batch in fed(self.net, loader.epoch(self.epoch, start=self.batch)):
                started = time.perf_counter()
                self.updated = self._train(batch, len(loader))
                self.batch += 1
                self.running["seconds"] += time.perf_counter() - started
                bar.update()
                if self._progress:
                    bar.set_postfix_str(summary(self.running, self.metrics), refresh=False)
                for callback in self.callbacks:
                    callback.on_batch(self)
                if self.on_batch is not None:
                    self.on_batch(self)
                run_state.need_lock(self)
                if interrupt.requested and self.updated:
                    run_state.stop(self, interrupt)
                if self.out is not None and self.updated and time.monotonic() - saved >= self.save_every:
                    run_state.save_last(self)
                    saved = time.monotonic()

    def _train(self, batch, batches):
        """Train on one batch, and return whether the parameters were updated."""
        factor = self.schedule.factor(self.epoch - self.first + self.batch / batches, self.epochs)
        at_least(f"{type(self.schedule).__name__}: factor", factor, 0)
        update = self.batch + 1 == batches or not (self.batch + 1) % self.accumulate
        seed = pass_seed(self.net, self.seed, self.epoch, self.batch)
        step, kind = BatchStep(self.loop, self.loss, self.truncate, self._place), self.source.kind
        try:
            readout, loss = step.run(batch, kind, seed, factor, update)
        except BaseException:
            self.loop.reset()  # the batch may be trained on again
            raise
        run = self.running
        tally = Tally(self.metrics, run["counts"])
        y = batch.y[: len(readout)] if kind.per_step else batch.y
        tally.add(Readout(self.loss, readout, y, kind.target, kind.per_step, batch.lengths))
        run["counts"] = tally.counts
        run["loss"] += loss * readout.shape[1]
        run["samples"] += readout.shape[1]
        return update

    def _place(self):
        """Return the position in the run, and what was saved last."""
        none = "no checkpoint was written (give the Trainer a folder: out=...)"
        good = none if self.out is None else f"the last good checkpoint is {self.out / LAST}"
        return f"epoch {self.epoch + 1}, batch {self.batch + 1} (step {self.optimizer.steps + 1})", good

    def _finish_epoch(self, valid, batches):
        """Evaluate, report and save."""
        place, learned = (self.epoch, self.batch, self.running), self.schedule.state()
        try:
            metrics, ended, stopped = self._metrics_of_epoch(valid, batches)
        except BaseException:
            self.epoch, self.batch, self.running = place  # another call of fit ends the epoch
            self.schedule.load_state(learned)
            raise
        run_state.need_lock(self)
        self.ended, self.stopped, self.unsaved = ended, stopped, True
        self.log.append(metrics)
        run_state.keep_epoch(self)
        if (ended or stopped) and self.epoch < self.first + self.epochs:
            self.say(f"{'a callback' if ended else 'on_epoch'} ends the run after epoch {self.epoch}")

    def _metrics_of_epoch(self, valid, batches):
        """Return the metrics of the epoch, whether a callback ends the run, and whether `on_epoch` does. The callbacks
        are part of a checkpoint, so that a resumed run ends, too; the function is not."""
        run = self.running
        factor = self.schedule.factor(self.epoch - self.first + (batches - 1) / batches, self.epochs)
        metrics = {"epoch": self.epoch + 1, "train_loss": run["loss"] / run["samples"]}
        metrics |= {f"train_{name}": value for name, value in Tally(self.metrics, run["counts"]).values().items()}
        self.epoch, self.batch = self.epoch + 1, 0
        self.running = run_state.new_epoch()
        if valid is not None:
            metrics |= self._validate(valid)
        metrics |= {"seconds": run["seconds"], "learning_rate": self.optimizer.lr * factor, "widths": self.widths()}
        self.schedule.observe(metrics)
        ends = [callback.on_epoch(self, metrics) for callback in self.callbacks]
        end = None if self.on_epoch is None else self.on_epoch(self, metrics)
        return plain_metrics(metrics), any(map(ends_run, ends)), ends_run(end)

    def _validate(self, valid):
        """Evaluate the validation data, keep the network if it is the best one so far, and return the metrics."""
        with self.evaluated():
            result = self._measure(valid)
            self.best.observe(self.epoch, result, self.metrics, self.net)
        self.say(f"epoch {self.epoch}: validation {result}")
        return {"valid_loss": result.loss, **{f"valid_{name}": value for name, value in result.metrics.items()}}

    # --- keeping ---

    def save(self, path) -> None:
        """Write network, optimiser, callbacks and position of the run to one HDF5 file, which is replaced as a whole.

        Between two updates with ``accumulate``, the gradients so far are not part of the file.

        Raises:
            DivergenceError: an array holds NaN or inf.
            OSError: the file cannot be written.
        """
        run_state.write(self, path_of("Trainer.save: path", path))

    def restore(self, path, changes: bool = False) -> None:
        """Take network, optimiser, callbacks and position of the run from a checkpoint of the same run.

        Args:
            path: path of the checkpoint.
            changes: whether settings may differ from those of the run. Default False.

        Raises:
            FileNotFoundError: the file does not exist.
            BlockingIOError: another process, or another Trainer, uses the folder of this trainer.
            FileExistsError: the folder of this trainer holds another run.
            CheckpointError: the file is damaged, lacks a training state, or is of another network, seed or settings.
        """
        run_state.restore(self, path_of("Trainer.restore: path", path), flag("Trainer.restore: changes", changes))
