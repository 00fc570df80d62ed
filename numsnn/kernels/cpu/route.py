"""Which way a convolution or a matrix product is computed: chosen for every call from what was measured, never guessed.

    events     active inputs alone, work in proportion to their share (`events`); in gradients of inputs, those alone
               that the neuron in front can see (`visible`)
    winograd   3x3 kernels of stride 1, a quarter of the multiplications (`winograd`)
    dense      gathered patches times packed weights (`product`)
    grouped    many small groups, depthwise among them (`grouped`)

A route that a layer cannot take (Winograd's for a 1x1 kernel) stands for the next one below it that it can. What each
would cost is estimated from the share of active inputs and the shapes. The estimates are in nanoseconds of one core of
the machine the kernels were tuned on; only their ratios matter, and those follow from how many numbers a way reads and
multiplies.
"""

from math import ceil

from ..types import AUTO
from .ways import grouped

ROUTES = ("auto", "events", "winograd", "dense")
"""Those of `types.ROUTES` that this target has."""

DENSE_PRODUCT = 1 / 110
"""Of a multiplication in a block of a matrix product."""

EVENT_PRODUCT = {"forward": 1 / 45, "weight": 1 / 40, "input": 1 / 42}
"""Of a multiplication of one active (visible) input, bound by reading rows from the second-level cache."""

EVENT_ROW = {"forward": 25, "weight": 1.5, "input": 1.2}
"""On top: forward of an output pixel (and block of columns), in the weight gradient of an active input (and tap), in
the input gradient of a channel, visible or not."""

PATCH_TAP, PATCH_NUMBER = 8, 0.1
"""Of gathering what a tap reads, and of every number of it."""

TRANSFORM_TILE = {"forward": 250, "weight": 1000, "input": 250}
TRANSFORM_NUMBER = {"forward": 0.25, "weight": 0.45, "input": 0.25}
"""Of a tile of Winograd's filtering, and of one of the 36 numbers it makes of every channel of a tile."""


LEAST_CHANNELS = 8
"""Input and output channels from which on Winograd's way is chosen unasked: narrow layers gain little by it, and keep
the rounding of plain sums."""

PREPARE = {"events": 0.1, "winograd": 1.2, "dense": 0.1}
"""Of a weight, before the first output: packing, or Winograd's transform. It counts where there are few outputs."""


def choose(asked, passing, density, w, stride, groups, extent, ready=()):
    """The route of one call.

    Args:
        asked: one of `ROUTES`.
        passing: "forward", "weight" or "input", the pass.
        density: share of active inputs, for gradients of inputs of visible ones; None where nothing was counted.
        w: weights ``[kh, kw, I/groups, O]`` (or their gradient).
        stride, groups: of the convolution.
        extent: images, height and width of the output.
        ready: routes for which the weights are there already, prepared by an earlier call.
    """
    if grouped.worth_it(w, groups):
        return "grouped"
    possible = {"dense"}
    fits = w.shape[:2] == (3, 3) and tuple(stride) == (1, 1) and groups == 1
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
    """Estimated cost of an output pixel by every route; arguments as for `choose`."""
    kh, kw, inputs, outputs = weights
    taps = kh * kw * inputs
    images, height, width = extent
    tiles = ceil(height / 4) * ceil(width / 4) / (height * width)
    transforms = TRANSFORM_TILE[passing] + 36 * (inputs + outputs) * TRANSFORM_NUMBER[passing]
    found = {
        "dense": taps * outputs * DENSE_PRODUCT + kh * kw * PATCH_TAP + taps * PATCH_NUMBER,
        "winograd": tiles * (36 * inputs * outputs * DENSE_PRODUCT + transforms),
    }
    if density is not None:
        active = density * taps
        rows = {"forward": 1, "weight": active, "input": inputs}[passing]
        found["events"] = active * outputs * EVENT_PRODUCT[passing] + rows * EVENT_ROW[passing]
    if passing != "weight":
        share = taps * outputs / (images * height * width)
        found = {name: cost + share * PREPARE[name] * (name not in ready) for name, cost in found.items()}
    return found


def lacks(way, dtype):
    """See `reference.conv.lacks`."""
    if way.route not in ROUTES:
        return f"device 'cpu' has no route {way.route!r}, only {', '.join(map(repr, ROUTES))}"
    return None if way.precision == "float32" else "device 'cpu' has precision 'float32' only"


def visible_limit(w, geometry, way=AUTO):
    """See `reference.conv.visible_limit`."""
    route, stride, groups = way.route, geometry.stride, geometry.groups
    if route == "events" and groups == 1:
        return 1.0
    whole = 4096, 4, 4  # many outputs, which Winograd's tiles fit
    if route in ROUTES[1:] or choose(route, "input", 0.0, w, stride, groups, whole) != "events":
        return 0.0
    none, all_ = (costs("input", density, w.shape, whole) for density in (0.0, 1.0))
    other = none[choose(route, "input", None, w, stride, groups, whole)]
    return min(1.0, (other - none["events"]) / (all_["events"] - none["events"]))
