"""Checks of the state of a training that a checkpoint holds, before anything of it is taken over.

A seal shows that a file is the one that was written, not that a sensible program wrote it. What is checked here are the
types and ranges of all fields that a trainer or loop uses, and the moments of an optimiser against the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..layers import Layer
from ..optim import Optimizer
from ..shown import shown
from .checks import plain

MOST = 1 << 53
"""The largest counter."""

Test = tuple[Callable[[Any], bool], str]
"""Whether a value is good, and what is expected in words."""


def _is_count(value: Any, low: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= MOST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


COUNT: Test = (_is_count, "a whole number of at least 0")
LENGTH: Test = (lambda value: value is None or _is_count(value, 1), "a whole number of at least 1, or null")
TRUTH: Test = (lambda value: isinstance(value, bool), "true or false")
AMOUNT: Test = (lambda value: _is_number(value) and math.isfinite(value), "a finite number")
NUMBER: Test = (lambda value: value is None or _is_number(value), "a number or null")
LABEL: Test = (lambda value: value is None or _is_count(value), "a whole number of at least 0 or null")
OBJECT: Test = (lambda value: isinstance(value, dict), "an object")
OBJECTS: Test = (
    lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value),
    "a list of objects",
)
DESCRIBED: Test = (
    lambda value: isinstance(value, dict) and isinstance(value.get("type"), str),
    "an object with a type",
)
COUNTS: Test = (
    lambda value: value is None or (isinstance(value, dict) and all(map(_is_count, value.values()))),
    "an object of whole numbers of at least 0, or null",
)
TALLIES: Test = (
    lambda value: value is None or (isinstance(value, list) and all(one is None or _is_vector(one) for one in value)),
    "a list of lists of numbers, or null",
)

RUN = {
    "epoch": COUNT,
    "batch": COUNT,
    "first": COUNT,
    "epochs": LENGTH,
    "ended": TRUTH,
    "running": OBJECT,
    "best": OBJECT,
    "steps": COUNT,
    "settings": OBJECT,
    "schedule": OBJECT,
    "callbacks": OBJECTS,
    "history": OBJECTS,
}
RUNNING = {"loss": AMOUNT, "samples": COUNT, "seconds": AMOUNT, "counts": TALLIES}
BEST = {"epoch": COUNT, "value": NUMBER, "loss": NUMBER}
SETTINGS = {"optimizer": DESCRIBED, "schedule": DESCRIBED, "callbacks": OBJECTS}
LOOP = {"seed": COUNT, "passes": COUNT, "steps": COUNT, "more": OBJECT}


def checked_run(path, training: dict[str, Any], net: Layer, arrays: dict[str, dict], optimizer: Optimizer) -> None:
    """Refuse the state of a trainer that is not possible.

    Args:
        path: the checkpoint, which errors name.
        training: the state as plain data.
        net: the network of the checkpoint.
        arrays: the arrays of the groups "optimizer" and "callbacks".
        optimizer: the optimiser that shall take its moments.

    Raises:
        CheckpointError: a field is missing, or has another type or range than those that a trainer writes.
    """
    _need(path, "training", training, RUN)
    _need(path, "running", training["running"], RUNNING)
    checked_best(path, training["best"])
    _need(path, "settings", training["settings"], SETTINGS)
    for k, one in enumerate(training["settings"]["callbacks"]):
        _check(path, f"settings.callbacks[{k}]", one, DESCRIBED)
    same = training["settings"]["optimizer"] == plain(optimizer.description())
    checked_optimizer(path, training, net, arrays["optimizer"], optimizer, same)
    epoch, first, epochs = (training[key] for key in ("epoch", "first", "epochs"))
    last = first if epochs is None else first + epochs  # a run that has not begun has no length
    if not first <= epoch <= last or (epochs is None and epoch):
        raise _wrong(path, "epoch", epoch, f"between {first} and {last}, as first and epochs say")
    _check_batch(path, training)
    if training["best"]["epoch"] > epoch:
        raise _wrong(path, "best.epoch", training["best"]["epoch"], f"at most {epoch}, the epochs of the run")
    if len(training["history"]) > epoch:
        raise _wrong(path, "history", len(training["history"]), f"a list of at most {epoch} epochs")
    for k, row in enumerate(training["history"]):
        _check(path, f"history[{k}].epoch", row.get("epoch"), COUNT)
        _check(path, f"history[{k}].train_loss", row.get("train_loss"), (_is_number, "a number"))
    states, described = training["callbacks"], training["settings"]["callbacks"]
    if len(states) != len(described):
        raise _wrong(path, "callbacks", len(states), f"{len(described)} states, one per callback of the settings")
    shapes = _shapes(net)
    for k, (state, about) in enumerate(zip(states, described, strict=True)):
        for name in _names(path, f"callbacks[{k}].arrays", state.get("arrays", [])):
            array = arrays["callbacks"].get(f"{k}/{name}")
            if array is None:
                raise _wrong(path, f"callbacks[{k}].arrays", name, "names of arrays in the file")
            if about["type"] == "WeightAverage" and (array.dtype.kind != "f" or array.shape != shapes.get(name)):
                raise _wrong(path, f"the average {name!r}", f"{array.dtype} {array.shape}", f"as {shapes.get(name)}")


def _check_batch(path, training):
    """Check the position within an epoch."""
    batch, run, settings = training["batch"], training["running"], training["settings"]
    if bool(batch) != bool(run["samples"]):
        raise _wrong(path, "running.samples", run["samples"], f"those of {batch} batches")
    samples, size = settings.get("samples"), settings.get("batch_size")
    if _is_count(samples, 1) and _is_count(size, 1) and batch > -(-samples // size):
        raise _wrong(path, "batch", batch, f"at most {-(-samples // size)}, the batches of an epoch")
    metrics = settings.get("metrics")
    if run["counts"] is not None and isinstance(metrics, list) and len(run["counts"]) != len(metrics):
        raise _wrong(path, "running.counts", len(run["counts"]), f"{len(metrics)} lists, one per metric")


def checked_best(path, best: Any) -> None:
    """Refuse the best epoch of a run that is not possible; errors as for `checked_run`."""
    _need(path, "best", best, BEST)
    _check(path, "best.among", best.get("among"), LABEL)
    if best["epoch"]:
        _check(path, "best.loss", best["loss"], (_is_number, "a number"))


def checked_loop(path, position: Any, net: Layer, arrays: dict[str, np.ndarray], optimizer: Optimizer) -> None:
    """Refuse the state of a loop that is not possible; arguments and errors as for `checked_run`."""
    _need(path, "loop", position, LOOP)
    checked_optimizer(path, position, net, arrays, optimizer)


def checked_optimizer(
    path, state, net: Layer, arrays: dict[str, np.ndarray], optimizer: Optimizer, same: bool = False
) -> None:
    """Refuse counters and moments that do not belong to the parameters of a network; errors as for `checked_run`.

    Args:
        path, net, arrays, optimizer: as for `checked_run`.
        state: the object with the counters.
        same: whether an optimiser with the same settings has made the moments, so that none may be missing.
    """
    _check(path, "counts", state.get("counts"), COUNTS)
    shapes = _shapes(net)
    for key, array in arrays.items():
        name, _, slot = key.rpartition("/")
        if name not in shapes:
            raise _wrong(path, "the optimiser", key, "moments of the network's parameters")
        if array.dtype.kind != "f" or (slot in optimizer.slots and array.shape != shapes[name]):
            found = f"{array.dtype} {array.shape}"
            raise _wrong(path, f"the moment {key!r}", found, f"real numbers of shape {shapes[name]}")
        if slot == "second" and array.size and array.min() < 0:
            raise _wrong(path, f"the second moment {key!r}", float(array.min()), "numbers of at least 0")
    there = {key.rpartition("/")[0] for key in arrays if key.rpartition("/")[2] in optimizer.slots}
    for name, count in (state.get("counts") or {}).items() if there or same else ():
        for slot in optimizer.slots if count and name in shapes else ():
            if f"{name}/{slot}" not in arrays:
                raise _wrong(path, "the optimiser", f"{count} updates of {name}", f"given with the moment {slot!r}")


def _shapes(net):
    """Return the shapes of the parameters of a network by their names."""
    return {name: tuple(parameter.value.shape) for name, parameter in net.parameters()}


def _need(path, where, found, tests):
    """Check the fields of an object."""
    _check(path, where, found, OBJECT)
    for name, test in tests.items():
        if name not in found:
            raise CheckpointError(f"{path}: the state of its training is damaged: {where} lacks {name!r}")
        _check(path, name if where == "training" else f"{where}.{name}", found[name], test)


def _check(path, where, value, test):
    good, wanted = test
    if not good(value):
        raise _wrong(path, where, value, wanted)


def _names(path, where, found):
    """Return a list of names after checking it."""
    _check(path, where, found, (lambda one: isinstance(one, list) and all(isinstance(n, str) for n in one), "names"))
    return found


def _is_vector(value):
    """Return whether a value is a list of finite numbers."""
    return isinstance(value, list) and all(_is_number(one) and math.isfinite(one) for one in value)


def _wrong(path, where, value, wanted):
    """Return the error for a field."""
    found = shown(value, 80)
    return CheckpointError(f"{path}: the state of its training is damaged: {where} must be {wanted}; found {found}")
