"""What the studies train on: real data, a network and a schedule each, and one training run of them.

Runs are settings in plain data (`Run`), so that a line of a log tells what was done and the same line can be asked for
again.
"""

import runpy
import time
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
from runs import key

import numsnn as snn
from numsnn import config as configuration
from numsnn import experiment, recipes
from numsnn.models import from_string

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

HIDDEN = 128
"""Neurons of a recurrent network."""

LOOKED_AT = 256
"""Test samples that a trained network is diagnosed with."""


@dataclass(frozen=True)
class Task:
    """Data, and what a run does with them where its settings say nothing else.

    Attributes:
        data: "mnist", "digits", "digits-dvs", "cifar10" or "words".
        train, test: how many samples, the first ones; None for all.
        classes: how many.
        architecture: see `numsnn.models.from_string`.
        steps, epochs, batch, lr: T, and of the training.
        events: whether samples bring their time axis along.
        recurrent: whether `HIDDEN` recurrent neurons take the place of an architecture; pictures are read a row a step.
        tau: of the neurons, in steps.
        recipe: name of the recipe that says all this instead; the run's seed is all that is added to it.
    """

    data: str
    train: int | None = None
    test: int | None = None
    classes: int = 10
    architecture: str = ""
    steps: int = 4
    epochs: int = 10
    batch: int = 50
    lr: float = 2e-3
    events: bool = False
    recurrent: bool = False
    tau: float = 2.0
    recipe: str = ""


TASKS = {
    "mnist8k": Task("mnist", architecture="16c3-p2-32c3-p2", epochs=3),
    "digits": Task("digits", architecture="16c3-p2-16c3", epochs=8, lr=4e-3),
    "digits-dvs": Task("digits-dvs", architecture="16c3-p2-32c3-p2", steps=6, epochs=8, lr=4e-3, events=True),
    "cifar10-5k": Task("cifar10", 5000, 2000, architecture="24c3-p2-48c3-p2-96c3-p2", epochs=6),
    "mnist8k-rows": Task("mnist", steps=28, epochs=6, lr=5e-3, recurrent=True),
    "words": Task("words", classes=20, steps=100, epochs=15, batch=32, events=True, recurrent=True, tau=20.0),
    "recipe mnist": Task("mnist", recipe="mnist"),
    "recipe digits": Task("digits", recipe="digits"),
    "recipe digits-dvs": Task("digits-dvs", recipe="digits-dvs"),
}


PDAS = {
    "off": None,
    "shift": snn.PDA(),
    "divergence": snn.PDA(correct=False, divergence=0.1),
    "target": snn.PDA(target=0.9),
}
"""Nothing; the tracked shift taken out; the divergence objective alone; a mean just below the threshold aimed at."""


@dataclass(frozen=True)
class Run:
    """Settings of one run; what is None is the task's.

    Attributes:
        task: name of a `Task`.
        seed: of weights and order.
        family, width: of the surrogate; the width is where learning starts.
        learn: what is learned of "width" and "threshold".
        psg: further arguments of `numsnn.PSG`.
        threshold: of all neurons, where learning starts.
        pda: a key of `PDAS`.
        norm: in front of the neurons, "bn" or "none".
        architecture, steps, epochs: other than the task's.
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
        """The same for the same settings, also of one that was read from a log."""
        return key(asdict(self))

    @staticmethod
    def from_dict(settings: dict) -> "Run":
        """What `asdict` gave, also after JSON has made lists of its tuples."""
        known = {f.name for f in fields(Run)}
        if unknown := set(settings) - known:
            raise ValueError(f"unknown settings {', '.join(sorted(unknown))}")
        return replace(Run(**settings), learn=tuple(settings.get("learn", ("width",))))


def task_of(run: Run) -> Task:
    """The run's task, with what the run has in other ways."""
    changes = {key: getattr(run, key) for key in ("architecture", "steps", "epochs") if getattr(run, key) is not None}
    return replace(TASKS[run.task], **changes)


class Missing(RuntimeError):
    """Data that a task needs are not there."""


def words():
    """What example 11 makes up in place of SHD, its spikes counted in steps."""
    example = runpy.run_path(str(EXAMPLES / "11_shd.py"))
    steps, channels, per_second = example["STEPS"], example["CHANNELS"], 1_000_000 // example["DURATION"]
    parts = []
    for labels, spoken in example["made_up"]().values():
        x = np.zeros((len(labels), steps, channels), np.float32)
        for counts, (times, units) in zip(x, spoken, strict=True):
            np.add.at(counts, (np.minimum((times * per_second).astype(int), steps - 1), units), 1)
        parts.append(snn.data.Dataset(x, labels, timed=True))
    return parts


@cache
def data_of(name, steps, mnist, cifar):
    """Training and test data; cached, as many runs of one process take the same."""
    if name == "mnist":
        if mnist is None:
            raise Missing("mnist8k needs the IDX files: --mnist FOLDER")
        return snn.data.load("mnist", dir=mnist)
    if name == "cifar10":
        if cifar is None:
            raise Missing("cifar10-5k needs the store that data_prep/cifar10.py makes: --cifar FILE")
        store = snn.data.open(cifar)
        return store.train, store.test
    if name == "words":
        return words()
    return snn.data.load(name, **({"steps": steps} if name == "digits-dvs" else {}))


@cache
def samples_of(task: Task, mnist, cifar):
    """The task's own training and test samples, in memory."""
    steps = task.steps if task.events else None
    parts = zip(data_of(task.data, steps, mnist, cifar), (task.train, task.test), strict=True)
    found = []
    for part, count in parts:
        x, y = part.batch(np.arange(min(count or len(part), len(part))))
        if task.events:
            x = x.swapaxes(0, 1)
        elif task.recurrent:
            x = x[..., 0]
        found.append(snn.data.Dataset(x, y, timed=task.events or task.recurrent))
    return tuple(found)


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
    if task.recurrent:
        return snn.models.shd_net(*sample_shape, HIDDEN, task.classes, neuron=neuron)
    steps = None if task.events else task.steps
    return from_string(task.architecture, sample_shape, task.classes, steps, neuron, run.norm)


def prepared(run: Run, mnist, cifar):
    """Trainer, training and test data of a run, and its number of epochs."""
    task = task_of(run)
    if task.recipe:
        config = configuration.read(recipes.available()[task.recipe])
        config.training.seed, config.data.dir = run.seed, mnist if task.data == "mnist" else ""
        ready = experiment.prepare(config)
        return ready.trainer, ready.train, ready.test, config.training.epochs
    parts = samples_of(task, mnist, cifar)
    loss = snn.losses.MaxMembraneCrossEntropy() if task.recurrent else snn.losses.RateCrossEntropy(label_smoothing=0.1)
    trainer = snn.Trainer(
        network(run, parts[0].sample_shape[-1 if task.recurrent else -3 :]),
        loss=loss,
        optimizer=snn.optim.AdamW(task.lr, weight_decay=0.02),
        schedule=snn.schedules.Cosine(),
        clip_norm=1.0 if task.recurrent else None,
        batch_size=task.batch,
        seed=run.seed,
    )
    return trainer, *parts, task.epochs


def train(run: Run, mnist=None, cifar=None) -> dict:
    """Train and test; what came out, as plain data.

    Returns:
        "accuracy" on the test samples after the last epoch (between 0 and 1), or None where training diverged;
        "loss" of every epoch; "widths" at the start and after every epoch, by layer; "thresholds" at the end;
        "layers": rate, shift and undesired share by step, as `numsnn.diagnose` finds them after training;
        "seconds" of the training steps.

    Raises:
        Missing: the data are not there.
    """
    trainer, data, test, epochs = prepared(run, mnist, cifar)
    trainer.start(data, epochs)
    widths = [trainer.widths()]
    try:
        history = trainer.fit(data, epochs=epochs, progress=False)
    except snn.errors.DivergenceError as error:
        return {"accuracy": None, "error": str(error)}
    found = snn.diagnose(trainer.net, test.batch(np.arange(min(LOOKED_AT, len(test))))[0])
    neurons = [layer for layer in trainer.net.walk() if isinstance(layer, snn.layers.Neuron)]
    return {
        "accuracy": trainer.evaluate(test).accuracy,
        "loss": [metrics["train_loss"] for metrics in history],
        "widths": widths + [metrics["widths"] for metrics in history],
        "thresholds": {n.path: float(np.mean(n.kernels.to_host(n.threshold.refresh()))) for n in neurons},
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
    """Plain data with six digits of every number: more would only make logs long."""
    if isinstance(value, dict):
        return {name: rounded(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
