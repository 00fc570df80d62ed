"""Layers. A layer owns its parameters and buffers and calls kernels, which do all the numerical work."""

from .base import Layer
from .branches import Concat, Residual
from .container import Repeat, Sequential
from .conv import Conv1d, Conv2d, ConvTranspose2d
from .custom_neuron import CustomNeuron, Value
from .delay import Delay
from .dense import Linear
from .encode import Poisson
from .graph import Graph
from .mode import INFERENCE, TRAINING, Mode
from .neuron import Neuron
from .neuron_run import Trace
from .neurons import ALIF, IF, LI, LIF, PLIF, CubaLIF, RecurrentALIF, RecurrentCubaLIF, RecurrentLIF
from .norm import BatchNorm
from .norm_group import GroupNorm, LayerNorm
from .norm_steps import BNTT, TEBN
from .parameter import Parameter
from .pool import AvgPool1d, AvgPool2d, GlobalAvgPool2d, MaxPool1d, MaxPool2d, SumPool1d, SumPool2d
from .regularizer import Divergence, RateBand, SpikePenalty
from .relu import ReLU
from .route import Routed, set_precision, set_route
from .shape import Dropout, Flatten
from .state import LoadReport

__all__ = [
    "ALIF",
    "BNTT",
    "IF",
    "INFERENCE",
    "LI",
    "LIF",
    "PLIF",
    "TEBN",
    "TRAINING",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "Concat",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "CubaLIF",
    "CustomNeuron",
    "Delay",
    "Divergence",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "Graph",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "Linear",
    "LoadReport",
    "MaxPool1d",
    "MaxPool2d",
    "Mode",
    "Neuron",
    "Parameter",
    "Poisson",
    "RateBand",
    "ReLU",
    "RecurrentALIF",
    "RecurrentCubaLIF",
    "RecurrentLIF",
    "Repeat",
    "Residual",
    "Routed",
    "Sequential",
    "SpikePenalty",
    "SumPool1d",
    "SumPool2d",
    "Trace",
    "Value",
    "set_precision",
    "set_route",
]
