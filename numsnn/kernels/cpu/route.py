"""Chooses the route of every convolution and matrix product.

    events     computes with active inputs only (`events`, or for few outputs and for groups `lines`); for input
               gradients, computes visible elements only (`visible`)
    winograd   for 3x3 filters of stride 1 and dilation 1, with a quarter of the multiplications (`winograd`)
    dense      multiplies patches, read through offsets, with packed weights (`product`, or for few outputs `planes` and
               `few`)
    grouped    for depthwise convolutions, with one input channel and a few outputs per group (`depthwise`)

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
from .inline.lines import blocks_of
from .inline.vector import REGISTER_BYTES
from .ways import depthwise, lines, planes
from .ways.narrow import cheapest, narrow_of, sizes_of
from .ways.panels import padded_rows

ROUTES = ("auto", "events", "winograd", "dense")
"""The routes of `types.ROUTES` that the CPU has."""

LANES = REGISTER_BYTES // 4
"""Numbers per vector in float32."""

FLOAT = np.dtype(np.float32)
"""The type of numbers that costs are estimated for."""

SHORTER = 16 / LANES
"""How many times as many instructions products and transforms take as with the registers `COSTS` were measured with."""

LISTING = 2.3, 0.12
"""Cost of a list of active inputs, per input pixel and per input. The pass that makes it bears it."""

SPLITTING = 1.0, 7.5, 0.25
"""Cost of dividing a list among groups, per input pixel and group, per one of them with an active input (where the
processor guesses the next jump wrong), and per active input."""

CACHE_BYTES = 64 << 10
"""Bytes of a table that is read as if it were in the first-level cache."""

NEAR = 0.35
"""The part of a row's cost that is saved if it is read from the first-level cache."""

FEW_ACTIVE, WORTH_SAMPLING = 0.02, 500_000
"""A share of active elements of an output's gradient that is small, and the time in nanoseconds of one core that a list
of them must save an input gradient, so that the share is estimated."""

LEVELS = 32
"""Steps of the share of active inputs per factor of two."""

LEAST_CHANNELS = 8
"""Least number of input and output channels for which the route "auto" may choose Winograd's. Narrower layers gain
little, and keep the rounding of the plain sum."""

COSTS = {
    "dense": {
        "forward": (13000, 0.32, 1.1, 0.056, 1, 0.0096, 0.0078),
        "weight": (11000, 0.15, 11, 0.053, 1.1, 0.014, 0.0087),
        "input": (23000, 0.32, 4.2, 0, 1.1, 0.0099, 0.0078),
    },
    "winograd": {
        "forward": (1900, 0.53, 58, 0.047, 0.017, 0.009),
        "weight": (0, 0.62, 280, 0.03, 0.017, 0.0077),
        "input": (9600, 0.79, 130, 0.018, 0.016, 0.0077),
    },
    "events": {
        "forward": (3200, 0.081, 8, 1.6, 0, 0.62, 0.33),
        "weight": (6600, 0.075, 2.9, 1.1, 0.89, 2.3, 0.42),
        "input": (510, 0.16, 12, 0.11, 3.7, 0.35, 0.94, 0.46),
    },
    "lines": {
        "forward": (5300, 0.27, 0.93, 21, 0.1, 4.7, 0.11, 0.19, 0.18, 0.28),
        "weight": (7700, 0.2, 0.71, 18, 0, 4.4, 0, 0.32, 0.42, 0.3),
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
    shape = (*w.shape[:3], w.shape[3] // groups)  # all groups cost the same
    estimates = costs(passing, density, shape, extent, ready, stride, dilation)
    together = _together(passing, weights, stride, extent, groups)
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
        estimates["events"] = estimates["lines"] + prod(stride) * _splitting(density * w.shape[2])
    elif "lines" in estimates:
        estimates["events"] = min(estimates["events"], estimates["lines"])
    if not listed and "events" in possible:
        estimates["events"] += _listing(w.shape[2], groups, prod(stride))
    return min(sorted(possible), key=estimates.get)


def groups_together(passing, w, stride, groups, extent):
    """Whether the route dense computes several groups together, by `planes`. The arguments are those of `choose`."""
    return groups > 1 and _together(passing, w.shape, tuple(stride), tuple(extent), groups) is not None


@lru_cache(4096)
def _together(passing, weights, stride, extent, groups):
    """The cost per group of the route dense if it computes several groups together, or else None."""
    sizes = sizes_of(passing, (*weights[:3], weights[3] // groups), stride)
    if groups == 1 or sizes[2] > planes.MOST_OUTPUTS:
        return None
    call, *_, cost, _, _ = COSTS["dense"][passing]
    call, cost = call / prod(extent), cost * (prod(stride) if passing == "input" else 1)
    together = planes.cost(*sizes, extent[1:], passing == "weight", groups)
    alone = cheapest(sizes[0], sizes[0][0], *sizes[1:], extent[1:], passing == "weight")[1]
    found = (call + cost * together) / groups
    return found if found < call + cost * alone else None


def _listing(inputs, groups, pixels):
    """What a list of active inputs costs a pass, per output pixel and group, for this number of inputs per group and of
    input pixels per output pixel."""
    return pixels * (LISTING[0] + LISTING[1] * inputs * groups) / groups


def _splitting(active):
    """What dividing a list among groups costs a pass, per input pixel and group, for this number of active inputs."""
    return float(np.dot(SPLITTING, (1, 1 - exp(-active), active)))


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
        way, found = narrow_of(passing, weights, (height, width), stride)
        if way is not None:
            return call, prepare, 0, 0, found * positions, 0.0, 0.0
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
    rows, entries = (1, min(stride[0], kh)), density * images * height * width * pixels
    return call, *_line_terms(passing, weights, call, rows, (width, stride[1], 1), min(stride[1], kw), density, entries)


def _line_terms(passing, weights, call, rows, width, read, density, entries):
    """The terms of "lines" but for the call: preparing weights, vectors of the lines that are added up, rows, input
    pixels that are read, blocks of those with an active input and the vectors that they add, active inputs and blocks,
    the vectors that these add, and the share of these that lie far away.

    Everything is counted per position. `rows` are output rows and lines per row of positions; `width` is the positions
    of a row, and the pixels and output pixels per position; `read` is the pixels of them that are read, and entries the
    number of active inputs per channel.
    """
    kh, kw, inputs, outputs = weights
    (written, made), (across, apart, wide) = rows, width
    active, taps, read = density * inputs, kh * kw * inputs, made * read
    share, prepare = 1 - exp(-active), taps * (outputs + 8) * call
    if passing == "weight":
        prepare *= lines.parts_for(entries)
    used = 1 - exp(-active * across * apart)  # share of the rows with an active input; the others are left out
    pieces = wide * ceil(outputs / LANES) * (written + kh * used)
    blocks, vectors = blocks_of(ceil(kh * kw * outputs / read), FLOAT)
    far, long = max(0.0, 1 - CACHE_BYTES / (4 * taps * outputs)), blocks * vectors
    pixels = read, read * share * blocks, read * share * long
    added = read * active * blocks, read * active * long, read * active * long * far
    return prepare, pieces, (written + made * used) / across, *pixels, *added


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
    sparse += 0.0 if listed else _listing(weights[3] // groups, groups, 1)
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
    counts = 1 / positions, *_line_terms(passing, (kh, kw, inputs, outputs), 1 / positions, *where)
    estimates = costs(other[0], _share(other[1]), (kh, kw, outputs, inputs), extent, (), stride, dilation)
    together = _together(other[0], weights, stride, extent, groups)
    estimates["dense"] = estimates["dense"] if together is None else together
    if route == "events" and "lines" in estimates:
        divided = estimates["lines"] + prod(stride) * _splitting(_share(other[1]) * outputs)
        estimates["events"] = min(estimates["lines"], estimates["events"]) if groups == 1 else divided
    sparse = float(np.dot(COSTS["lines"][passing], counts)) + (0.0 if groups == 1 else _splitting(density * inputs))
    return route, estimates[route], sparse


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
