"""Chooses the route of every convolution and matrix product.

    events     computes with active inputs only (`events`); for input gradients, computes visible elements only
               (`visible`)
    winograd   for 3x3 filters of stride 1 and dilation 1, with a quarter of the multiplications (`winograd`)
    dense      multiplies patches, read through offsets, with packed weights (`product`)
    grouped    for many small groups, such as in a depthwise convolution (`grouped`)

If the user asks for a route that a layer cannot take (such as Winograd's for a 1x1 filter), another route takes its
place. The cost of each route is estimated from the shapes and from the share of active inputs, with the constants of
this module. They were measured in nanoseconds of one core of the machine on which the kernels were tuned. Only their
ratios matter, and these follow from how many numbers a route reads and multiplies.
"""

from functools import cache
from math import ceil

import numpy as np

from ..types import AUTO
from .inline.blocks import panel_columns
from .ways import grouped
from .ways.panels import padded_columns

ROUTES = ("auto", "events", "winograd", "dense")
"""The routes of `types.ROUTES` that the CPU has."""

BLOCK_PRODUCT = 1 / 120, 1 / 92
"""Cost of one multiplication in a register block of a matrix product, with two vectors per row, and with one."""

EVENT_PRODUCT = {"forward": 1 / 45, "weight": 1 / 40, "input": 1 / 42}
"""Pass -> cost of one multiplication of an active (or visible) input. Reading rows from the second-level cache limits
its speed."""

EVENT_ROW = {"forward": 25, "weight": 1.5, "input": 1.2}
"""Pass -> further cost of the route events: forward per output pixel and block of columns, for the weight gradient per
active input and tap, for the input gradient per channel, visible or not."""

DENSE_POSITION, DENSE_NUMBER = 4, 0.1
"""Further cost of the route dense per position, and per input and output channel that is copied for it."""

TRANSFORM_TILE = {"forward": 90, "weight": 150, "input": 90}
TRANSFORM_NUMBER = {"forward": 0.14, "weight": 0.1, "input": 0.14}
"""Pass -> cost per Winograd tile, and per transformed number. A tile has 36 of these per channel."""


LEAST_CHANNELS = 8
"""Least number of input and output channels for which the route "auto" may choose Winograd's. Narrower layers gain
little, and keep the rounding of the plain sum."""

PREPARE = {"events": 0.1, "winograd": 1.2, "dense": 0.1}
"""Route -> cost per weight of packing or transforming it before the first output. It matters for few outputs."""


def choose(asked, passing, density, w, stride, groups, extent, ready=(), dilation=(1, 1)):
    """Choose the route of one call.

    Args:
        asked: one of `ROUTES`.
        passing: the pass, "forward", "weight" or "input".
        density: share of active inputs, or for "input" of visible elements; None if they were not counted.
        w: weights ``[kh, kw, I/groups, O]``, or their gradient.
        stride, groups: stride and number of groups of the convolution.
        extent: (number of images, height, width) of the output.
        ready: routes for which an earlier call has prepared the weights.
        dilation: dilation of the convolution.

    Returns:
        "events", "winograd", "dense" or "grouped".
    """
    if grouped.worth_it(w, groups):
        return "grouped"
    possible = {"dense"}
    fits = w.shape[:2] == (3, 3) and tuple(stride) == tuple(dilation) == (1, 1) and groups == 1
    if fits and (asked == "winograd" or min(w.shape[2:]) >= LEAST_CHANNELS):
        possible.add("winograd")
    if groups == 1 and density is not None:
        possible.add("events")
    if asked in possible:
        return asked
    if asked == "winograd":
        return "dense"
    if asked == "events":
        possible.discard("events")
    estimates = costs(passing, density, w.shape, extent, ready)
    return min(sorted(possible), key=estimates.get)


def costs(passing, density, weights, extent, ready=()):
    """The estimated cost per output pixel, by route. The arguments are those of `choose`; weights is the shape of w."""
    kh, kw, inputs, outputs = weights
    taps = kh * kw * inputs
    images, height, width = extent
    # The input gradient sums over output channels, and its columns are input channels.
    rows, columns = (kh * kw * outputs, inputs) if passing == "input" else (taps, outputs)
    tiles = ceil(height / 4) * ceil(width / 4) / (height * width)
    transforms = TRANSFORM_TILE[passing] + 36 * (inputs + outputs) * TRANSFORM_NUMBER[passing]
    found = {
        "dense": _product(rows, columns) + DENSE_POSITION + (inputs + outputs) * DENSE_NUMBER,
        "winograd": tiles * (36 * _product(rows // 9, columns) + transforms),
    }
    if density is not None:
        active = density * taps
        number = {"forward": 1, "weight": active, "input": inputs}[passing]
        found["events"] = active * outputs * EVENT_PRODUCT[passing] + number * EVENT_ROW[passing]
    if passing != "weight":
        share = taps * outputs / (images * height * width)
        found = {name: cost + share * PREPARE[name] * (name not in ready) for name, cost in found.items()}
    return found


def _product(rows, columns):
    """The cost of a row of a matrix product: `rows` multiplications for each of the columns, filled up to panels."""
    padded = padded_columns(columns, np.float32)
    last = padded % panel_columns(np.float32)
    return rows * ((padded - last) * BLOCK_PRODUCT[0] + last * BLOCK_PRODUCT[1])


def lacks(way, dtype):
    """See `reference.conv.lacks`."""
    if way.route not in ROUTES:
        return f"device 'cpu' has no route {way.route!r}, only {', '.join(map(repr, ROUTES))}"
    return None if way.precision == "float32" else "device 'cpu' has precision 'float32' only"


def visible_limit(w, geometry, way=AUTO):
    """See `reference.conv.visible_limit`."""
    return _visible_limit(w.shape, tuple(geometry.stride), geometry.groups, way.route, tuple(geometry.dilation))


@cache
def _visible_limit(shape, stride, groups, route, dilation):
    """The limit for weights of a shape. It is asked for at every pass of a network."""
    w = np.broadcast_to(0.0, shape)
    if route == "events" and groups == 1:
        return 1.0
    whole = 4096, 4, 4  # many outputs, which Winograd's tiles fit
    if route in ROUTES[1:] or choose(route, "input", 0.0, w, stride, groups, whole, (), dilation) != "events":
        return 0.0
    none, all_ = (costs("input", density, shape, whole) for density in (0.0, 1.0))
    other = none[choose(route, "input", None, w, stride, groups, whole, (), dilation)]
    return min(1.0, (other - none["events"]) / (all_["events"] - none["events"]))
