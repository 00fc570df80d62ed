"""Constrained parameters; `reference.parametrise` is the text it equals."""

import math

import numpy as np

from .. import equations as eq
from .inline.rows import THREADS, sum_lanes
from .run.api import cuda
from .run.compile import device, kernel
from .run.launch import launch, launch_flat


def _forward_kernel(function):

    @kernel
    def natural_channels(raw, stride, natural, count):
        for c in range(cuda.grid(1), count, cuda.gridsize(1)):
            natural[c] = function(raw[c * stride])

    return natural_channels


def _channel_kernel(slope):
    @kernel
    def draw_channels(dnatural, natural, draw, count):
        for c in range(cuda.grid(1), count, cuda.gridsize(1)):
            draw[c] = dnatural[c] * slope(natural[c])

    return draw_channels


def _layer_kernel(slope, dtype):
    @kernel
    def draw_layer(dnatural, natural, draw):
        """One block sums over all channels."""
        room = cuda.shared.array(THREADS, dtype)
        total = natural.dtype.type(0)
        for c in range(cuda.threadIdx.y, natural.shape[0], cuda.blockDim.y):
            total += dnatural[c] * slope(natural[c])
        total = sum_lanes(room, total)
        if cuda.threadIdx.y == 0:
            draw[0] = total

    return draw_layer


@device
def _exp(raw):
    return math.exp(raw)


@device
def _positive_slope(natural):
    """d natural / d raw, of what natural is."""
    return natural


@device
def _unit_slope(natural):
    """d natural / d raw, of what natural is."""
    return natural * (type(natural)(1) - natural)


_positive, _unit = _forward_kernel(_exp), _forward_kernel(eq.logistic_cdf)
_positive_channels, _unit_channels = _channel_kernel(_positive_slope), _channel_kernel(_unit_slope)
_positive_layer, _unit_layer = (
    {np.dtype(real): _layer_kernel(slope, real) for real in (np.float32, np.float64)}
    for slope in (_positive_slope, _unit_slope)
)


def _backward(channels, layer, dnatural, natural, draw):
    if draw.size == 1:
        launch(layer[natural.dtype], 1, (1, min(THREADS, natural.size)), dnatural, natural, draw)
    else:
        launch_flat(channels, natural.size, dnatural, natural, draw)


def positive_forward(raw, natural):
    """See `reference.parametrise.positive_forward`."""
    launch_flat(_positive, natural.size, raw, int(raw.size > 1), natural)


def positive_backward(dnatural, natural, draw):
    """See `reference.parametrise.positive_backward`."""
    _backward(_positive_channels, _positive_layer, dnatural, natural, draw)


def unit_forward(raw, natural):
    """See `reference.parametrise.unit_forward`."""
    launch_flat(_unit, natural.size, raw, int(raw.size > 1), natural)


def unit_backward(dnatural, natural, draw):
    """See `reference.parametrise.unit_backward`."""
    _backward(_unit_channels, _unit_layer, dnatural, natural, draw)
