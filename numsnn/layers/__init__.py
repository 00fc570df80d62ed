"""Layers: each owns its parameters and buffers and calls kernels; none holds maths of its own."""

from .base import INFERENCE, TRAINING, Layer, Mode
from .container import Repeat, Residual, Sequential
from .dense import Conv2d, Linear
from .neuron import LIF
from .norm import BatchNorm
from .parameter import Parameter
from .pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from .shape import Dropout, Flatten

__all__ = [
    "INFERENCE", "LIF", "TRAINING", "AvgPool2d", "BatchNorm", "Conv2d", "Dropout", "Flatten", "GlobalAvgPool2d",
    "Layer", "Linear", "MaxPool2d", "Mode", "Parameter", "Repeat", "Residual", "Sequential",
]  # fmt: skip
