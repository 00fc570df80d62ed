"""Chooses the route of every convolution and matrix product.

    events     computes with active inputs only (`events`, or for few outputs and for groups `lines`); for input
               gradients, computes visible elements only (`visible`)
    winograd   for 3x3 filters of stride 1 and dilation 1, with a quarter of the multiplications (`winograd`)
    dense      multiplies patches, read through offsets, with packed weights (`product`, or for few outputs `planes` and
               `few`)
    grouped    for depthwise convolutions, with one input channel and a few outputs per group (`depthwise`)

If the user asks for a route that a layer cannot take (such as Winograd's for a 1x1 filter), another route takes its
place. Otherwise the one with the least estimated cost is taken (`costs`).
"""

from functools import cache, lru_cache
from math import log2, prod

import numpy as np

from ..types import AUTO
from .costs import COSTS, estimates_of, line_terms, listing, splitting, together_cost
from .ways import depthwise

ROUTES = ("auto", "events", "winograd", "dense")
"""The routes of `types.ROUTES` that the CPU has."""

FEW_ACTIVE, WORTH_SAMPLING = 0.02, 500_000
"""A share of active elements of an output's gradient that is small, and the time in nanoseconds of one core that a list
of them must save an input gradient, so that the share is estimated."""

LEVELS = 32
"""Steps of the share of active inputs per factor of two."""

LEAST_CHANNELS = 8
"""Least number of input and output channels for which the route "auto" may choose Winograd's. Narrower layers gain
little, and keep the rounding of the plain sum."""


def choose(asked, passing, density, w, stride, groups, extent, ready=(), dilation=(1, 1), listed=True):
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
        listed: whether the active inputs are listed already.

    Returns:
        "events", "winograd", "dense" or "grouped".
    """
    where = tuple(stride), groups, tuple(extent), tuple(ready), tuple(dilation), listed
    return _choice(asked, passing, _level(density), w.shape, *where)


def by_input_pixel(passing, density, w, stride, extent, ready=(), dilation=(1, 1)):
    """Whether the route events goes through input pixels (`lines`) rather than outputs or weights (`events`)."""
    return _by_input_pixel(
        passing, _level(density), w.shape, tuple(extent), tuple(ready), tuple(stride), tuple(dilation)
    )


def _level(density):
    """A share of active inputs as a whole number of steps of about 2 %, so that choices can be remembered."""
    if density is None:
        return None
    return round(LEVELS * log2(max(density, 1e-12)))


def _share(level):
    """The share of a level."""
    return None if level is None else 2 ** (level / LEVELS)


@lru_cache(4096)
def _by_input_pixel(passing, level, weights, extent, ready, stride, dilation):
    estimates = estimates_of(passing, _share(level), weights, extent, ready, stride, dilation)
    return "lines" in estimates and estimates["lines"] < estimates["events"]


@lru_cache(4096)
def _choice(asked, passing, level, weights, stride, groups, extent, ready, dilation, listed):
    """The choice for weights of a shape."""
    w, density = np.broadcast_to(0.0, weights), _share(level)
    parts = groups > 1 and density is not None and passing != "input" and dilation[1] == 1
    shape = (*w.shape[:3], w.shape[3] // groups)  # all groups cost the same
    estimates = estimates_of(passing, density, shape, extent, ready, stride, dilation)
    together = together_cost(passing, weights, stride, extent, groups)
    if depthwise.worth_it(w, groups, together is not None and max(stride) == 1):
        return "grouped"
    estimates["dense"] = estimates["dense"] if together is None else together
    possible = {"dense"}
    fits = w.shape[:2] == (3, 3) and tuple(stride) == tuple(dilation) == (1, 1) and groups == 1
    if fits and (asked == "winograd" or min(w.shape[2:]) >= LEAST_CHANNELS):
        possible.add("winograd")
    if parts or (groups == 1 and density is not None):
        possible.add("events")
    if asked in possible:
        return asked
    if asked == "winograd":
        return "dense"
    if asked == "events":
        possible.discard("events")
    if parts:
        estimates["events"] = estimates["lines"] + prod(stride) * splitting(density * w.shape[2])
    elif "lines" in estimates:
        estimates["events"] = min(estimates["events"], estimates["lines"])
    if not listed and "events" in possible:
        estimates["events"] += listing(w.shape[2], groups, prod(stride))
    return min(sorted(possible), key=estimates.get)


def groups_together(passing, w, stride, groups, extent):
    """Whether the route dense computes several groups together, by `planes`. The arguments are those of `choose`."""
    return groups > 1 and together_cost(passing, w.shape, tuple(stride), tuple(extent), groups) is not None


def choose_transposed(asked, passing, density, others, w, stride, groups, extent, dilation=(1, 1), listed=True):
    """Choose between the active elements of the output's gradient, the input of a transposed convolution, and another
    route.

    Args:
        asked, w, stride, groups, dilation, listed: as of `choose`.
        passing: "forward" or "weight", the pass of the transposed convolution.
        density: share of active elements of the output's gradient; None if they were not counted.
        others: (pass, density) with which `choose` chooses the other route.
        extent: (number of images, height, width) of the output's gradient.

    Returns:
        "lines" if active elements are listed, or else the result of `choose`.
    """
    level, other = _level(density), (others[0], _level(others[1]))
    where = tuple(stride), groups, tuple(extent), tuple(dilation)
    return _transposed(asked, passing, level, other, w.shape, *where, listed)


def worth_sampling(other, w, stride, groups, extent, dilation=(1, 1)):
    """Whether a list of active elements of the output's gradient would make the input gradient faster if they were few,
    and by so much that it is worth a look at how many there are. The arguments are those of `choose_transposed`."""
    other, where = (other[0], _level(other[1])), (tuple(stride), groups, tuple(extent), tuple(dilation))
    return _worth_sampling(other, w.shape, *where)


@lru_cache(4096)
def _worth_sampling(other, weights, stride, groups, extent, dilation):
    _, cost, sparse = _transposed_costs(
        "auto", "forward", _level(FEW_ACTIVE), other, weights, stride, groups, extent, dilation
    )
    return (cost - sparse) * prod(extent) > WORTH_SAMPLING


@lru_cache(4096)
def _transposed(asked, passing, level, other, weights, stride, groups, extent, dilation, listed):
    route, cost, sparse = _transposed_costs(asked, passing, level, other, weights, stride, groups, extent, dilation)
    if asked == "events" != route and sparse < np.inf:
        return "lines"
    sparse += 0.0 if listed else listing(weights[3] // groups, groups, 1)
    return "lines" if sparse < cost else route


def _transposed_costs(asked, passing, level, other, weights, stride, groups, extent, dilation):
    """The other route, its cost per position of the output's gradient, and that of a list's active elements, which is
    infinite where they cannot be used."""
    route = _choice(asked, *other, weights, stride, groups, extent, (), dilation, False)
    if level is None or dilation[1] != 1 or asked not in ("auto", "events") or route == "grouped":
        return route, 0.0, np.inf
    kh, kw, outputs, inputs = *weights[:3], weights[3] // groups
    density, positions = _share(level), prod(extent)
    where = (stride[0], 1), (extent[2], 1, stride[1]), 1, density, density * positions
    counts = 1 / positions, *line_terms(passing, (kh, kw, inputs, outputs), 1 / positions, *where)
    estimates = estimates_of(other[0], _share(other[1]), (kh, kw, outputs, inputs), extent, (), stride, dilation)
    together = together_cost(other[0], weights, stride, extent, groups)
    estimates["dense"] = estimates["dense"] if together is None else together
    if route == "events" and "lines" in estimates:
        divided = estimates["lines"] + prod(stride) * splitting(_share(other[1]) * outputs)
        estimates["events"] = min(estimates["lines"], estimates["events"]) if groups == 1 else divided
    sparse = float(np.dot(COSTS["lines"][passing], counts)) + (0.0 if groups == 1 else splitting(density * inputs))
    return route, estimates[route], sparse


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
    # The share at which the choice changes, by bisection.
    below, above = 0.0, 1.0
    for _ in range(30):
        middle = (below + above) / 2
        taken = choose(route, "input", middle, w, stride, groups, whole, (), dilation)
        below, above = (middle, above) if taken == "events" else (below, middle)
    return below if above < 1 else 1.0
