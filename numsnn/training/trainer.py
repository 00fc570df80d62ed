"""The training loop: fit, evaluate, predict, save and resume."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..data import Loader, as_dataset
from ..errors import CheckpointError, DeviceMemoryError, DivergenceError, ShapeError
from ..layers import INFERENCE, TRAINING, Layer, Neuron
from ..layers.carry import need_declarations
from ..layers.inputs import each, first_timed, shape_of
from ..losses import Loss, RateCrossEntropy
from ..optim import Adam, Optimizer, clip_global_norm
from ..schedules import Cosine, Schedule
from ..validate import at_least, positive, whole
from . import checkpoint
from .checks import difference, first_bad, part, plain, writable_folder
from .interrupt import DelayedInterrupt
from .metrics import Evaluation, MetricsLog
from .room import largest_batch

BEST, LAST, METRICS = "checkpoint.h5", "last.h5", "metrics.jsonl"

STEP_STREAM = 0x73746570
"""Key ("step") that keeps the seeds of training steps apart from other random numbers of the same seed."""


class Trainer:
    """Trains a network by backpropagation through time with hand-written kernels.

    Args:
        net: the network; it is built at the first batch if it is not built yet.
        loss: default `RateCrossEntropy`.
        optimizer: default ``Adam(2e-3)``.
        schedule: default `Cosine`.
        device: "cpu" (default), "cuda" or "reference". On "cuda" data and parameters stay on the GPU: the next batch is
            copied during a training step, and only losses, the norm of the gradients and the readout are copied back.
        seed: determines the initial weights, the order of samples and dropout. All random numbers are a function of the
            seed and the position in the run, so that a run can be repeated, stopped and resumed bit for bit. Default 0.
        batch_size: samples per training step. Default 64.
        truncate: number of steps per chunk (truncated BPTT). Each chunk has its own loss, backward pass and update;
            states are carried to the next chunk, but gradients do not go back to the one before. Needs inputs with a
            time axis. Default None: gradients go back through all steps.
        clip_norm: largest global norm of the gradients. Default None: gradients are not clipped.
        out: folder of the run, made if it is missing, for metrics.jsonl, checkpoint.h5 (best epoch) and last.h5.
            Default None: nothing is written.
        save_every: seconds between writings of last.h5 within an epoch; 0 writes it after every batch. It is also
            written after every epoch. Default 60.
        on_batch: function that is called with the trainer after every training step.
        on_epoch: function called with the trainer and the epoch's metrics after every epoch; True ends the run.

    Raises:
        ValueError: an argument is out of range.
        TypeError: loss, optimizer or schedule is an object of another kind.
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
    ):
        self.net = net.to(device)
        self.loss = part("loss", loss, Loss, RateCrossEntropy)
        self.optimizer = part("optimizer", optimizer, Optimizer, lambda: Adam(2e-3))
        self.schedule = part("schedule", schedule, Schedule, Cosine)
        self.seed = whole("Trainer: seed", seed, 0)
        self.batch_size = whole("Trainer: batch_size", batch_size)
        self.truncate = None if truncate is None else whole("Trainer: truncate", truncate)
        if self.truncate is not None:
            if net.takes_pictures or net.picture_inputs:
                raise ValueError("Trainer: truncate needs inputs with a time axis; this network begins with a Repeat")
            need_declarations(net, "Trainer: truncate")
        self.clip_norm = None if clip_norm is None else positive("Trainer: clip_norm", clip_norm)
        self.save_every = at_least("Trainer: save_every", save_every, 0)
        self.on_batch, self.on_epoch = on_batch, on_epoch
        self.out = None if out is None else writable_folder(Path(out))
        self.epochs: Any = None
        self.epoch, self.batch = 0, 0
        self.running = {"loss": 0.0, "correct": 0, "samples": 0, "seconds": 0.0}
        self.best = {"epoch": 0, "accuracy": -1.0}
        self._log = MetricsLog(None if self.out is None else self.out / METRICS)

    @property
    def history(self) -> list[dict]:
        """The metrics of all epochs so far, as plain data."""
        return self._log.history

    # --- training ---

    def fit(self, train, test=None, epochs: int = 10, resume: bool = False, progress: bool = True) -> list[dict]:
        """Train for a number of epochs.

        Args:
            train: a `numsnn.data.Dataset`, or (x, y).
            test: the same, evaluated after every epoch. Default None: no test metrics, and no best checkpoint is saved.
            epochs: length of the run, which the schedule depends on. Default 10.
            resume: continue from last.h5 in the folder of the run, with the same result, bit for bit, as without the
                interruption; without this file the run starts from the beginning. Data, epochs and settings must be
                those of the run. Default False.
            progress: show one progress bar per epoch with loss, accuracy and samples per second. Default True.

        Returns:
            the history: per epoch "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy" (between 0 and
                1), "seconds", "learning_rate", "widths".

        Raises:
            DivergenceError: a loss or gradient is not finite; the message names step, layer and last good checkpoint.
            DeviceMemoryError: the device has no memory for a training step; the message names a batch size that fits.
            KeyboardInterrupt: Ctrl-C; before that the batch is finished and last.h5 is written.
            FileExistsError: the folder already holds a run and resume is False.
            CheckpointError: last.h5 belongs to another network or run.
        """
        whole("Trainer.fit: epochs", epochs)
        train = as_dataset(train, "train")
        test = None if test is None else as_dataset(test, "test")
        loader = Loader(train, self.batch_size, shuffle=True, seed=self.seed, workers=1)
        self.start(train, epochs, resume)
        with DelayedInterrupt() as interrupt:
            while self.epoch < epochs:
                full = None
                try:
                    self._fit_epoch(loader, progress, interrupt)
                except DeviceMemoryError as error:
                    full = str(error)
                if full:  # outside the except block, where the error does not keep arrays in memory
                    raise self._too_large(full)
                if self._finish_epoch(test, len(loader)):
                    break
        return self.history

    def start(self, train, epochs: int, resume: bool = False) -> None:
        """Build the network and begin the run, or restore it from its folder. `fit` calls this method itself.

        Args:
            train, epochs, resume: as for `fit`.

        Raises:
            FileExistsError: the folder already holds a run and resume is False.
            CheckpointError: last.h5 belongs to another network or run, or to a run of another length.
        """
        train = as_dataset(train, "train")
        if not self.net.built:
            sample, _ = train.batch(np.arange(min(self.batch_size, len(train))))
            self.net.build(shape_of(sample), self.seed)
        if self.out is not None and self.epochs is None:
            last = self.out / LAST
            if resume and last.exists():
                self.restore(last)
            elif not resume and (last.exists() or (self.out / METRICS).exists()):
                raise FileExistsError(f"{self.out} already holds a run; use resume=True or choose another folder")
            else:
                self._log.rewrite([])
                self.epochs = epochs
                self.save(last)
        self.epochs = self.epochs or epochs
        if self.epochs != epochs:
            raise CheckpointError(f"the run has a length of {self.epochs} epochs; it cannot continue with {epochs}")

    def _fit_epoch(self, loader, progress, interrupt):
        """Train on the remaining batches of the current epoch."""
        saved = time.monotonic()
        title = f"epoch {self.epoch + 1}/{self.epochs}"
        with tqdm(total=len(loader), initial=self.batch, desc=title, unit="batch", disable=not progress) as bar:
            batches = loader.epoch(self.epoch, start=self.batch)
            for x, y in self.net.kernels.feed(batches, self.net.dtype):
                started = time.perf_counter()
                self._step(x, y, self.epoch + self.batch / len(loader))
                self.batch += 1
                self.running["seconds"] += time.perf_counter() - started
                bar.update()
                bar.set_postfix_str(self._summary(), refresh=False)
                if self.on_batch is not None:
                    self.on_batch(self)
                if interrupt.requested:
                    self._stop()
                if self.out is not None and time.monotonic() - saved >= self.save_every:
                    self.save(self.out / LAST)
                    saved = time.monotonic()

    def _summary(self):
        run = self.running
        return (
            f"loss {run['loss'] / run['samples']:.4f}, accuracy {run['correct'] / run['samples']:.4f}, "
            f"{run['samples'] / run['seconds']:.0f} samples/s"
        )

    def _step(self, x, y, epoch):
        """Train on one batch, with one update or, in truncated BPTT, one update per chunk of steps."""
        entropy = np.random.SeedSequence(self.seed, spawn_key=(STEP_STREAM, self.epoch, self.batch))
        mode = replace(TRAINING, seed=int(entropy.generate_state(1, np.uint64)[0]))
        chunks = [x]
        if self.truncate is not None:
            starts = range(0, len(first_timed(self.net, x)), self.truncate)
            chunks = [each(x, lambda part, k=k: part[k : k + self.truncate]) for k in starts]
            mode = replace(mode, carried={})
        factor = self.schedule.factor(epoch, self.epochs)
        readouts = []
        for chunk in chunks:
            readout, loss = self._update(chunk, y, mode, factor)
            readouts.append(readout)
            self.running["loss"] += loss * len(y) / len(chunks)
        self.running["correct"] += int((self.loss.decide(np.concatenate(readouts)) == y).sum())
        self.running["samples"] += len(y)

    def _update(self, x, y, mode, factor):
        """Make a forward pass, a backward pass and an update; return the readout, on the host, and the mean loss."""
        net, kernels = self.net, self.net.kernels
        z = net.forward(x, mode)
        losses, dz = self.loss(kernels, z, y, net.dtype)
        losses, readout = kernels.to_host(losses), kernels.to_host(z)
        if not np.isfinite(losses).all():
            self._diverged("the loss")
        net.backward(dz, need_dx=False)
        parameters = net.trainable()
        if not math.isfinite(clip_global_norm(kernels, parameters, self.clip_norm)):
            if mode.carried is None:  # repeat the passes in such a way that every layer's gradient can be inspected
                z = net.forward(x, replace(mode, track=False, inspect=True))
                net.backward(self.loss(kernels, z, y, net.dtype)[1], need_dx=False)
            self._diverged("the gradient")
        total = float(losses.mean(dtype=np.float64)) + net.total_penalty()
        self.optimizer.step(kernels, parameters, factor)
        return readout, total

    def _diverged(self, what):
        """Raise DivergenceError with the training step, the layer and the last good checkpoint."""
        where = f"epoch {self.epoch + 1}, batch {self.batch + 1} (step {self.optimizer.steps + 1})"
        good = "no checkpoint was written (give the Trainer a folder: out=...)"
        if self.out is not None:
            good = f"the last good checkpoint is {self.out / LAST}"
        raise DivergenceError(
            f"training diverged: {what} is not finite at {where}; first in {first_bad(self.net)}; {good}. "
            "A lower learning rate or clip_norm may help."
        )

    def _too_large(self, full):
        """Return the error of a training step that needs too much memory; it names the largest batch size that fits."""
        fitting = largest_batch(self.net, self.loss, len(self.optimizer.slots), self.batch_size)
        advice = "not even a single sample fits" if fitting is None else f"{fitting} fit: batch_size={fitting}"
        return DeviceMemoryError(f"{full}. The batch has {self.batch_size} samples; {advice}")

    def _finish_epoch(self, test, batches):
        """Evaluate, report and save; return whether on_epoch asks for the end of the run."""
        run = self.running
        factor = self.schedule.factor(self.epoch + (batches - 1) / batches, self.epochs)
        metrics = {
            "epoch": self.epoch + 1,
            "train_loss": run["loss"] / run["samples"],
            "train_accuracy": run["correct"] / run["samples"],
            "test_loss": None,
            "test_accuracy": None,
            "seconds": run["seconds"],
            "learning_rate": self.optimizer.lr * factor,
            "widths": self.widths(),
        }
        self.epoch, self.batch = self.epoch + 1, 0
        self.running = dict.fromkeys(run, 0)
        if test is not None:
            result = self.evaluate(test)
            metrics |= {"test_loss": result.loss, "test_accuracy": result.accuracy}
            improved = result.accuracy > self.best["accuracy"]
            if improved:
                self.best = {"epoch": self.epoch, "accuracy": result.accuracy}
            if improved and self.out is not None:
                self.save(self.out / BEST)
        self._log.append(metrics)
        if self.out is not None:
            self.save(self.out / LAST)
        return self.on_epoch is not None and self.on_epoch(self, metrics) is True

    def _stop(self):
        """End the run after Ctrl-C: save, and say how to continue."""
        position = f"epoch {self.epoch + 1}, batch {self.batch}"
        if self.out is None:
            raise KeyboardInterrupt(f"stopped at {position}; not saved, because the Trainer has no folder (out=...)")
        self.save(self.out / LAST)
        raise KeyboardInterrupt(f"stopped at {position}; saved {self.out / LAST}, from which resume=True continues")

    def widths(self) -> dict[str, float | list[float]]:
        """Return the surrogate width of every neuron layer: a number, or a list if there is one width per channel."""
        found = {}
        for name, layer in self.net.named():
            if isinstance(layer, Neuron):
                values, parameter = layer.kernels.to_host(layer.width.refresh()), layer.width.parameter
                shared = parameter is None or parameter.value.size == 1
                found[name] = float(values[0]) if shared else [float(v) for v in values]
        return found

    # --- using the network ---

    def evaluate(self, data) -> Evaluation:
        """Return loss, accuracy and confusion counts on a dataset, with running statistics and without dropout.

        Args:
            data: a `numsnn.data.Dataset`, or (x, y).

        Raises:
            ValueError: the data hold NaN or inf, or a label is out of range.
        """
        data = as_dataset(data)
        started = time.perf_counter()
        total, answers, labels, classes = 0.0, [], [], 0
        for y, z in self._passes(data):
            losses, _ = self.loss(self.net.kernels, z, y, self.net.dtype)
            total += float(self.net.kernels.to_host(losses).sum(dtype=np.float64))
            answers.append(self.loss.decide(self.net.kernels.to_host(z)))
            labels.append(y)
            classes = z.shape[-1]
        right, given = np.concatenate(labels), np.concatenate(answers)
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion, (right, given), 1)
        return Evaluation(total / len(right), float(np.mean(given == right)), confusion, time.perf_counter() - started)

    def predict(self, x) -> np.ndarray:
        """Return the class of every sample, int64 ``[N]``, by the loss's rule: largest mean, maximum or first spike.

        Args:
            x: samples first: ``[N, H, W, C]`` or ``[N, F]``, as in a dataset.
        """
        data = as_dataset((x, np.zeros(len(x), np.int64)), "x")
        return np.concatenate([self.loss.decide(self.net.kernels.to_host(z)) for _, z in self._passes(data)])

    def _passes(self, data):
        """Yield labels and readout of every batch, without training."""
        for x, y in self.net.kernels.feed(Loader(data, self.batch_size, workers=1).epoch(), self.net.dtype):
            z = self.net.forward(x, INFERENCE)
            if z.ndim != 3:
                raise ShapeError(f"the network's output must be [T, N, K]; got {z.shape}. Add a Flatten before it")
            yield y, z

    # --- keeping ---

    def save(self, path) -> None:
        """Write network, optimiser and position of the run to one HDF5 file, which is replaced as a whole.

        Raises:
            DivergenceError: an array holds NaN or inf.
            OSError: the file cannot be written.
        """
        optimizer = self.optimizer.state()
        training = {
            "epoch": self.epoch,
            "batch": self.batch,
            "epochs": self.epochs,
            "running": self.running,
            "best": self.best,
            "steps": optimizer["steps"],
            "settings": self._settings(),
            "history": self.history,
        }
        checkpoint.write(path, self.net, optimizer["arrays"], training)

    def _settings(self):
        """Return the settings that must be equal for a run to be resumed."""
        described = {name: getattr(self, name).description() for name in ("loss", "optimizer", "schedule")}
        shared = ("seed", "batch_size", "truncate", "clip_norm")
        return described | {name: getattr(self, name) for name in shared}

    def restore(self, path) -> None:
        """Take network, optimiser and position of the run from a checkpoint of the same run.

        Raises:
            FileNotFoundError: the file does not exist.
            CheckpointError: the file is damaged, lacks a training state, or is of another network, seed or settings.
        """
        net, arrays, training = checkpoint.read(path)
        if training is None:
            raise CheckpointError(f"{path}: holds a network but no training state to resume")
        if net.description() != self.net.description():
            raise CheckpointError(f"{path}: belongs to another network: {difference(net, self.net)}")
        for key, mine in self._settings().items():
            theirs = training["settings"].get(key)
            if theirs != plain(mine):
                raise CheckpointError(f"{path}: the run's {key} was {theirs!r}; it cannot continue with {mine!r}")
        if not self.net.built:
            self.net.build(net.input_shape)
        self.net.load_state(net.state())
        self.net.freeze_only(net.frozen_layers())
        self.optimizer.load_state({"steps": training["steps"], "arrays": arrays})
        self.epoch, self.batch = training["epoch"], training["batch"]
        self.running, self.best, self.epochs = training["running"], training["best"], training["epochs"]
        self._log.rewrite(training["history"])
