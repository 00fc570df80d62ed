"""Chooses among the ways of the route dense for few outputs, by their costs: `planes`, `few` or a matrix product."""

from functools import lru_cache
from math import ceil

from . import few, planes, product


@lru_cache(4096)
def narrow_way(taps, channels, outputs, stride, extent, weight_gradient=False):
    """The way of the route dense for few outputs, `planes` or `few`, or None if a matrix product is faster.

    Args:
        taps: offsets of the taps, a pair of tuples as of `product.correlate`.
        channels, outputs: numbers of input and output channels.
        stride: pair (vertical, horizontal).
        extent: (height, width) of the output.
        weight_gradient: whether the gradient of the weights is computed, or else a convolution.
    """
    if outputs > planes.MOST_OUTPUTS:
        return None
    taps_of = tuple(len(set(offsets)) for offsets in taps)
    return cheapest(taps_of, few.runs_of(taps), channels, outputs, tuple(stride), tuple(extent), weight_gradient)[0]


@lru_cache(4096)
def cheapest(taps, runs, channels, outputs, stride, extent, weight_gradient):
    """The way as of `narrow_way` for numbers of taps (vertical, horizontal) that form `runs` runs, and its nanoseconds
    per position."""
    sizes = channels, outputs, stride, extent, weight_gradient
    found = {planes: planes.cost(taps, *sizes), None: product.narrow_cost(taps, *sizes)}
    if outputs <= few.MOST_OUTPUTS:
        found[few] = few.cost(taps, runs, *sizes)
    way = min(found, key=found.get)
    return way, found[way]


def narrow_of(passing, weights, extent, stride):
    """The same for a pass, weights of this shape and an output of this extent."""
    sizes = sizes_of(passing, weights, stride)
    if sizes[2] > planes.MOST_OUTPUTS:
        return None, 0.0
    return cheapest(sizes[0], sizes[0][0], *sizes[1:], tuple(extent), passing == "weight")


def sizes_of(passing, weights, stride):
    """The taps, channels, outputs and stride of a pass. The input gradient is computed for one class of pixels after
    the other, and its positions are those of a class."""
    kh, kw, inputs, outputs = weights
    if passing == "input":
        return (ceil(kh / stride[0]), ceil(kw / stride[1])), outputs, inputs, (1, 1)
    return (kh, kw), inputs, outputs, tuple(stride)
