"""Making a failing case small: layers and options are taken away while the same check still fails.

The shrinker works on descriptions (`Layer.description`), which are plain data, and knows nothing of single layers but
the names of their arguments. A change that makes no valid network, or one that does not fail, is dropped.
"""

import inspect
from copy import deepcopy
from dataclasses import replace
from time import monotonic

from random_networks.checks import failures
from random_networks.networks import NAMES, Case

import numsnn as snn
from numsnn import losses

LISTS = ("layers", "branch", "branches")
"""Arguments that hold layers."""

CHANNELS = ("in_features", "in_channels", "channels")
"""Arguments that must be the number of channels of the input."""


def shrink(case: Case, fails, seconds: float = 60.0) -> Case:
    """Return a smaller case that still fails.

    Args:
        case: the case.
        fails: function of a case that says whether it fails in the same way.
        seconds: time after which the smallest case so far is returned. Default 60.
    """
    end = monotonic() + seconds
    found = True
    while found and monotonic() < end:
        found = False
        for smaller in smaller_cases(case):
            if monotonic() > end:
                break
            if _valid(smaller) and fails(smaller):
                case, found = smaller, True
                break
    return case


def fails_alike(case: Case, check):
    """Return a function that says whether another case fails this check with the same kind of message as this one.

    Args:
        case: a case that fails.
        check: name of the check and its function, in a dict as `checks.failures` takes it.
    """

    def kind(one):
        told = next(iter(failures(one, check).values()), None)
        return told and told.partition(":")[0]

    first = kind(case)
    return lambda other: kind(other) == first


def _valid(case):
    """Return whether the network of a case can be built; only then is the failure one of the network."""
    try:
        case.net.copy().to("reference").build(case.shape)
    except Exception:
        return False
    return True


def smaller_cases(case: Case):
    """Yield all cases that are a little smaller than this one, the much smaller ones first."""
    whole = case.net.description()
    for change in _changes(whole):
        net = _made(change, case.shape)
        if net is not None:
            inside = [name for name, layer in net.named()[1:] if not layer.container]
            yield replace(case, net=net, frozen=tuple(name for name in case.frozen if name in inside))
    if case.lengths is not None:
        yield replace(case, lengths=None)
    if case.frozen:
        yield replace(case, frozen=())
    if case.data != "numbers":
        yield replace(case, data="numbers")
    if case.target == "class" and type(case.loss) is not losses.RateCrossEntropy:
        yield replace(case, loss=losses.RateCrossEntropy())
    if case.target in ("values", "step values") and type(case.loss) is not losses.MembraneMSE:
        yield replace(case, loss=losses.MembraneMSE())
    yield from _smaller_shapes(case)


def _smaller_shapes(case):
    """Yield cases with fewer samples, steps and positions."""
    if isinstance(case.shape, dict):
        return
    for axis, extent in enumerate(case.shape[:-1]):
        for smaller in {1, extent // 2, extent - 1} - {0, extent}:
            shape = (*case.shape[:axis], smaller, *case.shape[axis + 1 :])
            lengths = case.lengths
            if lengths is not None and axis == 1:
                lengths = lengths[:smaller]
            if lengths is not None and axis == 0:
                lengths = tuple(min(length, smaller) for length in lengths)
            yield replace(case, shape=shape, lengths=lengths)


def _changes(data):
    """Yield descriptions that differ from this one in one place."""
    if isinstance(data, dict) and "type" in data:
        yield from _without_parts(data)
        for name, value in data.items():
            for changed in _changes(value):
                yield {**data, name: changed}
        yield from _defaults(data)
    elif isinstance(data, dict):
        for name, value in data.items():
            for changed in _changes(value):
                yield {**data, name: changed}
    elif isinstance(data, list):
        for k, value in enumerate(data):
            for changed in _changes(value):
                yield [*data[:k], changed, *data[k + 1 :]]


def _without_parts(data):
    """Yield descriptions without a layer, and with the layers of a container in the place of the container."""
    for name in LISTS:
        parts = data.get(name)
        if not isinstance(parts, list):
            continue
        for k in range(len(parts)):
            yield {**data, name: parts[:k] + parts[k + 1 :]}
        for k, part in enumerate(parts):
            for inside in LISTS:
                if isinstance(part, dict) and isinstance(part.get(inside), list):
                    kept = [one for one in part[inside] if one is not None]
                    yield {**data, name: parts[:k] + kept + parts[k + 1 :]}
    if data.get("shortcut") is not None:
        yield {**data, "shortcut": None}


def _defaults(data):
    """Yield descriptions in which one argument has its default value."""
    cls = NAMES.get(data["type"])
    if cls is None:
        return
    for name, parameter in inspect.signature(cls).parameters.items():
        default = parameter.default
        if default is inspect.Parameter.empty or name in ("name", "shortcut") or data.get(name) == default:
            continue
        if not isinstance(data.get(name), list) or name not in LISTS:
            yield {**data, name: default}


def _made(description, shape):
    """Return the network of a description, with numbers of channels that fit the layers in front; None if there is no
    such network."""
    description = deepcopy(description)
    try:
        layers, current = [], shape
        for part in description["layers"]:
            layer = snn.Layer.from_description(_fitted(part, current))
            current = layer.infer(current)
            layers.append(layer)
        return snn.Sequential(*layers)
    except Exception:
        return None


def _fitted(part, shape):
    """Return the description of a layer that takes the channels of this shape; in a container, the first layer does."""
    if isinstance(shape, dict):
        return part
    part = dict(part)
    for name in CHANNELS:
        if part.get(name) is not None:
            part[name] = shape[-1]
    for name in LISTS:
        if part.get(name):
            first = [part[name][0]] if name != "branches" else part[name]
            fitted = [one if one is None else _fitted(one, shape) for one in first]
            part[name] = fitted + part[name][len(fitted) :]
    return part
