"""Chooses the route of every convolution and matrix product.

    events     computes with active inputs only (`events`, or for few outputs and for groups `lines`); for input
               gradients, computes visible elements only (`visible`)
    winograd   for 3x3 filters of stride 1 and dilation 1, with a quarter of the multiplications (`winograd`)
    dense      multiplies patches, read through offsets, with packed weights (`product`, or for few outputs `planes` and
               `few`)
    grouped    for many small groups, such as in a depthwise convolution (`grouped`)

If the user asks for a route that a layer cannot take (such as Winograd's for a 1x1 filter), another route takes its
place. The cost of each route is a sum of terms, which count what the route does per output pixel, times the constants
`COSTS`, in nanoseconds of one core. `python -m benchmarks.speed.costs` measures these on a machine. They stand here as
they were on the machine on which the kernels were tuned, so that the choice is the same on every processor whose
registers have the same size. Only their ratios matter, and these follow from how many numbers a route reads and
multiplies.
"""

from functools import cache, lru_cache
from math import ceil, exp, log2, prod

import numpy as np

from ..types import AUTO
from .inline.blocks import TILE_VECTORS
from .inline.vector import REGISTER_BYTES
from .ways import few, grouped, lines, planes
from .ways.panels import padded_rows

ROUTES = ("auto", "events", "winograd", "dense")
"""The routes of `types.ROUTES` that the CPU has."""

LANES = REGISTER_BYTES // 4
"""Numbers per vector in float32."""

SHORTER = 16 / LANES
"""How many times as many instructions products and transforms take as with the registers `COSTS` were measured with."""

GROUPED_PRODUCT = 0.16
"""Cost of a multiplication of the route grouped, for groups of several channels."""

LISTING = 0.55, 0.045
"""Half of the cost of a list of active inputs, per input pixel and per input. The forward pass and the weight gradient
share a list."""

CACHE_BYTES = 64 << 10
"""Bytes of a table that is read as if it were in the first-level cache."""

NEAR = 0.35
"""The part of a row's cost that is saved if it is read from the first-level cache."""

LEVELS = 32
"""Steps of the share of active inputs per factor of two."""

LEAST_CHANNELS = 8
"""Least number of input and output channels for which the route "auto" may choose Winograd's. Narrower layers gain
little, and keep the rounding of the plain sum."""

COSTS = {
    "dense": {
        "forward": (13000, 0.32, 1.1, 0.056, 1.2, 0.0096, 0.0078),
        "weight": (13000, 0.13, 3.8, 0.052, 1.7, 0.014, 0.0086),
        "input": (23000, 0.32, 4.2, 0, 1.2, 0.0099, 0.0078),
    },
    "winograd": {
        "forward": (9400, 1.3, 220, 0.08, 0.012, 0.0094),
        "weight": (0, 0.8, 570, 0.15, 0, 0.0077),
        "input": (9500, 2.2, 230, 0.1, 0.011, 0.0077),
    },
    "events": {
        "forward": (3200, 0.081, 8, 1.6, 0, 0.62, 0.33),
        "weight": (7100, 0.07, 3.4, 1.2, 1, 2.6, 0.36),
        "input": (510, 0.16, 12, 0.11, 3.7, 0.35, 0.94, 0.46),
    },
    "lines": {
        "forward": (5300, 0.24, 1.4, 0.1, 8.6, 0.11, 0.15, 0.18, 0.31),
        "weight": (9600, 0.17, 1.2, 2, 5.3, 0, 0.22, 0.41, 0.19),
    },
}
"""Route (or "lines", for the route events) -> pass -> cost of one of each of its `terms`."""


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
    if outputs > few.MOST_OUTPUTS:
        return None
    rows, kernel_size = len(taps[0]) * channels, tuple(len(set(offsets)) for offsets in taps)
    found = {
        few: few.cost(few.runs_of(taps), rows // few.runs_of(taps), outputs, weight_gradient),
        planes: planes.cost(kernel_size, channels, outputs, stride, extent),
    }
    row = ceil(outputs / LANES) * few.BLOCK_ROW
    if weight_gradient:
        found = {few: 1.5 * found[few], planes: 1.1 * found[planes], None: padded_rows(rows) * row + 4.5}
    else:
        found[None] = rows * row + 2.5
    return min(found, key=found.get)


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
    estimates = costs(passing, _share(level), weights, extent, ready, stride, dilation)
    return "lines" in estimates and estimates["lines"] < estimates["events"]


@lru_cache(4096)
def _choice(asked, passing, level, weights, stride, groups, extent, ready, dilation, listed):
    """The choice for weights of a shape."""
    w, density = np.broadcast_to(0.0, weights), _share(level)
    parts = groups > 1 and density is not None and passing != "input" and dilation[1] == 1
    if grouped.worth_it(w, groups):
        if grouped.single(w, groups) or not parts or asked not in ("auto", "events"):
            return "grouped"
        possible = {"grouped"}
    else:
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
    shape = (*w.shape[:3], w.shape[3] // groups)  # all groups cost the same
    estimates = costs(passing, density, shape, extent, ready, stride, dilation)
    if parts:
        estimates |= {"events": estimates["lines"], "grouped": prod(shape) * GROUPED_PRODUCT}
    elif "lines" in estimates:
        estimates["events"] = min(estimates["events"], estimates["lines"])
    if not listed and "events" in possible:
        estimates["events"] += _listing(w.shape[2], groups, prod(stride))
    return min(sorted(possible), key=estimates.get)


def _listing(inputs, groups, pixels):
    """What a list of active inputs costs a pass, per output pixel and group, for this number of inputs per group and of
    input pixels per output pixel."""
    return pixels * (LISTING[0] + LISTING[1] * inputs * groups) / groups


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
        found[name] = float(np.dot(COSTS[name][passing], counts))
    return found


def terms(route, passing, density, weights, extent, stride):
    """What a route, or "lines", does per output pixel. The first terms are a call and the weights it prepares."""
    kh, kw, inputs, outputs = weights
    images, height, width = extent
    taps = kh * kw * inputs
    vectors = ceil(outputs / LANES)
    call = 1 / (images * height * width)
    prepare = taps * outputs * call
    pixels = stride[0] * stride[1]  # input pixels per output pixel
    # The input gradient sums over output channels, and its columns are input channels.
    depth, columns = (outputs, inputs) if passing == "input" else (inputs, outputs)
    wide, narrow = _columns(columns)
    if route == "dense":  # positions, copied numbers, cost in the way of `few`, multiplications
        positions = pixels if passing == "input" else 1
        rows = kh * kw * depth
        if columns <= few.MOST_OUTPUTS:
            size, step = (kh, kw), stride
            if passing == "input":  # the taps of one class of pixels
                size, step = (ceil(kh / stride[0]), ceil(kw / stride[1])), (1, 1)
            found = min(
                few.cost(kh, kw * depth, columns, passing == "weight"),
                planes.cost(size, depth, columns, step, (height, width)) * positions,
            )
            if found < rows * ceil(columns / LANES) * few.BLOCK_ROW:
                return call, prepare, positions, depth * pixels + outputs, found, 0.0, 0.0
        rows = padded_rows(rows) if passing == "weight" else rows
        return call, prepare, positions, depth * pixels + outputs, 0.0, rows * narrow, rows * wide
    if route == "winograd":  # tiles, transformed numbers, multiplications
        tiles = ceil(height / 4) * ceil(width / 4) / (height * width)
        rows = 36 * tiles * (2 * padded_rows(ceil(depth / 2)) if passing == "weight" else depth)
        numbers = 36 * tiles * (inputs + outputs) * SHORTER
        return call, prepare, tiles * SHORTER, numbers, rows * narrow, rows * wide
    active = density * taps
    if route == "events":
        # The last terms are the active or visible inputs, and the vectors of their rows.
        ends = density * inputs * pixels, active * vectors
        if passing == "forward":  # blocks of columns, sums of runs of inputs, rows of weights
            sweeps = _sweeps(outputs)
            runs = kh * sweeps * (1 - exp(-active / kh))
            held = 1 - NEAR * min(1.0, CACHE_BYTES / (4 * taps * outputs))
            # Rows that are hardly read are not packed.
            prepare, last = min(prepare, active * outputs), ends[1] * held
            return call, prepare, ceil(vectors / 16), runs, active * sweeps, ends[0], last
        if passing == "weight":  # input pixels, inputs that each tap tests, rows of dy
            tested = active * pixels if pixels > 1 else 0.0
            return call, prepare, pixels, tested, active, *ends
        # Input pixels, channels, taps of pixels with visible channels, their vectors.
        seen = kh * kw * (1 - exp(-density * inputs))
        return call, prepare, pixels, inputs * pixels, seen, seen * vectors, *ends
    read = min(stride[0], kh) * min(stride[1], kw)
    long, entries = ceil(kh * kw * outputs / (read * LANES)), density * images * height * width * pixels
    return call, *_line_terms(passing, weights, call, kh * vectors, read, density * inputs, long, entries)


def _line_terms(passing, weights, call, pieces, read, active, long, entries):
    """The terms of "lines" but for the call: preparing weights, vectors of the lines that are added up, input pixels
    that are read, those with an active input and the vectors that they add, active inputs, the vectors that these add,
    and the share of these that lie far away.

    pieces and read are those vectors and pixels; active is the number of active inputs per pixel, and long that of
    vectors per row of the table; entries is the number of active inputs per channel.
    """
    taps, outputs = prod(weights[:3]), weights[3]
    share, prepare = 1 - exp(-active), taps * (outputs + 8) * call
    if passing == "weight":
        prepare *= lines.parts_for(entries)
    far = max(0.0, 1 - CACHE_BYTES / (4 * taps * outputs))
    numbers = read, read * share, read * share * long, read * active, read * active * long, read * active * long * far
    return prepare, pieces, *numbers


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


@lru_cache(4096)
def _transposed(asked, passing, level, other, weights, stride, groups, extent, dilation, listed):
    route = _choice(asked, *other, weights, stride, groups, extent, (), dilation, False)
    depthwise = grouped.single(np.broadcast_to(0.0, weights), groups)
    if level is None or dilation[1] != 1 or asked not in ("auto", "events") or depthwise:
        return route
    if asked == "events" != route:
        return "lines"
    kh, kw, outputs, inputs = *weights[:3], weights[3] // groups
    density, positions, row = _share(level), prod(extent), kh * kw * outputs
    pieces = stride[1] * kh * ceil(outputs / LANES)
    read = 1, density * inputs, ceil(row / LANES), density * positions
    counts = 1 / positions, *_line_terms(passing, (kh, kw, inputs, outputs), 1 / positions, pieces, *read)
    estimates = costs(other[0], _share(other[1]), (kh, kw, outputs, inputs), extent, (), stride, dilation)
    estimates["grouped"] = row * inputs * GROUPED_PRODUCT
    if route == "events" and "lines" in estimates:
        estimates["events"] = min(estimates["lines"], estimates["events"] if groups == 1 else np.inf)
    estimate = np.dot(COSTS["lines"][passing], counts)
    estimate += 0.0 if listed else _listing(inputs, groups, 1)
    return "lines" if estimate < estimates[route] else route


def _columns(columns):
    """Columns of a matrix product in panels of two vectors, and in a panel of one, filled up. Where registers are
    shorter, a column counts as often as it takes more instructions."""
    padded = ceil(columns / LANES) * LANES
    narrow = padded % (TILE_VECTORS * LANES)
    return (padded - narrow) * SHORTER, narrow * SHORTER


def _sweeps(columns):
    """How often `blocks.sum_rows` goes through the inputs of an output pixel."""
    whole, rest = divmod(columns, LANES)
    return whole // 16 + (whole % 16).bit_count() + (rest > 0)


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
