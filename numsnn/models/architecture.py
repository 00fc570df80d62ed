"""Networks from a line of text as papers write it: "32c3-64c3-p2-128"."""

import re
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ..capacity import need_memory
from ..describe import Described
from ..layers import (
    LIF,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    Neuron,
    ReLU,
    Repeat,
    Residual,
    Sequential,
)
from ..names import choice
from ..shown import shown
from ..validate import flag, instance, listed, text, whole

GRAMMAR = (
    "32c3 (convolution, 32 channels, 3x3, same size), 32c3d2 (with dilation 2), 32r3 (residual block), p2 and mp2 "
    "(average and maximum pooling), gp (global average pooling), d0.3 (dropout), 128 (linear)"
)
NORMS = ("bn", "tdbn", "none")
LONGEST_PART = 60
"""Letters of the longest part: larger numbers than fit are no sizes."""


def from_string(
    architecture: str,
    sample_shape: tuple[int, ...],
    classes: int,
    steps: int | None = 4,
    neuron: Neuron | ReLU | None = None,
    norm: str = "bn",
    spiking_readout: bool = False,
    after_neuron: Layer | None = None,
) -> Sequential:
    """Return a network of convolutions, pooling and linear layers.

    A normalisation and a neuron layer follow every layer with weights. A Linear readout, without these, ends the
    network.

    Args:
        architecture: parts joined by "-": ``32c3`` is a convolution with 32 channels and kernel size 3x3 that keeps the
            size of the picture; ``32c3d2`` the same with dilation 2; ``32r3`` a residual block of two convolutions
            (Residual with join "add", and a 1x1 convolution in the shortcut if the number of channels changes); ``p2``
            average pooling and ``mp2`` maximum pooling; ``gp`` global average pooling; ``d0.3`` dropout; ``128`` a
            linear layer.
        sample_shape: shape of one sample: ``(H, W, C)`` or ``(F,)``; for sequences without T, ``sample_shape[1:]`` of
            their dataset.
        classes: K, the number of outputs of the readout.
        steps: T of the direct encoding: the first layer with weights and its normalisation are computed once and their
            result is repeated. None for inputs that have a time axis. Default 4.
        neuron: neuron layer that is copied for every neuron layer. Default ``LIF(pda=True)``. With ``ReLU()`` and one
            step the network does not spike, see `snn.convert`.
        norm: "bn" (default), "tdbn" (scaled by the neuron's threshold) or "none" (a bias instead).
        spiking_readout: end in neurons, for losses that count spikes. Default False.
        after_neuron: layer that is copied behind every hidden neuron layer, such as a `RateBand`. Default None: none.

    Raises:
        ValueError: a part of the architecture is unknown, or it has convolutions but a sample has no positions; or an
            argument is out of range.
        TypeError: neuron or after_neuron is not a layer.
    """
    choice("from_string: norm", norm, NORMS)
    flag("from_string: spiking_readout", spiking_readout)
    whole("from_string: classes", classes)
    if steps is not None:
        whole("from_string: steps", steps)
    if after_neuron is not None:
        instance("from_string: after_neuron", after_neuron, Layer, "a layer, such as snn.RateBand(0.02, 0.5)")
    sizes = listed("from_string: sample_shape", sample_shape, "sizes: (H, W, C) or (F,)")
    shape = tuple(whole("from_string: sample_shape", extent) for extent in sizes)
    need_memory(f"from_string: sample_shape {shown(shape)}: one sample", 4 * prod(shape))
    make = copies_of("from_string: neuron", neuron, lambda: LIF(pda=True))
    text("from_string: architecture", architecture)
    parts = _Parts(shape, make, norm, after_neuron)
    for token in filter(None, architecture.strip().split("-")):
        parts.append(token)
    parts.flatten()
    head = [Linear(parts.features, classes)]
    if spiking_readout:
        head.append(parts.make_neuron())
    layers = [*parts.layers, *head]
    if steps is not None:
        once = _first_weight_block(layers)
        layers = [Repeat(steps, *layers[:once]), *layers[once:]]
    return Sequential(*layers)


def copies_of(what: str, neuron: Layer | None, default: Callable[[], Layer]) -> Callable[[], Any]:
    """Return a function that returns a new layer like the given neuron layer at each call, without its name.

    Args:
        what: the argument; messages begin with it.
        neuron: the layer; None stands for default().
        default: function that makes a layer.

    Raises:
        TypeError: the object is not a neuron layer, a ReLU or a layer from outside the package.
    """
    if neuron is None:
        neuron = default()
    instance(what, neuron, Layer, "a neuron layer, such as snn.LIF()")
    if not isinstance(neuron, Neuron | ReLU) and not neuron.foreign:
        raise TypeError(f"{what} must be a neuron layer, such as snn.LIF(); got {shown(neuron)}")
    description = neuron.description() | {"name": None}
    return lambda: Described.from_description(description)


def threshold_of(what: str, neuron: Layer) -> float:
    """Return the threshold of a neuron layer, by which a normalisation is scaled; 1 for a layer without a threshold.

    Raises:
        ValueError: the threshold is one number per channel; the message begins with what.
    """
    threshold = getattr(neuron, "v_threshold", 1.0)
    if np.ndim(threshold):
        raise ValueError(f"{what} must have one v_threshold, which scales normalisations; got {shown(threshold)}")
    return float(threshold)


class _Parts:
    """The layers so far, and the shape of their output."""

    def __init__(self, shape, make_neuron, norm, after_neuron):
        if len(shape) not in (1, 3):
            hint = f". For sequences, whose shape begins with T: sample_shape={shape[1:]}, steps=None"
            more = f"; for grey pictures: sample_shape={(*shape, 1)}" if len(shape) == 2 else ""
            known = hint + more if len(shape) in (2, 4) else ""
            raise ValueError(f"sample_shape must be (H, W, C) or (F,); got {shape}{known}")
        self.shape, self.norm, self.layers = shape, norm, []
        self.make_neuron = make_neuron
        self.v_threshold = threshold_of("from_string: neuron", make_neuron()) if norm == "tdbn" else 1.0
        self.followers = []
        if after_neuron is not None:
            follower = after_neuron.description() | {"name": None}
            self.followers.append(lambda: Described.from_description(follower))

    @property
    def features(self):
        return self.shape[-1]

    def hidden(self):
        """Return a new hidden neuron layer, and the layer that follows it if there is one."""
        return [self.make_neuron(), *(make() for make in self.followers)]

    def normalise(self, channels):
        if self.norm == "none":
            return []
        return [BatchNorm(channels, v_threshold=self.v_threshold)]

    def append(self, token):
        patterns: dict[str, Callable[..., None]] = {
            r"(\d+)c(\d+)": self.convolution,
            r"(\d+)c(\d+)d(\d+)": self.convolution,
            r"(\d+)r(\d+)": self.residual,
            r"p(\d+)": lambda size: self.pool(AvgPool2d, size),
            r"mp(\d+)": lambda size: self.pool(MaxPool2d, size),
            r"gp": self.global_pool,
            r"(\d+)": self.dense,
        }
        for pattern, build in patterns.items():
            if (match := re.fullmatch(pattern, token, re.ASCII)) and len(token) <= LONGEST_PART:
                return build(*(whole(f"architecture: {token}", int(size)) for size in match.groups()))
        if match := re.fullmatch(r"d(0?\.\d+)", token):
            return self.layers.append(Dropout(float(match.group(1))))
        raise ValueError(f"architecture: unknown part {shown(token, 30)}; parts are {GRAMMAR}")

    def need_positions(self, what):
        if len(self.shape) != 3:
            raise ValueError(f"architecture: {what} needs pictures (H, W, C); its input has shape {self.shape}")

    def convolved(self, channels_in, channels, kernel, dilation=1):
        options = {"padding": dilation * (kernel // 2), "bias": self.norm == "none", "dilation": dilation}
        return [Conv2d(channels_in, channels, kernel, **options), *self.normalise(channels)]

    def convolution(self, channels, kernel, dilation=1):
        self.need_positions("a convolution")
        self.layers += [*self.convolved(self.features, channels, kernel, dilation), *self.hidden()]
        self.resize(kernel, channels, dilation)

    def resize(self, kernel, channels, dilation):
        grown = dilation * (2 * (kernel // 2) - kernel + 1)  # an even kernel size adds rows and columns
        self.shape = (self.shape[0] + grown, self.shape[1] + grown, channels)

    def residual(self, channels, kernel):
        self.need_positions("a residual block")
        if kernel % 2 == 0:
            raise ValueError(f"architecture: a residual block needs an odd kernel size; got {channels}r{kernel}")
        branch = [*self.convolved(self.features, channels, kernel), *self.hidden()]
        branch += self.convolved(channels, channels, kernel)
        shortcut = None if self.features == channels else Sequential(*self.convolved(self.features, channels, 1))
        self.layers += [Residual(*branch, shortcut=shortcut), *self.hidden()]
        self.shape = (*self.shape[:2], channels)

    def pool(self, kind, size):
        self.need_positions("pooling")
        self.layers.append(kind(size))
        self.shape = (self.shape[0] // size, self.shape[1] // size, self.features)
        if 0 in self.shape:
            raise ValueError(f"architecture: nothing is left of the picture after pooling by {size}")

    def global_pool(self):
        self.need_positions("global pooling")
        self.layers.append(GlobalAvgPool2d())
        self.shape = (self.features,)

    def flatten(self):
        if len(self.shape) == 3:
            self.layers.append(Flatten())
            height, width, channels = self.shape
            self.shape = (height * width * channels,)

    def dense(self, units):
        self.flatten()
        self.layers += [Linear(self.features, units, bias=self.norm == "none"), *self.normalise(units), *self.hidden()]
        self.shape = (units,)


def _first_weight_block(layers):
    """Return the number of first layers whose input is the same at every step: up to the first neuron, ReLU, residual
    or dropout.
    """
    for k, layer in enumerate(layers):
        if isinstance(layer, Neuron | ReLU | Residual | Dropout):
            return k
    return len(layers)
