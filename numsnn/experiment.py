"""A run from a configuration: it loads the data, builds network and trainer, trains, and writes pictures and a report.

The folder of a run holds config.toml (complete, so that the run can be repeated), metrics.jsonl (one line per epoch),
checkpoint.h5 (best epoch), last.h5 (from which a run is resumed), start.json and end.json (diagnoses before and after
training), the pictures and report.html.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from . import data, losses, optim, schedules
from .config import Config, ModelConfig, TrainingConfig, folder_option
from .diagnostics import Diagnosis, diagnose, record_spikes, write_report
from .errors import ConfigError
from .files import write_file
from .kernels.cpu.run.launch import set_num_threads
from .layers import ALIF, IF, LIF, PLIF, CubaLIF, Layer, RateBand, Sequential
from .models import from_string
from .names import look_up
from .pda import PDA
from .psg import PSG, Surrogate
from .training import Evaluation, Trainer
from .version import __version__

MATPLOTLIB_MISSING = 'matplotlib is missing, so there are no pictures; install it with: pip install "numsnn[plot]"'

DIAGNOSED_SAMPLES = 256
"""Number of test samples for the diagnoses before and after training."""

LEAKY = ("tau", "decay_input", "learn_tau")

NEURONS = {
    "if": (IF, ()),
    "lif": (LIF, LEAKY),
    "plif": (PLIF, ("tau",)),
    "alif": (ALIF, (*LEAKY, "tau_adaptation", "strength")),
    "cubalif": (CubaLIF, (*LEAKY, "tau_synapse")),
}
"""Name in a configuration -> neuron, and the keys that it takes beside those that all neurons take."""

RESETS = {"hard": lambda model: model.v_reset, "soft": lambda model: None, "none": lambda model: "none"}
"""Name in a configuration -> v_reset of the neurons."""

LOSSES: dict[str, Callable[[TrainingConfig], losses.Loss]] = {
    "rate": lambda training: losses.RateCrossEntropy(training.label_smoothing),
    "tet": lambda training: losses.TET(training.label_smoothing),
    "max_membrane": lambda training: losses.MaxMembraneCrossEntropy(training.label_smoothing),
    "membrane_mse": lambda training: losses.MembraneMSE(),
    "spike_count": lambda training: losses.SpikeCountMSE(),
    "first_spike": lambda training: losses.TimeToFirstSpike(label_smoothing=training.label_smoothing),
}
"""Name in a configuration -> function from its section [training] to the loss."""

OPTIMIZERS: dict[str, Callable[[TrainingConfig], optim.Optimizer]] = {
    "adam": lambda training: optim.Adam(training.lr, weight_decay=training.weight_decay),
    "adamw": lambda training: optim.AdamW(training.lr, weight_decay=training.weight_decay),
    "sgd": lambda training: optim.SGD(training.lr, training.momentum, training.nesterov, training.weight_decay),
}
"""The same for the optimiser."""

SCHEDULES: dict[str, Callable[[TrainingConfig], schedules.Schedule]] = {
    "cosine": lambda training: schedules.Cosine(training.warmup),
    "step": lambda training: schedules.Step(training.step_every, training.step_gamma, training.warmup),
    "constant": lambda training: schedules.Constant(training.warmup),
}
"""The same for the schedule."""

EVENTS = ("digits-dvs",)
"""Built-in datasets of events, which are counted into frames."""

SPIKING_LOSSES = ("spike_count", "first_spike")
"""Losses that need a readout of spiking neurons."""


@dataclass
class Experiment:
    """Data, network and trainer of a configuration, ready to train."""

    config: Config
    train: data.Dataset
    test: data.Dataset
    trainer: Trainer


@dataclass
class Outcome:
    """The result of a run.

    Attributes:
        history: metrics of every epoch.
        test: evaluation of the final network.
        folder: folder of the run.
        report: path of report.html.
        note: what is missing in the report and how to get it, or "".
    """

    history: list[dict]
    test: Evaluation
    folder: Path
    report: Path
    note: str


def load_data(config: Config) -> tuple[data.Dataset, data.Dataset]:
    """Return training and test data of a configuration.

    Raises:
        ConfigError: the dataset needs a folder but none is given, or it takes no folder.
        ValueError: as for `numsnn.data.load`.
    """
    wanted = config.data
    binning = {"steps": wanted.steps, "by": wanted.by, "duration": wanted.duration or None, "pool": wanted.pool}
    if wanted.file:
        train, test = _stored(wanted.file, binning)
    else:
        options = folder_option(wanted.name, wanted.dir, "set data.dir in the configuration, or use --data FOLDER")
        train, test = data.load(wanted.name, **options, **(binning if wanted.name in EVENTS else {}))
    if wanted.augment:
        train = data.Augmented(train, data.augment.from_string(wanted.augment), config.training.seed)
    return train, test


def _stored(file, binning):
    """Return training and test part of a store, with events as frames."""
    store = data.open(file)
    rest = [part for part in ("test", "valid") if part in store.parts]
    if "train" not in store.parts or not rest:
        raise ConfigError(f"{file}: must have the parts train, and test or valid; it has {', '.join(store.parts)}")
    parts = store["train"], store[rest[0]]
    return tuple(part.frames(**binning) if store.kind == "events" else part for part in parts)


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
            raise ConfigError(f"model.{key}: the neuron {model.neuron!r} does not use it; got {got!r}. Leave it out")
    surrogate = Surrogate(method.surrogate, method.width)
    if method.learn_width:
        bounds: Any = tuple(method.width_bounds) or None
        surrogate = PSG(method.surrogate, method.width, per=method.width_per, lr=method.width_lr, bounds=bounds)
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


def build_trainer(config: Config, net: Layer, out=None) -> Trainer:
    """Return the trainer of a configuration."""
    training = config.training
    return Trainer(
        net,
        look_up("training.loss", training.loss, LOSSES)(training),
        look_up("training.optimizer", training.optimizer, OPTIMIZERS)(training),
        look_up("training.schedule", training.schedule, SCHEDULES)(training),
        training.device,
        training.seed,
        training.batch_size,
        clip_norm=training.clip_norm or None,
        out=out,
    )


def prepare(config: Config, out=None) -> Experiment:
    """Load the data and build network and trainer, without training."""
    if config.training.threads:
        set_num_threads(config.training.threads)
    train, test = load_data(config)
    net = build_network(config, train.sample_shape, train.n_classes, train.timed)
    shape = (config.training.batch_size, *train.sample_shape)
    if train.timed:
        shape = (shape[1], shape[0], *shape[2:])
    net.to(config.training.device).build(shape, config.training.seed)
    return Experiment(config, train, test, build_trainer(config, net, out))


def run(config: Config, out, resume: bool = False, progress: bool = True) -> Outcome:
    """Train as configured, write everything to the folder `out`, and write the report.

    Args:
        config: the configuration.
        out: folder of the run.
        resume: continue the run in the folder. Default False.
        progress: show progress bars. Default True.

    Returns:
        the outcome of the run.
    """
    experiment = prepare(config, out)
    folder, trainer, test = Path(out), experiment.trainer, experiment.test
    trainer.start(experiment.train, config.training.epochs, resume)
    write_file(folder / "config.toml", config.to_toml())
    x, y = test.batch(np.arange(min(DIAGNOSED_SAMPLES, len(test))))
    begin = _diagnosis_at_start(trainer, x, y)
    trainer.fit(experiment.train, test, config.training.epochs, progress=progress)
    end = diagnose(trainer.net, x, y, trainer.loss)
    write_file(folder / "end.json", json.dumps(end.to_dict()))
    result = trainer.evaluate(test)
    report = write_report(
        folder,
        trainer.history,
        title=f"{config.data.file or config.data.name}, {config.model.architecture}",
        config_text=config.to_toml(),
        start=begin,
        end=end,
        confusion=result.confusion,
        classes=test.classes,
        raster=record_spikes(trainer.net, x[:, :1] if test.timed else x[:1]),
        version=__version__,
    )
    note = "" if find_spec("matplotlib") else MATPLOTLIB_MISSING
    return Outcome(trainer.history, result, folder, report, note)


def _diagnosis_at_start(trainer, x, y):
    """Return the diagnosis before training: made now, or read from a resumed run's folder (None if missing)."""
    path = trainer.out / "start.json"
    if trainer.epoch or trainer.batch:
        return Diagnosis.from_dict(json.loads(path.read_text())) if path.exists() else None
    begin = diagnose(trainer.net, x, y, trainer.loss, training=True)  # running statistics have not seen data yet
    write_file(path, json.dumps(begin.to_dict()))
    return begin
