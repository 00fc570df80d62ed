"""Spiking networks from trained networks of rectified linear units (ANN to SNN, by threshold balancing)."""

from __future__ import annotations

from math import ceil, floor, prod
from typing import Any

import numpy as np

from ..describe import Described
from ..diagnostics.copies import need_network
from ..layers import (
    IF,
    AvgPool1d,
    AvgPool2d,
    Concat,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool1d,
    MaxPool2d,
    Neuron,
    ReLU,
    Repeat,
    Residual,
    Sequential,
    SumPool1d,
    SumPool2d,
)
from ..validate import whole, within

WEIGHTED = Conv1d, Conv2d, ConvTranspose2d, Linear
LINEAR = AvgPool1d, AvgPool2d, SumPool1d, SumPool2d, GlobalAvgPool2d, Flatten, Dropout
"""Layers with weights, and layers that commute with a factor and are therefore copied."""

CONTAINERS = Sequential, Repeat, Residual, Concat

TAKEN = (
    "convolutions, Linear, ReLU, sum and average pooling, Flatten, Dropout, and BatchNorm behind weights, also in "
    "Sequential, Residual and Concat"
)


def convert(
    net: Layer,
    data: Any,
    steps: int | None = None,
    percentile: float = 99.9,
    v_init: float = 0.0,
    batch_size: int = 100,
) -> Sequential:
    """Return a spiking network that computes with firing rates what a trained network computes with `ReLU` layers.

    Every ReLU becomes `IF` neurons with a soft reset. Their threshold is a large activation of the ReLU on the given
    samples, so that the firing rate of a neuron is its activation in units of the threshold, up to 1 spike per step.
    The weights behind are multiplied by the threshold; where a path without weights joins others, a depthwise 1x1
    convolution multiplies. All other numbers stay those of the trained network, and so the readout, averaged over the
    steps, approaches the output of the trained network. Every `BatchNorm` is folded into the weights in front of it.
    Sources: Diehl et al. 2015 (doi:10.1109/IJCNN.2015.7280696) for the largest activation, Rueckauer et al. 2017
    (doi:10.3389/fnins.2017.00682) for the percentile and the soft reset.

    Args:
        net: a built network of convolutions, `Linear`, `BatchNorm` behind these, `ReLU`, sum and average pooling,
            `Flatten` and `Dropout`, in `Sequential`, `Residual` (with join "add") and `Concat`. It may begin with a
            `Repeat`. It does not change.
        data: samples that determine the thresholds, best of the training set: a dataset, or an array of inputs as for
            the network's own call. Labels are not used.
        steps: T. The converted network takes a picture or feature vector as a constant input current, through
            ``Repeat(T, ...)``. Default None, for a network whose inputs have a time axis: so have those of the
            converted network, which takes any number of steps.
        percentile: percentile of a layer's positive activations that is its threshold, in (0, 100]; 100 is the largest
            activation. Larger activations saturate. A smaller threshold needs fewer steps. Default 99.9.
        v_init: potential before the first step, in thresholds. 0.5 rounds the number of spikes to the nearest one
            instead of down, which needs fewer steps (Bu et al. 2022, arXiv:2202.01440). Default 0.
        batch_size: samples per pass through the network, if data is a dataset. Default 100.

    Returns:
        a built network on the same device and of the same dtype, ``[N, ...]`` -> ``[T, N, ...]``. It can be trained
        further. If the network ends in a ReLU, the outputs are spikes, each of which stands for one threshold.

    Raises:
        TypeError: net is not a network.
        RuntimeError: the network has not been built.
        ValueError: the network holds a layer that cannot be converted, such as a maximum pooling, or no ReLU; the
            samples activate a ReLU nowhere; or an argument is out of range.
        ShapeError: the samples do not fit the network.
    """
    need_network("convert", net)
    within("convert: percentile", percentile, 0, 100, open_low=True)
    within("convert: v_init", v_init, 0, 1)
    if steps is None and net.takes_pictures:
        raise ValueError("convert: give steps, because the network takes inputs without a time axis")
    steps = None if steps is None else whole("convert: steps", steps)
    folded = net.fold()
    relus = {}
    for name, layer in folded.named():
        _check(name, layer)
        if isinstance(layer, ReLU):
            relus[layer] = name
    if not relus:
        raise ValueError("convert: the network has no ReLU to convert")
    measured = _measured(folded, relus, data, whole("convert: batch_size", batch_size), percentile)
    thresholds = {layer: largest.value() for layer, largest in measured.items()}
    for layer, threshold in thresholds.items():
        if not threshold:
            raise ValueError(f"convert: the samples activate no unit of {relus[layer]} (ReLU), so it has no threshold")
    made = _Made(thresholds, v_init)
    layers, _ = made.chain([folded], 1.0)
    shape = folded.input_shape
    if steps is not None:
        once = next(k for k, layer in enumerate(layers) if any(isinstance(part, IF) for part in layer.walk()))
        layers = [Repeat(steps, *layers[:once]), *layers[once:]]
        shape = shape if net.takes_pictures else shape[1:]
    spiking = Sequential(*layers, name=net.name).build(shape).to(net.device, net.dtype)
    made.fill(spiking)
    return spiking


def _check(name, layer):
    """Refuse a layer that cannot be converted."""
    kind = type(layer).__name__
    if type(layer) in (*WEIGHTED, *LINEAR, ReLU, *CONTAINERS):
        if getattr(layer, "join", "add") == "add":
            return
        hint = f"the join {layer.join!r} is one of spikes; convert takes 'add'"
    elif isinstance(layer, MaxPool1d | MaxPool2d):
        hint = f"the largest of several firing rates is not a rate of spikes; train the network with Avg{kind[3:]}"
    elif isinstance(layer, Neuron):
        hint = "it spikes already"
    else:
        hint = f"convert takes {TAKEN}"
    raise ValueError(f"convert: {name} ({kind}) cannot be converted: {hint}")


def _measured(net, relus, data, size, percentile):
    """Return a `_Largest` of the activations of every ReLU on the samples."""
    batches: Any
    if isinstance(data, np.ndarray):
        samples = data.shape[0 if net.takes_pictures else 1] if data.ndim > 1 else 1
        batches = [data]
    elif callable(getattr(data, "batch", None)) and hasattr(data, "__len__") and not isinstance(data, type):
        samples = len(data)
        inputs = (data.batch(range(k, min(samples, k + size)))[0] for k in range(0, samples, size))
        batches = (x if x.dtype == np.uint8 else x.astype(net.dtype, copy=False) for x in inputs)
    else:
        raise TypeError(f"convert: data must be a dataset or an array of inputs; got {type(data).__name__}")
    found: dict = {}
    for batch in batches:
        net.forward(net.admit(batch))
        for layer in relus:
            steps, _, *units = layer.output_shape
            largest = found.setdefault(layer, _Largest(percentile, samples * steps * prod(units)))
            largest.add(net.kernels.to_host(layer.output).reshape(-1))
    return found


class _Largest:
    """A percentile of the positive numbers among many, of which only the largest ones are kept.

    Args:
        percentile: the percentile, in percent.
        total: how many numbers there will be in all.
    """

    def __init__(self, percentile, total):
        self.share = 1 - percentile / 100
        self.room = ceil(self.share * total) + 2
        self.count, self.top = 0, np.empty(0)

    def add(self, numbers):
        positive = numbers[numbers > 0]
        self.count += positive.size
        self.top = np.concatenate([self.top, positive])
        if self.top.size > self.room:
            self.top = np.partition(self.top, -self.room)[-self.room :]

    def value(self):
        """Return the percentile, interpolated between its two neighbours; 0 if no number was positive."""
        if not self.count:
            return 0.0
        place = self.share * (self.count - 1)
        falling = np.sort(self.top)[::-1]
        upper, lower = falling[floor(place)], falling[min(ceil(place), self.count - 1)]
        return float(upper + (place - floor(place)) * (lower - upper))


class _Made:
    """The layers of the spiking network, and the weights that they will get.

    The unit of a layer's output is what one spike of it stands for; 1 if the output is a number of the trained network.

    Args:
        thresholds: threshold of every ReLU.
        v_init: potential before the first step, in thresholds.
    """

    def __init__(self, thresholds, v_init):
        self.thresholds, self.v_init = thresholds, v_init
        self.weights = []

    def chain(self, layers, unit):
        """Return copies of layers that follow one another, and the unit of their output, for the unit of their
        input."""
        copies: list[Layer] = []
        for layer in layers:
            more, unit = self.copy(layer, unit)
            copies += more
        return copies, unit

    def copy(self, layer, unit):
        """Return copies that take the place of a layer, and the unit of their output."""
        if isinstance(layer, Sequential):  # a Repeat is one, too
            return self.chain(layer.layers, unit)
        if isinstance(layer, Residual):
            shortcut = [] if layer.shortcut is None else [layer.shortcut]
            (branch, side), unit = self.joined(layer, [layer.branch, shortcut], unit)
            return [Residual(*branch, shortcut=Sequential(*side) if side else None, name=layer.name)], unit
        if isinstance(layer, Concat):
            parts = [[] if branch is None else [branch] for branch in layer.branches]
            paths, unit = self.joined(layer, parts, unit)
            return [Concat(*(Sequential(*path) if path else None for path in paths), name=layer.name)], unit
        if isinstance(layer, ReLU):
            unit = self.thresholds[layer]
            options: Any = {"v_init": self.v_init * unit} if self.v_init else {}
            return [IF(v_threshold=unit, v_reset=None, name=layer.name, **options)], unit
        copy: Any = Described.from_description(layer.description())
        if not isinstance(layer, WEIGHTED):
            return [copy], unit
        copy.way, to_host = layer.way, layer.kernels.to_host
        offset = None if layer.offset is None else to_host(layer.offset.value)
        self.weights.append((copy, to_host(layer.weight.value) * unit, offset))
        return [copy], 1.0

    def joined(self, container, paths, unit):
        """Return copies of paths that lie side by side, and the unit of all their outputs: paths of different units
        end in a layer that multiplies."""
        made, units = zip(*(self.chain(path, unit) for path in paths), strict=True)
        if len(set(units)) == 1:
            return made, units[0]
        for source, path, unit in zip(paths, made, units, strict=True):
            if unit != 1:
                path.append(self.multiplier(source[-1].output_shape if source else container.input_shape, unit))
        return made, 1.0

    def multiplier(self, shape, factor):
        """Return a layer that multiplies an input of this shape by a factor."""
        channels = shape[-1]
        if len(shape) == 3:
            layer: Any = Linear(channels, channels, bias=False)
            weight = np.eye(channels)
        else:
            layer = (Conv1d if len(shape) == 4 else Conv2d)(channels, channels, 1, groups=channels)
            weight = np.ones((*[1] * (len(shape) - 2), channels))
        self.weights.append((layer, weight * factor, None))
        return layer

    def fill(self, spiking):
        """Set the weights of the built network."""
        names = {layer: name for name, layer in spiking.named()}
        state = spiking.state()
        for layer, weight, offset in self.weights:
            state[f"{names[layer]}.weight"] = weight
            if offset is not None:
                state[f"{names[layer]}.bias"] = offset
        spiking.load_state(state)
