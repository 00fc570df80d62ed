"""Networks from the line of text that papers use: "32c3-64c3-p2-128"."""

import re
from collections.abc import Callable

from ..describe import Described
from ..layers import (
    LIF,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    Neuron,
    Repeat,
    Residual,
    Sequential,
)
from ..names import choice
from ..validate import whole

GRAMMAR = (
    "32c3 (convolution, 32 channels, 3x3, same size), 32r3 (residual block), p2 and mp2 (average and maximum pooling), "
    "gp (global average), d0.3 (dropout), 128 (fully connected)"
)
NORMS = ("bn", "tdbn", "none")


def from_string(
    architecture: str,
    sample_shape: tuple[int, ...],
    classes: int,
    steps: int | None = 4,
    neuron: Neuron | None = None,
    norm: str = "bn",
    spiking_readout: bool = False,
) -> Sequential:
    """A network of convolutions, pooling and fully connected layers.

    Every weight layer is followed by normalisation and neurons; at the end stands a Linear readout, which is not.

    Args:
        architecture: parts joined by "-": ``32c3`` a convolution with 32 channels and a 3x3 kernel that keeps the size,
            ``32r3`` a residual block of two of them (Residual join by add; a 1x1 convolution in the shortcut where the
            channels change), ``p2`` average and ``mp2`` maximum pooling, ``gp`` global average pooling, ``d0.3``
            dropout, ``128`` a fully connected layer.
        sample_shape: of one sample: ``(H, W, C)`` or ``(F,)``.
        classes: K, outputs of the readout.
        steps: T of the direct encoding: the first weight layer and its normalisation are computed once and repeated;
            None for inputs that have a time axis already.
        neuron: what to copy for every neuron layer; default ``LIF(pda=True)``.
        norm: "bn" (default), "tdbn" (scaled by the neuron's threshold) or "none" (a bias instead).
        spiking_readout: end in neurons, for losses that count spikes.

    Raises:
        ValueError: a part that is not understood, or convolutions on a sample without positions.
    """
    choice("norm", norm, NORMS)
    parts = _Parts(tuple(sample_shape), neuron or LIF(pda=True), norm)
    for token in filter(None, architecture.strip().split("-")):
        parts.append(token)
    parts.flatten()
    head = [Linear(parts.features, whole("classes", classes))]
    if spiking_readout:
        head.append(parts.neuron())
    layers = [*parts.layers, *head]
    if steps is not None:
        once = _first_weight_block(layers)
        layers = [Repeat(steps, *layers[:once]), *layers[once:]]
    return Sequential(*layers)


class _Parts:
    """The layers so far, and the size of what comes out of them."""

    def __init__(self, shape, neuron, norm):
        if len(shape) not in (1, 3):
            raise ValueError(f"sample_shape must be (H, W, C) or (F,); got {shape}")
        self.shape, self.template, self.norm, self.layers = shape, neuron, norm, []

    @property
    def features(self):
        return self.shape[-1]

    def neuron(self):
        return Described.from_description({**self.template.description(), "name": None})

    def normalise(self, channels):
        if self.norm == "none":
            return []
        threshold = float(self.template.v_threshold) if self.norm == "tdbn" else 1.0
        return [BatchNorm(channels, v_threshold=threshold)]

    def append(self, token):
        patterns: dict[str, Callable[..., None]] = {
            r"(\d+)c(\d+)": self.convolution,
            r"(\d+)r(\d+)": self.residual,
            r"p(\d+)": lambda size: self.pool(AvgPool2d, size),
            r"mp(\d+)": lambda size: self.pool(MaxPool2d, size),
            r"gp": self.global_pool,
            r"(\d+)": self.dense,
        }
        for pattern, build in patterns.items():
            if match := re.fullmatch(pattern, token):
                return build(*map(int, match.groups()))
        if match := re.fullmatch(r"d(0?\.\d+)", token):
            return self.layers.append(Dropout(float(match.group(1))))
        raise ValueError(f"architecture: {token!r} is not understood; parts are {GRAMMAR}")

    def need_positions(self, what):
        if len(self.shape) != 3:
            raise ValueError(f"architecture: {what} needs pictures (H, W, C); the data there have shape {self.shape}")

    def convolved(self, channels_in, channels, kernel):
        padded = Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=self.norm == "none")
        return [padded, *self.normalise(channels)]

    def convolution(self, channels, kernel):
        self.need_positions("a convolution")
        self.layers += [*self.convolved(self.features, channels, kernel), self.neuron()]
        self.resize(kernel, channels)

    def resize(self, kernel, channels):
        grown = 2 * (kernel // 2) - kernel + 1  # an even kernel gains a row and a column
        self.shape = (self.shape[0] + grown, self.shape[1] + grown, channels)

    def residual(self, channels, kernel):
        self.need_positions("a residual block")
        if kernel % 2 == 0:
            raise ValueError(f"architecture: a residual block needs an odd kernel; got {channels}r{kernel}")
        branch = [*self.convolved(self.features, channels, kernel), self.neuron()]
        branch += self.convolved(channels, channels, kernel)
        shortcut = None if self.features == channels else Sequential(*self.convolved(self.features, channels, 1))
        self.layers += [Residual(*branch, shortcut=shortcut), self.neuron()]
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
        self.layers += [Linear(self.features, units, bias=self.norm == "none"), *self.normalise(units), self.neuron()]
        self.shape = (units,)


def _first_weight_block(layers):
    """How many layers from the start see the same input at every step: up to the first neuron, residual or dropout."""
    for k, layer in enumerate(layers):
        if isinstance(layer, Neuron | Residual | Dropout):
            return k
    return len(layers)
