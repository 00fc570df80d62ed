"""Entries of linear layers, convolutions and pooling."""

import naive
import numpy as np
from convolutions import CASES
from registry import absolute, adjoint, drawn, entry, normal, spikes, unset
from targets import reference

from numsnn.kernels.types import AUTO, Geometry, Way, Window

U8 = np.uint8

# --- linear -----------------------------------------------------------------------------------------------------------

SHAPES = {str(shape): shape for shape in ((1, 1, 1), (5, 7, 3), (13, 1, 2), (1, 9, 11), (10, 8, 1))}
"""(M, I, O); in small tiles of three most have several, the last one cut short."""

KINDS = SHAPES | {"spikes": (10, 8, 3, U8)}


def sum_of(function, output, terms):
    """The bound of a sum of products: its scale is the same sum over absolute values."""

    def bound(a, want):
        scales = absolute(a) | {output: np.empty(want[output].shape)}
        getattr(reference, function)(**scales)
        return {output: (terms(a), scales[output])}

    return bound


@entry(
    cases=KINDS | {"without a bias": (5, 7, 3, None, False)},
    large=((1000, 40, 9, U8), (300, 270, 4)),
    writes="y",
    bound=sum_of("linear_forward", "y", lambda a: a["x"].shape[1] + 1),
)
def linear_forward(rng, real, rows, inputs, outputs, kind=None, bias=True):
    w, b = normal(rng, real, inputs, outputs), normal(rng, real, outputs) if bias else None
    return {"x": drawn(rng, kind or real, rows, inputs), "w": w, "b": b, "y": unset(real, rows, outputs)}


def of_weight(a, results):
    x, dy = a["x"], a["dy"]
    if x.size > 1 and x.dtype == np.float64:
        w = np.ones((x.shape[1], dy.shape[1]))
        yield from adjoint("linear_forward", {"x": x, "w": w, "b": None}, {"y": dy}, [(results["dw"], w)])


@entry(
    cases=KINDS,
    large=((50, 700, 9, U8),),
    writes="dw",
    bound=sum_of("linear_backward_weight", "dw", lambda a: len(a["x"]) + 1),
    gradients=of_weight,
)
def linear_backward_weight(rng, real, rows, inputs, outputs, kind=None):
    x = drawn(rng, kind or real, rows, inputs)
    return {"x": x, "dy": normal(rng, real, rows, outputs), "dw": unset(real, inputs, outputs)}


def of_input(a, results):
    x, w, dy = np.ones_like(a["dx"]), a["w"], a["dy"]
    if x.size > 1 and dy.dtype == np.float64 and a["visible"] is None:
        yield from adjoint("linear_forward", {"x": x, "w": w, "b": None}, {"y": dy}, [(results["dx"], x)])


@entry(
    cases=KINDS,
    large=((1000, 40, 9), (1000, 40, 9, None, True)),
    writes="dx",
    bound=sum_of("linear_backward_input", "dx", lambda a: a["w"].shape[1] + 1),
    gradients=of_input,
)
def linear_backward_input(rng, real, rows, inputs, outputs, kind=None, masked=False):
    dy, w = drawn(rng, kind or real, rows, outputs), normal(rng, real, inputs, outputs)
    visible = spikes(rng, rows, inputs) if masked else None
    return {"dy": dy, "w": w, "dx": unset(real, rows, inputs), "visible": visible}


def of_bias(a, results):
    """The bias of a linear layer without inputs."""
    dy, db = a["dy"], np.zeros(a["dy"].shape[1])
    if dy.size:
        x, w = np.zeros((len(dy), 1)), np.zeros((1, len(db)))
        yield from adjoint("linear_forward", {"x": x, "w": w, "b": db}, {"y": dy}, [(results["db"], db)])


@entry(
    cases={"one": (1, 1), "tiles": (13, 2), "a row": (1, 11), "many": (61, 41)},
    large=((6000, 17),),
    writes="db",
    bound=lambda a, want: {"db": (len(a["dy"]), np.abs(a["dy"]).sum(0))},
    gradients=of_bias,
)
def bias_backward(rng, real, rows, outputs):
    return {"dy": normal(rng, real, rows, outputs), "db": unset(real, outputs)}


# --- convolutions -----------------------------------------------------------------------------------------------------

IN_FLOAT64 = "rectangular", "depthwise", "1x1", "one pixel, one channel"
"""What the simulator computes in float64, too."""

CONVOLUTIONS = {name: (*case[:5], case[5] if len(case) > 5 else (1, 1)) for name, case in CASES.items()}
OF_SPIKES = {
    f"{name}, spikes": (*CONVOLUTIONS[name], U8) for name in ("rectangular", "strided", "3x3", "many small groups")
}
LARGE = tuple(
    ((12, 23, 21, i), (3, 3, o), (1, 1), (1, 1), groups, (1, 1), U8, Way(route))
    for i, o, groups, route in (
        (9, 7, 1, "events"),
        (9, 7, 1, "winograd"),
        (9, 7, 1, "dense"),
        (3, 2, 1, "dense"),
        (32, 48, 16, "auto"),
    )
)
"""The last case has many small groups, which use their own route."""


def slow(case, real):
    if "many channels" in case or case in ("3x3, spikes", "many small groups, spikes"):
        return True
    return real == np.float64 and case not in IN_FLOAT64


def shapes(shape, filters, stride, padding, groups, dilation):
    """Shapes of w and y, and the geometry."""
    kh, kw, outputs = filters
    y = naive.output_shape(shape, (kh, kw), stride, padding, outputs, dilation)
    return (kh, kw, shape[3] // groups, outputs), y, Geometry(stride, padding, groups, dilation)


@entry(
    cases=CONVOLUTIONS | OF_SPIKES | {"without a bias": (*CONVOLUTIONS["strided"], None, AUTO, False)},
    large=LARGE,
    writes="y",
    bound=sum_of("conv2d_forward", "y", lambda a: a["w"][..., 0].size + 1),
    slow=slow,
)
def conv2d_forward(rng, real, shape, filters, stride, padding, groups, dilation, kind=None, way=AUTO, bias=True):
    w, y, geometry = shapes(shape, filters, stride, padding, groups, dilation)
    x, b = drawn(rng, kind or real, *shape), normal(rng, real, w[3]) if bias else None
    return {"x": x, "w": normal(rng, real, *w), "b": b, "geometry": geometry, "y": unset(real, *y), "way": way}


def of_filters(a, results):
    x, dy = a["x"], a["dy"]
    if x.dtype == np.float64:
        w = np.ones_like(a["dw"])
        arguments = {"x": x, "w": w, "b": None, "geometry": a["geometry"]}
        yield from adjoint("conv2d_forward", arguments, {"y": dy}, [(results["dw"], w)])


@entry(
    cases=CONVOLUTIONS | OF_SPIKES,
    large=LARGE,
    writes="dw",
    bound=sum_of("conv2d_backward_weight", "dw", lambda a: a["dy"][..., 0].size),
    gradients=of_filters,
    slow=slow,
)
def conv2d_backward_weight(rng, real, shape, filters, stride, padding, groups, dilation, kind=None, way=AUTO):
    w, y, geometry = shapes(shape, filters, stride, padding, groups, dilation)
    x, dy = drawn(rng, kind or real, *shape), normal(rng, real, *y)
    return {"x": x, "dy": dy, "geometry": geometry, "dw": unset(real, *w), "way": way}


def of_pictures(a, results):
    if a["dy"].dtype == np.float64:
        x = np.ones_like(a["dx"])
        arguments = {"x": x, "w": a["w"], "b": None, "geometry": a["geometry"]}
        yield from adjoint("conv2d_forward", arguments, {"y": a["dy"]}, [(results["dx"], x)])


@entry(
    cases=CONVOLUTIONS | OF_SPIKES,
    large=tuple((*case[:6], None, case[7], masked) for case in LARGE for masked in (False, True)),
    writes="dx",
    bound=sum_of("conv2d_backward_input", "dx", lambda a: a["w"][:, :, 0].size),
    gradients=of_pictures,
    slow=slow,
)
def conv2d_backward_input(
    rng, real, shape, filters, stride, padding, groups, dilation, kind=None, way=AUTO, masked=False
):
    """With spikes in place of dy, it is the forward pass of the transposed convolution."""
    w, y, geometry = shapes(shape, filters, stride, padding, groups, dilation)
    dy, visible = drawn(rng, kind or real, *y), spikes(rng, *shape) if masked else None
    dx = unset(real, *shape)
    return {"dy": dy, "w": normal(rng, real, *w), "geometry": geometry, "dx": dx, "way": way, "visible": visible}


def listed(k, x, dtype):
    """The list of active inputs; a device that has no use for one has none."""
    active = k.active_inputs(x, dtype)
    if active is None:
        return {}
    active.list(x)
    count = active.start[-1]
    return {"start": active.start, "channel": active.channel[:count], "value": active.value[:count]}


@entry(
    cases={"pictures": ((2, 3, 4, 9),), "rows": ((7, 5, 1, 3), U8)},
    large=(((40, 23, 21, 9), U8),),
    call=listed,
    differs="only the CPU makes one; test_routes has what is in it",
)
def active_inputs(rng, real, shape, kind=None):
    return {"x": drawn(rng, kind or real, *shape) * spikes(rng, *shape), "dtype": real}


# --- pooling ----------------------------------------------------------------------------------------------------------

WINDOWS = {
    "2x2": ((2, 6, 4, 3), (2, 2), (2, 2), (0, 0)),
    "rows and columns left over": ((1, 7, 5, 2), (2, 2), (2, 2), (0, 0)),
    "overlapping": ((2, 7, 5, 3), (3, 3), (2, 2), (1, 1)),
    "rectangular": ((1, 5, 8, 2), (3, 2), (1, 3), (1, 0)),
    "gaps": ((1, 8, 7, 2), (2, 1), (3, 2), (0, 0)),
    "global": ((2, 4, 5, 3), (4, 5), (1, 1), (0, 0)),
    "one pixel": ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0)),
}
"""(B, H, W, C), kernel, stride, padding."""

POOLED = WINDOWS | {f"{name}, spikes": (*case, U8) for name, case in WINDOWS.items()}
WIDE = (24, 23, 21, 40), (3, 3), (2, 2), (1, 1)


def pooled(shape, *window):
    return naive.output_shape(shape, *window, shape[3]), Window(*window)


def of_window(array):
    """One rounding a tap, and three for the division or for the product with a rounded reciprocal."""

    def bound(a, want):
        (function, output), (height, width) = array, a["window"].kernel
        scales = absolute(a) | {output: np.empty(want[output].shape)}
        getattr(reference, function)(**scales)
        return {output: (height * width + 3, scales[output])}

    return bound


@entry(cases=POOLED, large=((*WIDE, U8),), writes="y", bound=of_window(("sum_pool2d_forward", "y")))
def sum_pool2d_forward(rng, real, shape, kernel, stride, padding, kind=None):
    y, window = pooled(shape, kernel, stride, padding)
    x = drawn(rng, kind or real, *shape)
    return {"x": x, "window": window, "divisor": kernel[0] * kernel[1], "y": unset(real, *y)}


def of_pool(forward, *others):
    def gradients(a, results):
        x = a.get("x", np.zeros_like(a["dx"]))
        arguments = {"x": x, "window": a["window"], **{name: a[name] for name in others}}
        yield from adjoint(forward, arguments, {"y": a["dy"]}, [(results["dx"], x)])

    return gradients


@entry(
    cases=WINDOWS,
    large=(WIDE,),
    writes="dx",
    bound=of_window(("sum_pool2d_backward", "dx")),
    gradients=of_pool("sum_pool2d_forward", "divisor"),
)
def sum_pool2d_backward(rng, real, shape, kernel, stride, padding):
    y, window = pooled(shape, kernel, stride, padding)
    area, dx = kernel[0] * kernel[1], unset(real, *shape)
    return {"dy": normal(rng, real, *y), "window": window, "divisor": area, "dx": dx}


@entry(cases=POOLED, large=(WIDE,), writes=("y", "index"))
def max_pool2d_forward(rng, real, shape, kernel, stride, padding, kind=None):
    """Maxima are picked, not computed: bits are equal. Most windows of spikes are ties."""
    y, window = pooled(shape, kernel, stride, padding)
    x = drawn(rng, kind or real, *shape)
    return {"x": x, "window": window, "y": unset(x.dtype, *y), "index": unset(np.int16, *y)}


def of_maximum(a, results):
    """By an input whose maxima are at the indices."""
    x = np.random.default_rng(3).normal(size=a["dx"].shape)
    y, index = np.empty_like(a["dy"]), np.empty_like(a["index"])
    reference.max_pool2d_forward(x, a["window"], y, index)
    dx = np.empty_like(x)
    reference.max_pool2d_backward(a["dy"], index, a["window"], dx)

    def loss():
        reference.max_pool2d_forward(x, a["window"], y, index)
        return (a["dy"] * y).sum()

    yield dx, loss, x


@entry(
    cases=WINDOWS,
    large=(WIDE,),
    writes="dx",
    bound=of_window(("max_pool2d_backward", "dx")),
    gradients=of_maximum,
)
def max_pool2d_backward(rng, real, shape, kernel, stride, padding):
    """The indices are those of some input."""
    y, window = pooled(shape, kernel, stride, padding)
    index = unset(np.int16, *y)
    reference.max_pool2d_forward(normal(rng, real, *shape), window, unset(real, *y), index)
    return {"dy": normal(rng, real, *y), "index": index, "window": window, "dx": unset(real, *shape)}
