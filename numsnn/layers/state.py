"""The parameters and statistics of a network by their full names, as a checkpoint stores them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import ShapeError
from ..shown import shown
from ..validate import flag, real_array
from .names import title
from .plan import plan_of
from .sharing import hand_out


def parameters(net) -> list[tuple]:
    """See `Layer.parameters`."""
    return [(f"{name}.{p.name}", p) for name, layer in plan_of(net).owners for p in layer.own_parameters()]


def trainable(net) -> list[tuple]:
    """See `Layer.trainable`."""
    learning = [(name, layer) for name, layer in plan_of(net).owners if not layer._frozen]
    return [(f"{name}.{p.name}", p) for name, layer in learning for p in layer.own_parameters()]


def statistics(net) -> dict:
    """See `Layer.statistics`."""
    return {
        f"{name}.{key}": layer.kernels.to_host(value)
        for name, layer in plan_of(net).owners
        for key, value in layer.own_statistics().items()
    }


def state(net) -> dict:
    """See `Layer.state`."""
    return {name: net.kernels.to_host(p.value) for name, p in parameters(net)} | statistics(net)


_OTHERWISE = ". To load only what fits: load_state(state, strict=False)"


@dataclass(frozen=True)
class LoadReport:
    """What `Layer.load_state` did with every array. It prints as a few lines.

    Attributes:
        taken: names of the arrays that the network has taken over.
        missing: names of arrays of the network that were not given; the network keeps its own.
        unknown: names of given arrays that the network does not have.
        shapes: name -> (shape in the network, given shape), for arrays whose shapes differ; the network keeps its own.
    """

    taken: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    def __str__(self):
        total = len(self.taken) + len(self.missing) + len(self.shapes)
        lines = [f"{len(self.taken)} of {total} arrays taken"]
        lines += [f"missing: {', '.join(self.missing)}"] if self.missing else []
        lines += [f"unknown: {', '.join(self.unknown)}"] if self.unknown else []
        lines += [f"another shape: {name}, {mine} here; got {given}" for name, (mine, given) in self.shapes.items()]
        return "\n".join(lines)


def load_state(net, given, strict: bool = True) -> LoadReport:
    """See `Layer.load_state`."""
    who = f"{title(net)}.load_state"
    if not net.built:
        raise RuntimeError(f"{who}: build the network first: net.build(shape), or run it once")
    if not isinstance(given, Mapping):
        raise TypeError(f"{who}: state must be a mapping from names to arrays; got {type(given).__name__}")
    flag(f"{who}: strict", strict)
    given = {name: _array(who, name, value) for name, value in given.items()}
    report = _compared(net, given)
    if strict and report.missing:
        raise ShapeError(f"{who}: {report.missing[0]!r} is missing{_OTHERWISE}")
    if strict and report.unknown:
        raise ShapeError(f"{who}: {report.unknown[0]!r} is not part of this network{_OTHERWISE}")
    if strict and report.shapes:
        name, (mine, shape) = next(iter(report.shapes.items()))
        raise ShapeError(f"{who}: {name!r} must have shape {mine}; got {shape}{_OTHERWISE}")
    if not report.taken and given:
        mine = next(iter(net.state()), None)
        raise ShapeError(f"{who}: none of the arrays fits; the first one is {next(iter(given))!r}, and here {mine!r}")
    taken = set(report.taken)
    for name, p in parameters(net):
        if name in taken:
            p.place(net.kernels.from_host(given[name], net.dtype), p.grad)
    for name, layer in plan_of(net).owners:
        for key in layer.own_statistics():
            if f"{name}.{key}" in taken:
                layer.set_statistic(key, given[f"{name}.{key}"])
        hand_out(layer)
    return report


def _array(who, name, value):
    """Return a given value as an array of finite real numbers, or refuse it."""
    array = real_array(value)
    if array is None:
        raise ShapeError(f"{who}: {shown(name)} must be an array of real numbers; got {type(value).__name__}")
    if not np.isfinite(array).all():
        index = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{who}: {name!r} must be finite; got {array[index]} at {index}")
    return array


def _compared(net, given):
    """Return the report of loading all arrays that fit, without loading them."""
    expected = {name: p.value.shape for name, p in parameters(net)}
    expected |= {name: value.shape for name, value in statistics(net).items()}
    growing = {f"{name}.{key}" for name, layer in net.named() for key in layer.growing_statistics}
    taken, missing, shapes = [], [], {}
    for name, mine in expected.items():
        if name not in given:
            missing.append(name)
            continue
        shape = given[name].shape
        free = 1 if name in growing else 0  # the first extent of a correction is the number of tracked steps
        if len(shape) == len(mine) and shape[free:] == mine[free:]:
            taken.append(name)
        else:
            shapes[name] = mine, shape
    unknown = tuple(name for name in given if name not in expected)
    return LoadReport(tuple(taken), tuple(missing), unknown, shapes)
