"""Checks of a trainer, and the texts of its errors."""

import json
import os
import tempfile
from itertools import zip_longest

import numpy as np

from ..layers.carry import need_declarations
from ..losses.target import NAMES
from ..plain_json import parsed
from ..shown import shown
from ..validate import instance, path_of, truth, whole


def part(owner, what, given, kind, default=None):
    """Return a part of a trainer, or default() for None; refuse an object that is not of this class."""
    if given is None and default is not None:
        return default()
    if not isinstance(given, kind):
        home = kind.__module__.split(".")
        name = ".".join([*home[:2], kind.__name__]) if home[0] == "numsnn" else kind.__name__
        instance(f"{owner}: {what}", given, kind, f"a {name}")
    return given


def parts(what, one, given, kind):
    """Return the parts of a trainer as a tuple; refuse anything but a list of objects of this class."""
    if not isinstance(given, list | tuple):
        raise TypeError(f"Trainer: {what} must be a list; got {shown(given)}")
    return tuple(part("Trainer", one, each, kind) for each in given)


def function(what, given):
    """Return a function of a trainer, or None; refuse what cannot be called."""
    if given is not None and not callable(given):
        raise TypeError(f"Trainer: {what} must be a function; got {shown(given)}")
    return given


def ends_run(returned):
    """Return whether what a callback returned ends a run; only True does."""
    return truth(returned) and bool(returned)


def named_metrics(metrics):
    """Return metrics; refuse two of the same name, because a history holds one number per name."""
    names = ["loss", *(metric.name for metric in metrics)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"Trainer: metrics must have different names, other than 'loss'; got {shown(twice)} twice")
    return metrics


def need_no_validation(watchers, metrics):
    """Refuse a schedule or callback that follows a metric of validation data, because there are none."""
    there = {f"valid_{name}" for name in ("loss", *(metric.name for metric in metrics))}
    for watcher in watchers:
        if getattr(watcher, "metric", None) in there:
            raise ValueError(
                f"{type(watcher).__name__}: there is no metric {watcher.metric!r} without validation data; give fit "
                "some: valid=..."
            )


def need_unfrozen(owner, net):
    """Refuse a network that cannot change in training, because its layers are frozen. A network without parameters is
    not refused, and layers with statistics or from outside the package may change without parameters."""
    if net.trainable() or not net.parameters():
        return
    if not any(layer.foreign or layer.own_statistics() for layer in net.walk() if not layer.frozen):
        raise ValueError(
            f"{owner}: every layer that can learn is frozen; net.unfreeze() or the same of some of its layers "
            "lets them learn again"
        )


def checked_truncate(net, truncate, accumulate):
    """Return the number of steps per chunk, or None; refuse a network or setting for which chunks have no meaning."""
    if truncate is None:
        return None
    if net.takes_pictures or net.picture_inputs:
        raise ValueError("Trainer: truncate needs inputs with a time axis; this network begins with a Repeat")
    if accumulate > 1:
        raise ValueError("Trainer: accumulate cannot be used with truncate, which updates after every chunk")
    need_declarations(net, "Trainer: truncate")
    return whole("Trainer: truncate", truncate)


def checked_metrics(metrics, loss, kind):
    """Return the metrics of a run, by default those of the loss; refuse one that measures other targets."""
    if metrics is None:
        return loss.metrics(*kind)
    for metric in metrics:
        if kind.target not in metric.targets:
            raise ValueError(
                f"Trainer: the metric {type(metric).__name__} measures {' or '.join(metric.targets)}; "
                f"the targets are {NAMES[kind]}"
            )
    return metrics


def first_bad(net):
    """Return the name of the first layer with a parameter, output or gradient that is not finite."""
    leaves = [(name, layer) for name, layer in net.named() if not layer.container]
    for name, layer in leaves:
        for p in layer.own_parameters():
            if not np.isfinite(layer.kernels.to_host(p.value)).all():
                return f"{name}.{p.name}"
        if any(_is_bad(layer, signal) for signal in layer.signals()):
            return f"{name}'s output"
    for name, layer in reversed(leaves):
        if any(_is_bad(layer, p.grad) for p in layer.own_parameters()) or _is_bad(layer, layer.input_gradient):
            return f"{name}'s gradient"
    return "the loss itself"


def _is_bad(layer, x):
    """Return whether x is a float array with NaN or inf."""
    if not hasattr(x, "dtype") or x.dtype.kind != "f":
        return False
    return not np.isfinite(layer.kernels.to_host(x)).all()


def plain(value):
    """Return a value as it is after writing it to JSON and reading it back."""
    return parsed(json.dumps(value))


def plain_metrics(metrics):
    """Return the metrics of an epoch as plain data; refuse an entry of a callback that is not."""
    found = {}
    for name, value in metrics.items():
        try:
            found[name] = plain(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"Trainer: the metric {name!r} must be a number or other plain data; got {shown(value)}"
            ) from error
    return found


def difference(theirs, mine):
    """Describe the first layer in which two networks differ."""
    pairs = zip_longest(theirs.walk(), mine.walk())
    for a, b in pairs:
        if a is None or b is None or a.description() != b.description():
            return f"the file has {a or 'no further layer'} where this network has {b or 'no further layer'}"
    return "the layers agree, but they are connected differently"


def writable_folder(out):
    """Return the folder of a run; make it if it is missing, and raise OSError now if it cannot be written to."""
    if not isinstance(out, str | os.PathLike):
        raise TypeError(f"Trainer: out must be the path of a folder; got {shown(out)}")
    folder = path_of("Trainer: out", out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"the run's folder {folder} cannot be written to: {error.strerror or error}") from error
    return folder
