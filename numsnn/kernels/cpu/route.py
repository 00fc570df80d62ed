"""Chooses the route of every convolution and matrix product.

    events     computes with active inputs only (`events`, or for few outputs `lines`); for input gradients, computes
               visible elements only (`visible`)
    winograd   for 3x3 filters of stride 1 and dilation 1, with a quarter of the multiplications (`winograd`)
    dense      multiplies gathered patches with packed weights (`product`)
    grouped    for many small groups, such as in a depthwise convolution (`grouped`)

If the user asks for a route that a layer cannot take (such as Winograd's for a 1x1 filter), another route takes its
place. The cost of each route is a sum of terms, which count what the route does per output pixel, times the constants
`COSTS`, in nanoseconds of one core. `python -m benchmarks.speed.costs` measures these on a machine. They stand here as
they were on the machine on which the kernels were tuned, so that the choice is the same on every processor whose
registers have the same size. Only their ratios matter, and these follow from how many numbers a route reads and
multiplies.
"""

from functools import cache
from math import ceil, exp

import numpy as np

from ..types import AUTO
from .inline.vector import REGISTER_BYTES
from .ways import grouped

ROUTES = ("auto", "events", "winograd", "dense")
"""The routes of `types.ROUTES` that the CPU has."""

LANES = REGISTER_BYTES // 4
"""Numbers per vector in float32."""

LEAST_CHANNELS = 8
"""Least number of input and output channels for which the route "auto" may choose Winograd's. Narrower layers gain
little, and keep the rounding of the plain sum."""

COSTS = {
    "dense": {
        "forward": (0.1, 8, 0.1, 1 / 110),
        "weight": (0.0, 8, 0.1, 1 / 110),
        "input": (0.1, 8, 0.1, 1 / 110),
    },
    "winograd": {
        "forward": (1.2, 250, 0.25, 1 / 110),
        "weight": (0.0, 1000, 0.45, 1 / 110),
        "input": (1.2, 250, 0.25, 1 / 110),
    },
    "events": {
        "forward": (0.1, 25, 0.0, 0.0, 1 / 45),
        "weight": (0.0, 0.0, 1.5, 0.0, 1 / 40),
        "input": (0.1, 1.2, 0.0, 0.0, 1 / 42),
    },
    "lines": {
        "forward": (0.1, 1.0, 1.0, 10, 0.5, 1.0, 0.2),
        "weight": (1.0, 1.0, 1.0, 10, 0.5, 1.0, 0.4),
    },
}
"""Route (or "lines", for the route events) -> pass -> cost of one of each of its `terms`."""


def choose(asked, passing, density, w, stride, groups, extent, ready=(), dilation=(1, 1)):
    """Choose the route of one call.

    Args:
        asked: one of `ROUTES`.
        passing: the pass, "forward", "weight" or "input".
        density: share of active inputs, or for "input" of visible elements; None if they were not counted.
        w: weights ``[kh, kw, I/groups, O]``, or their gradient.
        stride, groups: stride and number of groups of the convolution.
        extent: (number of images, height, width) of the output.
        ready: routes, and "lines", for which an earlier call has prepared the weights.
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
    estimates = costs(passing, density, w.shape, extent, ready, stride, dilation)
    if "lines" in estimates:
        estimates["events"] = min(estimates["events"], estimates["lines"])
    return min(sorted(possible), key=estimates.get)


def by_input_pixel(passing, density, w, stride, extent, ready=(), dilation=(1, 1)):
    """Whether the route events goes through input pixels (`lines`) rather than outputs or weights (`events`)."""
    estimates = costs(passing, density, w.shape, extent, ready, stride, dilation)
    return "lines" in estimates and estimates["lines"] < estimates["events"]


def costs(passing, density, weights, extent, ready=(), stride=(1, 1), dilation=(1, 1)):
    """The estimated cost per output pixel, by route. The arguments are those of `choose`; weights is the shape of w."""
    names = ["dense", "winograd"]
    if density is not None:
        names.append("events")
        if passing != "input" and dilation[1] == 1:
            names.append("lines")
    found = {}
    for name in names:
        call, prepare, *others = terms(name, passing, density, weights, extent, stride)
        counts = (call, 0.0 if name in ready else prepare, *others)
        found[name] = sum(cost * count for cost, count in zip(COSTS[name][passing], counts, strict=True))
    return found


def terms(route, passing, density, weights, extent, stride):
    """What a route, or "lines", does per output pixel. The first terms are a call and the weights it prepares."""
    kh, kw, inputs, outputs = weights
    images, height, width = extent
    taps = kh * kw * inputs
    vectors = ceil(outputs / LANES)
    call = 1 / (images * height * width)
    prepare = taps * outputs * call
    if route == "dense":  # taps, gathered numbers, multiplications
        return call, prepare, kh * kw, taps, taps * vectors * LANES
    if route == "winograd":  # tiles, transformed numbers, multiplications
        tiles = ceil(height / 4) * ceil(width / 4) / (height * width)
        return call, prepare, tiles, 36 * tiles * (inputs + outputs), 36 * tiles * inputs * vectors * LANES
    pixels = stride[0] * stride[1]  # input pixels per output pixel
    if route == "events":
        active = density * taps
        if passing == "forward":  # blocks of columns, kernel rows, rows of weights and their vectors
            # Rows that are hardly read are not packed.
            prepare = min(prepare, active * outputs)
            return call, prepare, ceil(vectors / 16), kh, active, active * vectors
        if passing == "weight":  # active inputs, rows of dy and their vectors, inputs that each tap has to test
            tested = active * pixels if pixels > 1 else 0.0
            return call, prepare, density * inputs * pixels, active, tested, active * vectors
        return (
            prepare,
            inputs * pixels,
            kh * kw,
            active,
            active * vectors,
        )  # channels, taps, rows of weights and their vectors
    # Vectors of the outputs and of the lines, input pixels, those with an active input and their vectors, active inputs
    # and their vectors.
    active = density * inputs
    share = 1 - exp(-active)
    long = ceil(kh * kw * outputs / (pixels * LANES))
    numbers = pixels, pixels * share, pixels * share * long, pixels * active, pixels * active * long
    return call, prepare, kh * vectors, *numbers


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
    none, all_ = (costs("input", density, shape, whole, (), stride, dilation) for density in (0.0, 1.0))
    other = none[choose(route, "input", None, w, stride, groups, whole, (), dilation)]
    return min(1.0, (other - none["events"]) / (all_["events"] - none["events"]))
