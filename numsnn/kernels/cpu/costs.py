"""What every route of a convolution or matrix product is estimated to cost.

The cost of a route is a sum of terms, which count what the route does per output pixel, times the constants `COSTS`, in
nanoseconds of one core. `python -m benchmarks.speed.costs` measures these on a machine. They stand here as they were on
the machine on which the kernels were tuned, so that the choice is the same on every processor whose registers have the
same size. Only their ratios matter, and these follow from how many numbers a route reads and multiplies.
"""

from functools import lru_cache
from math import ceil, exp, prod

import numpy as np

from .inline.blocks import TILE_VECTORS
from .inline.lines import blocks_of
from .inline.vector import REGISTER_BYTES
from .ways import lines, planes
from .ways.narrow import cheapest, narrow_of, sizes_of
from .ways.panels import padded_rows

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

FAR_BYTES = 14 << 20
"""Bytes of transformed weights that stay in the caches while they are prepared and used. More of them take longer, in
proportion to their size: 512x512 weights 2.6 times as long per number as 256x256 ones."""

NEAR = 0.35
"""The part of a row's cost that is saved if it is read from the first-level cache."""

COSTS = {
    "dense": {
        "forward": (8600, 0.32, 1.3, 0.032, 0.94, 0.01, 0.0077),
        "weight": (7100, 0.12, 16, 0.041, 1.1, 0.0097, 0.008),
        "input": (23000, 0.32, 4.2, 0, 1.1, 0.0099, 0.0078),
    },
    "winograd": {
        "forward": (5300, 0.34, 110, 0.058, 0.012, 0.0077),
        "weight": (13000, 0.32, 140, 0.027, 0.012, 0.0077),
        "input": (9600, 0.79, 130, 0.018, 0.016, 0.0077),
    },
    "events": {
        "forward": (5300, 0.079, 10, 1.9, 0.099, 0.2, 0.33),
        "weight": (6000, 0.064, 3.6, 1.2, 0.78, 2.3, 0.39),
        "input": (510, 0.16, 12, 0.11, 3.7, 0.35, 0.94, 0.46),
    },
    "lines": {
        "forward": (4100, 0.22, 0.95, 16, 0, 4.6, 0.085, 0.025, 0.2, 0.23),
        "weight": (4800, 0.18, 0.76, 15, 0, 4.1, 0, 0.13, 0.32, 0.15),
    },
}
"""Route (or "lines", for the route events) -> pass -> cost of one of each of its `terms`."""


def estimates_of(passing, density, weights, extent, ready=(), stride=(1, 1), dilation=(1, 1)):
    """The estimated cost per output pixel, by route. The arguments are those of `route.choose`, but for weights, the
    shape of w."""
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
        prepare *= max(1.0, 36 * 4 * inputs * outputs / FAR_BYTES)
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
    return call, *line_terms(passing, weights, call, rows, (width, stride[1], 1), min(stride[1], kw), density, entries)


def line_terms(passing, weights, call, rows, width, read, density, entries):
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


@lru_cache(4096)
def together_cost(passing, weights, stride, extent, groups):
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


def listing(inputs, groups, pixels):
    """What a list of active inputs costs a pass, per output pixel and group, for this number of inputs per group and of
    input pixels per output pixel."""
    return pixels * (LISTING[0] + LISTING[1] * inputs * groups) / groups


def splitting(active):
    """What dividing a list among groups costs a pass, per input pixel and group, for this number of active inputs."""
    return float(np.dot(SPLITTING, (1, 1 - exp(-active), active)))


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
