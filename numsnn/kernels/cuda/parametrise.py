"""Constrained parameters, as CUDA kernels. `reference.parametrise` documents them."""

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
        """Compute the gradient of one raw value per layer. A single block sums over all channels."""
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
def _same(raw):
    return raw


@device
def _positive_slope(natural):
    """P2: the derivative of natural by raw, as a function of natural."""
    return natural


@device
def _unit_slope(natural):
    """N14: the derivative of natural by raw, as a function of natural."""
    return natural * (type(natural)(1) - natural)


@device
def _free_slope(natural):
    """N15: the derivative of natural by raw."""
    return type(natural)(1)


class _Constraint:
    """The kernels of one constraint, made from its function of raw and its slope."""

    def __init__(self, function, slope):
        self._natural, self._channels = _forward_kernel(function), _channel_kernel(slope)
        self._layer = {np.dtype(real): _layer_kernel(slope, real) for real in (np.float32, np.float64)}

    def forward(self, raw, natural):
        launch_flat(self._natural, natural.size, raw, int(raw.size > 1), natural)

    def backward(self, dnatural, natural, draw):
        if draw.size == 1:
            launch(self._layer[natural.dtype], 1, (1, min(THREADS, natural.size)), dnatural, natural, draw)
        else:
            launch_flat(self._channels, natural.size, dnatural, natural, draw)


_positive = _Constraint(_exp, _positive_slope)
_unit = _Constraint(eq.logistic_cdf, _unit_slope)
_free = _Constraint(_same, _free_slope)


def positive_forward(raw, natural):
    """See `reference.parametrise.positive_forward`."""
    _positive.forward(raw, natural)


def positive_backward(dnatural, natural, draw):
    """See `reference.parametrise.positive_backward`."""
    _positive.backward(dnatural, natural, draw)


def unit_forward(raw, natural):
    """See `reference.parametrise.unit_forward`."""
    _unit.forward(raw, natural)


def unit_backward(dnatural, natural, draw):
    """See `reference.parametrise.unit_backward`."""
    _unit.backward(dnatural, natural, draw)


def free_forward(raw, natural):
    """See `reference.parametrise.free_forward`."""
    _free.forward(raw, natural)


def free_backward(dnatural, natural, draw):
    """See `reference.parametrise.free_backward`."""
    _free.backward(dnatural, natural, draw)
