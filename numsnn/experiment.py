"""A run from a configuration: it loads the data, builds network and trainer, trains, and writes pictures and a report.

The folder of a run holds config.toml (complete, so that the run can be repeated), metrics.jsonl (one line per epoch),
checkpoint.h5 (best epoch), last.h5 (from which a run is resumed), start.json and end.json (diagnoses before and after
training), the pictures and report.html.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import data, losses, optim, schedules
from .config import Config, ModelConfig, TrainingConfig, folder_option, need_store_alone
from .diagnostics import Diagnosis, diagnose, record_spikes, write_report
from .errors import ConfigError
from .files import read_file, write_file
from .kernels.cpu.run.launch import set_num_threads
from .layers import ALIF, IF, LIF, PLIF, CubaLIF, Layer, RateBand, Sequential
from .locks import Lock
from .models import from_string
from .names import look_up
from .pda import PDA
from .psg import PSG, Surrogate
from .shown import MESSAGE, one_line, shown
from .training import Callback, EarlyStopping, Evaluation, Trainer, WeightAverage
from .validate import path_of, whole, within

MATPLOTLIB_MISSING = 'matplotlib is missing, so there are no pictures; install it with: pip install "numsnn[plot]"'

DIAGNOSED_SAMPLES = 256
"""Number of samples for the diagnoses before and after training."""

LEAKY = ("tau", "decay_input", "learn_tau")

NEURONS = {
    "if": (IF, ()),
    "lif": (LIF, LEAKY),
    "plif": (PLIF, ("tau",)),
    "alif": (ALIF, (*LEAKY, "tau_adaptation", "strength")),
    "cubalif": (CubaLIF, (*LEAKY, "tau_synapse")),
}
"""Name in a configuration -> neuron, and the keys that it takes beside those that all neurons take."""

RESETS = {
    "hard": lambda model: model.v_reset,
    "soft": lambda model: None,
    "delayed": lambda model: "delayed",
    "none": lambda model: "none",
}
"""Name in a configuration -> v_reset of the neurons."""

LOSSES: dict[str, Callable[[TrainingConfig, Any], losses.Loss]] = {
    "rate": lambda training, weights: losses.RateCrossEntropy(training.label_smoothing, weights),
    "tet": lambda training, weights: losses.TET(training.label_smoothing, class_weights=weights),
    "max_membrane": lambda training, weights: losses.MaxMembraneCrossEntropy(training.label_smoothing, weights),
    "membrane_mse": lambda training, weights: losses.MembraneMSE(),
    "spike_count": lambda training, weights: losses.SpikeCountMSE(class_weights=weights),
    "first_spike": lambda training, weights: losses.TimeToFirstSpike(1.0, training.label_smoothing, weights),
    "step": lambda training, weights: losses.StepCrossEntropy(training.label_smoothing, weights),
    "binary": lambda training, weights: losses.BinaryCrossEntropy(),
    "mse": lambda training, weights: losses.MeanSquaredError(),
}
"""Name in a configuration -> function from its section [training] and the weights of the classes to the loss."""

OPTIMIZERS: dict[str, Callable[[TrainingConfig], optim.Optimizer]] = {
    "adam": lambda training: optim.Adam(training.lr, weight_decay=training.weight_decay),
    "adamw": lambda training: optim.AdamW(training.lr, weight_decay=training.weight_decay),
    "sgd": lambda training: optim.SGD(training.lr, training.momentum, training.nesterov, training.weight_decay),
}
"""Name in a configuration -> function from its section [training] to the optimiser."""

SCHEDULES: dict[str, Callable[[TrainingConfig], schedules.Schedule]] = {
    "cosine": lambda training: schedules.Cosine(training.warmup),
    "step": lambda training: schedules.Step(training.step_every, training.step_gamma, training.warmup),
    "plateau": lambda training: schedules.Plateau(training.step_gamma, training.plateau, warmup=training.warmup),
    "constant": lambda training: schedules.Constant(training.warmup),
}
"""The same for the schedule."""

EVENTS = ("digits-dvs",)
"""Built-in datasets of events, which are counted into frames."""

SPIKING_LOSSES = ("spike_count", "first_spike")
"""Losses that need a readout of spiking neurons."""


UNWEIGHTED_LOSSES = ("membrane_mse", "binary", "mse")
"""Losses without weights of classes."""


class Parts(NamedTuple):
    """The parts of a dataset; None for a part that there is not."""

    train: Any
    valid: Any
    test: Any


@dataclass
class Experiment:
    """Data, network and trainer of a configuration, ready to train."""

    config: Config
    data: Parts
    trainer: Trainer


@dataclass
class Outcome:
    """The result of a run.

    Attributes:
        history: metrics of every epoch.
        test: evaluation of the test part by the network of the best epoch; None without a test part.
        best: number of the epoch that the validation part chose; 0 without a validation part.
        folder: folder of the run.
        report: path of report.html.
        note: what is missing in the report and how to get it, or "".
    """

    history: list[dict]
    test: Evaluation | None
    best: int
    folder: Path
    report: Path
    note: str


def load_data(config: Config) -> Parts:
    """Return the parts of the data of a configuration.

    If the data have no part "valid", a share of the training part takes its place (``data.valid_share``).

    Raises:
        ConfigError: the dataset needs a folder but none is given, it takes no folder, or a store has no part "train".
        ValueError: as for `numsnn.data.load`.
    """
    wanted = config.data
    parts = load_parts(config)
    if "train" not in parts:
        raise ConfigError(f"{wanted.file}: needs a part train; it has {', '.join(parts)}")
    train, valid = parts["train"], parts.get("valid")
    if valid is None and within("data.valid_share", wanted.valid_share, 0, 1, open_high=True):
        try:
            train, valid = train.split(1 - wanted.valid_share)
        except ValueError as error:
            raise ConfigError(f"data.valid_share: {wanted.valid_share:g}: {error}") from None
    if wanted.augment:
        train = data.Augmented(train, data.augment.from_string(wanted.augment), config.training.seed)
    return Parts(train, valid, parts.get("test"))


def load_parts(config: Config) -> dict[str, Any]:
    """Return the parts of a dataset as they are stored, by name; events are counted into frames.

    Raises:
        ConfigError, ValueError: as for `load_data`.
    """
    wanted = config.data
    binning: dict[str, Any] = {"steps": wanted.steps or None, "by": wanted.by, "pool": wanted.pool}
    binning["duration"] = wanted.duration or None
    if wanted.file:
        need_store_alone(wanted)
        if not path_of("data.file", wanted.file).exists():
            raise FileNotFoundError(f"data.file: {wanted.file} does not exist in the current folder {Path.cwd()}")
        binning["start"] = None if wanted.start < 0 else wanted.start
        store = data.open(wanted.file)
        return {name: part.frames(**binning) if store.kind == "events" else part for name, part in store.parts.items()}
    options = folder_option(wanted.name, wanted.dir, "set data.dir in the configuration, or use --data FOLDER")
    both = data.load(wanted.name, **options, **(binning if wanted.name in EVENTS else {}))
    return dict(zip(("train", "test"), both, strict=True))


def build_network(config: Config, sample_shape, classes: int, timed: bool = False) -> Sequential:
    """Return the network of a configuration for samples of this shape; timed samples have time as their first axis.

    Raises:
        ConfigError: the configuration sets a key that its neuron does not use.
        ValueError: a name is unknown, or a value is out of range.
    """
    model, method = config.model, config.method
    v_reset = look_up("model.reset", model.reset, RESETS)(model)
    cls, own = look_up("model.neuron", model.neuron, NEURONS)
    for key in (key for _, keys in NEURONS.values() for key in keys if key not in own):
        got = getattr(model, key)
        if got != getattr(ModelConfig, key):
            raise ConfigError(
                f"model.{key}: the neuron {model.neuron!r} does not use it; got {shown(got)}. Leave it out"
            )
    surrogate = Surrogate(method.surrogate, method.width)
    if method.learn_width:
        bounds: Any = tuple(method.width_bounds) or None
        surrogate = PSG(
            method.surrogate,
            method.width,
            per=method.width_per,
            lr=method.width_lr,
            bounds=bounds,
            rule=method.width_rule,
            share=method.window_share,
        )
    target: Any = None if method.pda_target == "input" else method.pda_target
    pda = PDA(method.pda_momentum, correct=method.pda, target=target, divergence=method.divergence)
    neuron = cls(
        v_threshold=model.v_threshold,
        v_reset=v_reset,
        detach_reset=model.detach_reset,
        learn_threshold=model.learn_threshold,
        refractory=model.refractory,
        surrogate=surrogate,
        pda=pda if method.pda or method.divergence else None,
        **{name: getattr(model, name) for name in own},
    )
    training = config.training
    spiking = training.loss in SPIKING_LOSSES
    shape, steps = (sample_shape[1:], None) if timed else (sample_shape, model.steps)
    band = None
    if training.rate_weight:
        band = RateBand(training.rate_low, training.rate_high, training.rate_weight)
    return from_string(
        model.architecture, shape, classes, steps, neuron, model.norm, spiking_readout=spiking, after_neuron=band
    )


def build_trainer(config: Config, net: Layer, out=None, train=None) -> Trainer:
    """Return the trainer of a configuration.

    Args:
        config: the configuration.
        net: the network.
        out: folder of the run. Default None.
        train: training data, whose labels determine the weights of the classes. Default None: no weights.

    Raises:
        ConfigError: balanced classes are asked for, and the loss has no weights of classes.
        ValueError: a name is unknown, or a value is out of range.
    """
    training = config.training
    make_loss = look_up("training.loss", training.loss, LOSSES)
    weights = None
    if training.balanced:
        if training.loss in UNWEIGHTED_LOSSES:
            raise ConfigError(f"training.balanced: the loss {training.loss!r} has no weights of classes; leave it out")
        weights = None if train is None else losses.balanced(train.y, train.n_classes)
    callbacks: list[Callback] = []
    if training.average:
        callbacks.append(WeightAverage(training.average))
    if training.early_stopping:
        callbacks.append(EarlyStopping(training.early_stopping))
    return Trainer(
        net,
        make_loss(training, weights),
        look_up("training.optimizer", training.optimizer, OPTIMIZERS)(training),
        look_up("training.schedule", training.schedule, SCHEDULES)(training),
        training.device,
        training.seed,
        training.batch_size,
        clip_norm=training.clip_norm or None,
        out=out,
        accumulate=training.accumulate,
        callbacks=callbacks,
        recompute=training.recompute,
    )


def prepare(config: Config, out=None) -> Experiment:
    """Load the data and build network and trainer, without training."""
    if config.training.threads:
        set_num_threads(config.training.threads)
    parts = load_data(config)
    train, training = parts.train, config.training
    if parts.valid is None and (training.early_stopping or training.schedule == "plateau"):
        key = "early_stopping" if training.early_stopping else "schedule"
        raise ConfigError(
            f"training.{key} follows the validation loss, but the data have no part valid; set data.valid_share"
        )
    if len(train.target_shape) > 1:
        raise ConfigError(f"the targets are arrays of shape {train.target_shape}; build their network in Python")
    net = build_network(config, train.sample_shape, train.n_outputs, train.timed)
    size = whole("training.batch_size", training.batch_size)
    shape = (min(size, len(train)), *train.sample_shape)
    if train.timed:
        shape = (shape[1], shape[0], *shape[2:])
    net.to(config.training.device).build(shape, config.training.seed)
    return Experiment(config, parts, build_trainer(config, net, out, train))


def run(
    config: Config,
    out,
    resume: bool | str = False,
    progress: bool = True,
    within: Callable[[Experiment], AbstractContextManager] = nullcontext,
) -> Outcome:
    """Train as configured, write everything to the folder `out`, and write the report.

    Args:
        config: the configuration.
        out: folder of the run.
        resume: continue the run in the folder, see `Trainer.fit`. Default False.
        progress: show progress bars. Default True.
        within: function from the prepared experiment to the context in which it is run. Default: none.

    Returns:
        the outcome of the run.

    Raises:
        BlockingIOError: another process uses the folder.
    """
    if Path(out).is_dir():
        with Lock(out):
            pass  # a folder that is in use is refused before the data are read
    experiment = prepare(config, out)
    with experiment.trainer.lock, within(experiment):
        return _run(experiment, Path(out), resume, progress)


def _run(experiment, folder, resume, progress):
    """Train and write everything to a folder that nobody else writes to."""
    config, trainer, (train, valid, test) = experiment.config, experiment.trainer, experiment.data
    trainer.start(train, config.training.epochs, resume, progress)
    write_file(folder / "config.toml", config.to_toml())
    diagnosed = next(part for part in (valid, test, train) if part is not None)
    batch = data.Batch.of(diagnosed.batch(np.arange(min(DIAGNOSED_SAMPLES, len(diagnosed)))))
    begin = _diagnosis_at_start(trainer, batch)
    trainer.fit(train, valid, config.training.epochs, resume=resume or True, progress=progress, test=test)
    if trainer.best.epoch:
        trainer.restore_best()  # the report shows the network whose test result it tells
    end = diagnose(trainer.net, batch.x, batch.y, trainer.loss)
    write_file(folder / "end.json", json.dumps(end.to_dict()))
    result = trainer.test or trainer.evaluate(diagnosed)
    report = write_report(
        folder,
        trainer.history,
        title=f"{config.data.file or config.data.name}, {config.model.architecture}",
        config_text=config.to_toml(),
        start=begin,
        end=end,
        confusion=result.confusion,
        classes=train.classes,
        raster=record_spikes(trainer.net, batch.x[:, :1] if train.timed else batch.x[:1]),
        test=None if trainer.test is None else trainer.test.told(),
    )
    note = "" if find_spec("matplotlib") else MATPLOTLIB_MISSING
    return Outcome(trainer.history, trainer.test, trainer.best.epoch, folder, report, note)


def _diagnosis_at_start(trainer, batch):
    """Return the diagnosis before training: made now, or read from a resumed run's folder (None if missing)."""
    path = trainer.out / "start.json"
    if trainer.epoch or trainer.batch:
        return _kept_diagnosis(path) if path.exists() else None
    begin = diagnose(
        trainer.net, batch.x, batch.y, trainer.loss, training=True
    )  # running statistics have not seen data yet
    write_file(path, json.dumps(begin.to_dict()))
    return begin


def _kept_diagnosis(path):
    try:
        return Diagnosis.from_dict(json.loads(read_file(path)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        advice = "Remove it, and the run goes on without the diagnosis of its start"
        raise ConfigError(f"{path}: damaged: {one_line(str(error), MESSAGE)}. {advice}") from error
