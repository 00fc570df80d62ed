"""One run of a study: its settings as plain data (`Run`), and what training gives.

A line of a log holds the settings, so it tells what was done, and the same line can be asked for again.
"""

import time
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache

import numpy as np

import numsnn as snn
from numsnn import config as configuration
from numsnn import experiment, recipes
from numsnn.models import from_string

from .. import common, datasets
from ..tasks import HIDDEN, STUDY_TASKS, Task

LOOKED_AT = 256
"""Test samples that a trained network is diagnosed with."""

PDAS = {
    "off": None,
    "shift": snn.PDA(correct=True),
    "divergence": snn.PDA(correct=False, divergence=0.1),
    "target": snn.PDA(correct=True, target=0.9),
}
"""No PDA; the tracked shift is subtracted; the divergence objective alone; the correction aims at a mean potential just
below the threshold."""


@dataclass(frozen=True)
class Run:
    """Settings of one run; None stands for the task's own value.

    Attributes:
        task: a name in `benchmarks.tasks.STUDY_TASKS`.
        seed: seed of the weights and of the order of samples.
        family, width: of the surrogate; a learned width starts there.
        learn: which of "width" and "threshold" are learned.
        psg: further arguments of `numsnn.PSG`.
        threshold: of all neurons; a learned threshold starts there.
        pda: a key of `PDAS`.
        norm: normalisation in front of the neurons, "bn" or "none".
        architecture, steps, epochs: in place of the task's.
    """

    task: str
    seed: int = 0
    family: str = "triangle"
    width: float = 1.0
    learn: tuple[str, ...] = ("width",)
    psg: dict = field(default_factory=dict)
    threshold: float = 1.0
    pda: str = "shift"
    norm: str = "bn"
    architecture: str | None = None
    steps: int | None = None
    epochs: int | None = None

    def key(self) -> str:
        """A text that is the same for the same settings, also if they were read from a log."""
        return common.key(asdict(self))

    @staticmethod
    def from_dict(settings: dict) -> "Run":
        """What `asdict` gave, also after JSON has made lists of its tuples."""
        known = {f.name for f in fields(Run)}
        if unknown := set(settings) - known:
            raise ValueError(f"unknown settings {', '.join(sorted(unknown))}")
        return replace(Run(**settings), learn=tuple(settings.get("learn", ("width",))))


def task_of(run: Run) -> Task:
    """The run's task, with the run's own settings in place of the task's."""
    changes = {key: getattr(run, key) for key in ("architecture", "steps", "epochs") if getattr(run, key) is not None}
    return replace(STUDY_TASKS[run.task], **changes)


@cache
def samples_of(task: Task, mnist=None, cifar=None, events=None):
    """The task's own samples for training, validation and test, in memory; there are none for validation if the task
    says so."""
    train, test = datasets.load(task.data, task.steps if task.events else None, mnist, cifar, events)
    first = task.train or len(train)
    parts = (train, 0, first), (train, first, first + task.valid), (test, 0, task.test or len(test))
    return tuple(_samples(task, part, begin, min(end, len(part))) for part, begin, end in parts)


def _samples(task, part, begin, end):
    if begin >= end:
        return None
    x, y = part.batch(np.arange(begin, end))
    if task.events:
        x = x.swapaxes(0, 1)
    elif task.recurrent:
        x = x[..., 0]
    return snn.data.Dataset(x, y, timed=task.events or task.recurrent)


def network(run: Run, sample_shape) -> snn.Sequential:
    """The network of a run for samples of this shape, ``(H, W, C)``; ``(C,)`` for a recurrent one."""
    task = task_of(run)
    if "width" in run.learn:
        surrogate = snn.PSG(run.family, run.width, **run.psg)
    else:
        surrogate = snn.Surrogate(run.family, run.width)
    kind = snn.RecurrentLIF if task.recurrent else snn.LIF
    neuron = kind(
        tau=task.tau,
        v_threshold=run.threshold,
        learn_threshold="threshold" in run.learn,
        surrogate=surrogate,
        pda=PDAS[run.pda],
    )
    return network_of(task, neuron, sample_shape, run.norm)


def network_of(task: Task, neuron: snn.layers.Neuron, sample_shape, norm: str = "bn") -> snn.Sequential:
    """The network of a task with copies of this neuron."""
    if task.recurrent:
        return snn.models.shd_net(*sample_shape, HIDDEN, task.classes, neuron=neuron)
    if task.blocks:
        return residual_network(task, neuron, sample_shape[-1])
    steps = None if task.events else task.steps
    return from_string(task.architecture, sample_shape, task.classes, steps, neuron, norm)


def residual_network(task: Task, neuron: snn.layers.Neuron, colours: int) -> snn.Sequential:
    """A convolution, pooling, residual blocks of two convolutions each, whose sums charge neurons, and a readout."""
    before = task.blocks[0][0]
    layers = [snn.Repeat(task.steps), snn.Conv2d(colours, before, 3, padding=1), snn.BatchNorm(before)]
    layers += [deepcopy(neuron), snn.MaxPool2d(2)]
    for width, stride in task.blocks:
        branch = [snn.Conv2d(before, width, 3, stride, 1), snn.BatchNorm(width), deepcopy(neuron)]
        branch += [snn.Conv2d(width, width, 3, padding=1), snn.BatchNorm(width)]
        side = None
        if stride != 1 or before != width:
            side = snn.Sequential(snn.Conv2d(before, width, 1, stride), snn.BatchNorm(width))
        layers += [snn.Residual(*branch, shortcut=side), deepcopy(neuron)]
        before = width
    return snn.Sequential(*layers, snn.GlobalAvgPool2d(), snn.Linear(before, task.classes))


def prepared(run: Run, mnist, cifar):
    """Trainer, training and test data of a run, and its number of epochs."""
    task = task_of(run)
    if task.recipe:
        config = configuration.read(recipes.available()[task.recipe])
        config.training.seed, config.data.dir = run.seed, mnist if task.data == "mnist" else ""
        config.data.valid_share = 0.0  # the whole training part: the networks of the last epoch are compared
        ready = experiment.prepare(config)
        return ready.trainer, ready.data.train, ready.data.test, config.training.epochs
    data, _, test = samples_of(task, mnist, cifar)
    return trainer_of(task, network(run, shape_of(task, data)), run.seed), data, test, task.epochs


def neurons(net) -> list:
    """The spiking layers of a network."""
    return [layer for layer in net.walk() if isinstance(layer, snn.layers.Neuron)]


def shape_of(task: Task, data) -> tuple[int, ...]:
    """The shape of a sample as `network_of` takes it."""
    return data.sample_shape[-1 if task.recurrent else -3 :]


def trainer_of(task: Task, net: snn.Sequential, seed: int, loss=None, callbacks=()) -> snn.Trainer:
    """The trainer of a task; the loss is the task's own unless another one is given."""
    own = snn.losses.MaxMembraneCrossEntropy() if task.recurrent else snn.losses.RateCrossEntropy(label_smoothing=0.1)
    return snn.Trainer(
        net,
        loss=loss or own,
        optimizer=snn.optim.AdamW(task.lr, weight_decay=0.02),
        schedule=snn.schedules.Cosine(),
        clip_norm=1.0 if task.recurrent else None,
        batch_size=task.batch,
        seed=seed,
        callbacks=callbacks,
    )


def train(run: Run, mnist=None, cifar=None) -> dict:
    """Train and test; what came out, as plain data.

    Returns:
        "accuracy" on the test samples after the last epoch (between 0 and 1), or None if training diverged;
        "loss" of every epoch; "widths" at the start and after every epoch, by layer; "thresholds" at the end;
        "layers": rate, shift and undesired share by step, as `numsnn.diagnose` finds them after training;
        "seconds" of the training steps.

    Raises:
        benchmarks.datasets.Missing: the data are not there.
    """
    trainer, data, test, epochs = prepared(run, mnist, cifar)
    trainer.start(data, epochs)
    widths = [trainer.widths()]
    try:
        history = trainer.fit(data, epochs=epochs, progress=False)
    except snn.errors.DivergenceError as error:
        return {"accuracy": None, "error": str(error)}
    found = snn.diagnose(trainer.net, test.batch(np.arange(min(LOOKED_AT, len(test))))[0])
    return {
        "accuracy": trainer.evaluate(test).accuracy,
        "loss": [metrics["train_loss"] for metrics in history],
        "widths": widths + [metrics["widths"] for metrics in history],
        "thresholds": {n.path: float(np.mean(n.kernels.to_host(n.threshold.refresh()))) for n in neurons(trainer.net)},
        "layers": [
            {
                "name": row.name,
                "rate": row.rate,
                "shift": row.shift,
                "uncorrected": row.shift_uncorrected,
                "undesired": row.undesired,
                "std": row.std,
            }
            for row in found.layers
        ],
        "seconds": sum(metrics["seconds"] for metrics in history),
    }


def work(settings: dict, folders: dict) -> dict:
    """One run in a process of a pool: settings in, a line of the log out."""
    run, started = Run.from_dict(settings), time.time()
    return {"run": asdict(run), "result": rounded(train(run, **folders)), "started": round(started)}


def rounded(value):
    """Plain data with six digits of every number, which keeps logs short."""
    if isinstance(value, dict):
        return {name: rounded(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
