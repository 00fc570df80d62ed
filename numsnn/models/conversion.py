"""Spiking networks from trained networks of rectified linear units (ANN to SNN, by threshold balancing)."""

from __future__ import annotations

from math import ceil, floor, prod
from typing import Any

import numpy as np

from ..describe import Described
from ..layers import (
    IF,
    AvgPool1d,
    AvgPool2d,
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
    Sequential,
    SumPool1d,
    SumPool2d,
)
from ..validate import whole, within

WEIGHTED = Conv1d, Conv2d, ConvTranspose2d, Linear
LINEAR = AvgPool1d, AvgPool2d, SumPool1d, SumPool2d, GlobalAvgPool2d, Flatten, Dropout
"""Layers with weights, and layers that commute with a factor and are therefore copied."""

TAKEN = "convolutions, Linear, ReLU, sum and average pooling, Flatten, Dropout, and BatchNorm behind weights"


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
    The weights behind are multiplied by the threshold. All other numbers stay those of the trained network, and so the
    readout, averaged over the steps, approaches the output of the trained network. Every `BatchNorm` is folded into the
    weights in front of it. Sources: Diehl et al. 2015 (doi:10.1109/IJCNN.2015.7280696) for the largest activation,
    Rueckauer et al. 2017 (doi:10.3389/fnins.2017.00682) for the percentile and the soft reset.

    Args:
        net: a built network of convolutions, `Linear`, `BatchNorm` behind these, `ReLU`, sum and average pooling,
            `Flatten` and `Dropout`, in a `Sequential`, which may begin with a `Repeat`. It does not change.
        data: samples that determine the thresholds, best of the training set: a dataset, or an array of inputs as for
            the network's own call. Labels are not used.
        steps: T. The converted network takes a picture or feature vector as a constant input current, through
            ``Repeat(T, ...)``. Default None, for a network whose inputs have a time axis: so have those of the
            converted network.
        percentile: percentile of a layer's positive activations that is its threshold, in (0, 100]; 100 is the largest
            activation. Larger activations saturate. A smaller threshold needs fewer steps. Default 99.9.
        v_init: potential before the first step, in thresholds. 0.5 rounds the number of spikes to the nearest one
            instead of down, which needs fewer steps (Bu et al. 2022, arXiv:2303.04347). Default 0.
        batch_size: samples per pass through the network, if data is a dataset. Default 100.

    Returns:
        a built network on the same device and of the same dtype, ``[N, ...]`` -> ``[T, N, ...]``. It can be trained
        further. If the network ends in a ReLU, the outputs are spikes, each of which stands for one threshold.

    Raises:
        RuntimeError: the network has not been built.
        ValueError: the network holds a layer that cannot be converted, such as a maximum pooling, or no ReLU; the
            samples activate a ReLU nowhere; or an argument is out of range.
        ShapeError: the samples do not fit the network.
    """
    within("convert: percentile", percentile, 0, 100, open_low=True)
    within("convert: v_init", v_init, 0, 1)
    if steps is None and net.takes_pictures:
        raise ValueError("convert: give steps, because the network takes inputs without a time axis")
    steps = None if steps is None else whole("convert: steps", steps)
    folded = net.fold()
    chain = list(_chain(folded))
    names = {layer: name for name, layer in folded.named()}
    for layer in chain:
        _check(names[layer], layer)
    if not any(isinstance(layer, ReLU) for layer in chain):
        raise ValueError("convert: the network has no ReLU to convert")
    measured = _measured(folded, chain, data, whole("convert: batch_size", batch_size), percentile)
    thresholds = {layer: largest.value() for layer, largest in measured.items()}
    for layer, threshold in thresholds.items():
        if not threshold:
            raise ValueError(f"convert: the samples activate no unit of {names[layer]} (ReLU), so it has no threshold")
    copies, factors = _copies(chain, thresholds, v_init)
    first = next(k for k, layer in enumerate(copies) if isinstance(layer, IF))
    shape = folded.input_shape
    if steps is not None:
        copies = [Repeat(steps, *copies[:first]), *copies[first:]]
        shape = shape if net.takes_pictures else shape[1:]
    spiking = Sequential(*copies, name=net.name).build(shape).to(net.device, net.dtype)
    _fill(spiking, chain, factors)
    return spiking


def _chain(net):
    """Yield the layers of a network that follow one another."""
    if isinstance(net, Sequential):  # a Repeat is one, too
        for layer in net.layers:
            yield from _chain(layer)
    else:
        yield net


def _check(name, layer):
    """Refuse a layer that cannot be converted."""
    if type(layer) in (*WEIGHTED, *LINEAR, ReLU):
        return
    kind, hint = type(layer).__name__, f"convert takes {TAKEN}"
    if isinstance(layer, MaxPool1d | MaxPool2d):
        hint = f"the largest of several firing rates is not a rate of spikes; train the network with Avg{kind[3:]}"
    elif isinstance(layer, Neuron):
        hint = "it spikes already"
    raise ValueError(f"convert: {name} ({kind}) cannot be converted: {hint}")


def _measured(net, chain, data, size, percentile):
    """Return a `_Largest` of the activations of every ReLU on the samples."""
    batches: Any
    if isinstance(data, np.ndarray):
        samples = data.shape[0 if net.takes_pictures else 1] if data.ndim > 1 else 1
        batches = [data]
    elif hasattr(data, "batch"):
        samples = len(data)
        inputs = (data.batch(range(k, min(samples, k + size)))[0] for k in range(0, samples, size))
        batches = (x if x.dtype == np.uint8 else x.astype(net.dtype, copy=False) for x in inputs)
    else:
        raise TypeError(f"convert: data must be a dataset or an array of inputs; got {type(data).__name__}")
    found: dict = {}
    for batch in batches:
        net.forward(net.admit(batch))
        for layer in chain:
            if isinstance(layer, ReLU):
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


def _copies(chain, thresholds, v_init):
    """Return the layers of the spiking network, and for every layer the factor of its weights: what a spike of the
    layer in front stands for."""
    copies, factors, unit = [], [], 1.0
    for layer in chain:
        factors.append(unit)
        if isinstance(layer, ReLU):
            unit = thresholds[layer]
            options: Any = {"v_init": v_init * unit} if v_init else {}
            copies.append(IF(v_threshold=unit, v_reset=None, name=layer.name, **options))
        else:
            copies.append(Described.from_description(layer.description()))
    return copies, factors


def _fill(spiking, chain, factors):
    """Give the spiking network the routes and weights of the layers that it was made of, and the weights a factor."""
    state = spiking.state()
    made = [(name, layer) for name, layer in spiking.named() if not layer.container]
    for (name, layer), source, factor in zip(made, chain, factors, strict=True):
        if isinstance(layer, WEIGHTED):
            layer.way = source.way
            to_host = source.kernels.to_host
            state[f"{name}.weight"] = to_host(source.weight.value) * np.asarray(factor, source.dtype)
            if source.offset is not None:
                state[f"{name}.bias"] = to_host(source.offset.value)
    spiking.load_state(state)
