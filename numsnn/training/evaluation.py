"""What a network says about data, and how good it is."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..data import Batch, Loader
from ..layers import INFERENCE, Layer, Mode
from ..layers.turn import taken
from ..losses import Loss
from ..metrics import Metric, Readout
from ..tables import Table, cell, html_tables
from .source import Kind


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The result of an evaluation on a dataset.

    Attributes:
        loss: mean over the samples.
        metrics: metric by name, such as {"accuracy": 0.98}.
        confusion: counts ``[K, K]``, true class by predicted class; None if the targets are not classes.
        seconds: wall time.
        samples: number of samples.
    """

    loss: float
    metrics: dict[str, float] = field(default_factory=dict)
    confusion: np.ndarray | None = None
    seconds: float = 0.0
    samples: int = 0

    @property
    def accuracy(self) -> float:
        """The metric "accuracy": the share of classes that are right, between 0 and 1.

        Raises:
            AttributeError: accuracy was not measured, for example in a regression.
        """
        if "accuracy" not in self.metrics:
            raise AttributeError(
                f"this evaluation has no accuracy; its metrics are {', '.join(self.metrics) or 'none'}"
            )
        return self.metrics["accuracy"]

    def told(self) -> dict[str, float]:
        """Return loss and metrics by name."""
        return {"loss": self.loss, **self.metrics}

    def __str__(self) -> str:
        """Loss and metrics in one line."""
        parts = [
            f"loss {self.loss:.4f}",
            *(f"{name.replace('_', ' ')} {value:.4f}" for name, value in self.metrics.items()),
        ]
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"Evaluation({self}; {self.samples} samples)"

    def _repr_html_(self) -> str:
        rows = [
            ["loss", cell(self.loss)],
            *([name.replace("_", " "), cell(value)] for name, value in self.metrics.items()),
        ]
        return html_tables([Table(["", "value"], rows)], [f"{self.samples} samples in {self.seconds:.2f} s"])


class Tally:
    """Counts metrics batch by batch.

    Args:
        metrics: the metrics.
        counts: what was counted before, one vector (or list of numbers) per metric. Default None: nothing.

    Attributes:
        counts: what was counted so far, one vector per metric; None for a metric that has counted nothing.
    """

    def __init__(self, metrics: tuple[Metric, ...], counts: list | None = None):
        self.metrics = metrics
        self.counts = [None if c is None else np.asarray(c, np.float64) for c in counts or [None] * len(metrics)]

    def add(self, readout: Readout) -> None:
        """Count one batch."""
        for k, metric in enumerate(self.metrics):
            found, known = metric.count(readout), self.counts[k]
            self.counts[k] = found if known is None else metric.add(known, found)

    def values(self) -> dict[str, float]:
        """Return the metrics of everything that was counted, by name."""
        pairs = zip(self.metrics, self.counts, strict=True)
        return {metric.name: float(metric.value(counts)) for metric, counts in pairs if counts is not None}


def fed(net: Layer, batches: Iterable) -> Iterator[Batch]:
    """Yield batches (or pairs (x, y)) with their samples on the network's device. The next one may overwrite them."""
    pairs = ((batch.x, batch) for batch in map(Batch.of, batches))
    for x, batch in net.kernels.feed(pairs, net.dtype):
        yield Batch(x, batch.y, batch.lengths, batch.weights)


def passes(net: Layer, data, batch_size: int, mode: Mode = INFERENCE) -> Iterator[tuple[Batch, np.ndarray]]:
    """Yield every batch, with its samples on the device, and its readout, which the next pass overwrites. The network
    is at inference, with the other settings of mode.

    Raises:
        ValueError: a batch holds NaN or inf, of which a network may make a finite loss.
    """
    for batch in fed(net, map(_finite, Loader(data, batch_size, workers=1).epoch())):
        yield batch, net.forward(batch.x, mode)


def _finite(batch):
    """Return a batch, or a pair (x, y), after checking the samples."""
    for name, x in (batch[0] if isinstance(batch[0], dict) else {"x": batch[0]}).items():
        real = isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.size
        if real and not (np.isfinite(x.min()) and np.isfinite(x.max())):  # which NaN reaches, too
            raise ValueError(f"the samples of a batch must be finite; {name} holds NaN or inf")
    return batch


def evaluate(
    net: Layer,
    loss: Loss,
    metrics: tuple[Metric, ...],
    data,
    batch_size: int,
    kind: Kind,
    mode: Mode = INFERENCE,
) -> Evaluation:
    """Return loss, metrics and confusion counts on a dataset.

    Args:
        net, loss, metrics: what is evaluated, and how.
        data: a source of batches.
        batch_size: samples per pass.
        kind: target and per_step of the data.
        mode: settings of the passes. Default: those of inference.
    """
    started = time.perf_counter()
    tally, total, samples, confusion = Tally(metrics), 0.0, 0, None
    with taken(net):
        for batch, z in passes(net, data, batch_size, mode):
            losses, _ = loss(z, batch.y, net.kernels, batch.lengths, weights=batch.weights, dtype=net.dtype)
            total += float(net.kernels.to_host(losses).sum(dtype=np.float64))
            samples += len(losses)
            readout = Readout(loss, net.kernels.to_host(z), batch.y, kind.target, kind.per_step, batch.lengths)
            tally.add(readout)
            if readout.target == "class":
                if confusion is None:
                    confusion = np.zeros((z.shape[-1], z.shape[-1]), np.int64)
                given, right = readout.pairs()
                np.add.at(confusion, (right, given), 1)
    return Evaluation(total / samples, tally.values(), confusion, time.perf_counter() - started, samples)


def predict(net: Layer, loss: Loss, data, batch_size: int, kind: Kind, mode: Mode = INFERENCE) -> np.ndarray:
    """Return the predictions for all samples, samples first; per step, what lies beyond the length of a sequence is 0,
    or -1 for classes."""
    target, per_step = kind
    found = []
    with taken(net):
        for batch, z in passes(net, data, batch_size, mode):
            readout = Readout(loss, net.kernels.to_host(z), np.empty(0), target, per_step, batch.lengths)
            answers = readout.predictions
            if per_step:
                if readout.counted is not None:
                    answers = np.where(_spread(readout.counted, answers), answers, -1 if target == "class" else 0)
                answers = answers.swapaxes(0, 1)
            found.append(answers)
    return np.concatenate(found)


def _spread(counted, answers):
    """Return truth values ``[T, N]`` with as many axes as the answers."""
    return counted.reshape(*counted.shape, *(1,) * (answers.ndim - 2))
