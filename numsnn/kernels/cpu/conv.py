"""Convolution, by the route that `route` chooses. `reference.conv` documents it.

The input gradient is the convolution of dy with the rotated filter. With a stride, input pixels fall into classes by
their remainder. The pixels of one class are read by the same taps, so that each class is a convolution of stride 1.
"""

from functools import cache
from itertools import product as product_of

import numpy as np

from ..types import AUTO
from .route import by_input_pixel, choose, choose_transposed, groups_together, lacks, visible_limit, worth_sampling
from .ways import depthwise, events, lines, panels, planes, product, winograd, winograd_gradient
from .ways import visible as sparse_gradient
from .ways.active import Active, lent, sampled_share
from .ways.narrow import narrow_way
from .ways.row import ActiveRow, active_row

__all__ = [
    "active_inputs",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "lacks",
    "visible_limit",
]

PREPARED = {
    "dense": (panels.PACKED, 0),
    "events": events.PACKED,
    "lines": lines.PACKED,
    "winograd": winograd.PACKED,
}
"""Route, or "lines" -> the key under which its prepared weights are kept."""


def active_inputs(x, dtype, memory=None):
    """See `reference.conv.active_inputs`."""
    if x.ndim == 2 and len(x) == 1:
        return active_row(x, dtype, memory)
    active = Active(dtype) if memory is None or isinstance(memory, ActiveRow) else memory
    active.count(x if x.ndim == 4 else x.reshape(len(x), 1, 1, -1))
    return active


def _density(active, x, y):
    """The share of active inputs, or None if the arrays are too large for the route events."""
    return active.density if events.fits(x, y) else None


def _choose_transposed(way, passing, other, active, x, y, w, geometry):
    """Choose the route of a transposed convolution from x to y, or from y to x for its weight gradient.

    passing and other are as of `choose_transposed`, and active lists x.
    """
    stride, _, groups, dilation = geometry
    share = _density(active, x, y)
    where = stride, groups, x.shape[:3], dilation, active.listed
    return choose_transposed(way.route, passing, share, other, w, *where)


@cache
def _taps(kernel_size, padding, dilation):
    """The offsets of the taps from the pixel at which an output position starts, as tuples (vertical, horizontal)."""
    vertical, horizontal = (
        [by * k - pad for k in range(size)] for size, pad, by in zip(kernel_size, padding, dilation, strict=True)
    )
    return tuple(zip(*product_of(vertical, horizontal), strict=True))


def conv2d_forward(x, w, b, geometry, y, active=None, way=AUTO, kept=None):
    """See `reference.conv.conv2d_forward`."""
    stride, padding, groups, dilation = geometry
    active = active_inputs(x, w.dtype) if active is None else active
    ready = [name for name, key in PREPARED.items() if key in kept] if kept else ()
    share, extent = _density(active, x, y), y.shape[:3]
    route = choose(way.route, "forward", share, w, stride, groups, extent, ready, dilation, active.listed)
    if route == "grouped":
        depthwise.forward(x, w, b, stride, padding, dilation, y)
    elif route == "events":
        active.list(x)
        if groups > 1 or by_input_pixel("forward", share, w, stride, extent, ready, dilation):
            lines.forward(active, w, b, stride, padding, dilation, y, kept, groups)
        else:
            events.forward(active, w, b, stride, padding, dilation, y, kept)
    elif route == "winograd":
        winograd.convolve(x, w, b, padding, y, kept)
    else:
        bias = np.zeros(w.shape[3], w.dtype) if b is None else b
        inputs, outputs = w.shape[2], w.shape[3] // groups
        taps = _taps(w.shape[:2], tuple(padding), tuple(dilation))
        if groups_together("forward", w, stride, groups, extent):
            factors = w.reshape(-1, inputs, groups, outputs)
            planes.correlate_groups(x, taps, stride, factors, bias, y, kept=kept)
            return route
        narrow = narrow_way(taps, inputs, outputs, tuple(stride), extent[1:])
        for g in range(groups):
            first, last = g * outputs, (g + 1) * outputs
            if narrow:
                factors = narrow.pack(w[..., first:last].reshape(-1, inputs, outputs), kept, g)
            else:
                factors = panels.pack(w, first, outputs, kept, g)
            (narrow or product).correlate(x, g * inputs, taps, stride, factors, bias[first:last], y, first)
    return route


def conv2d_backward_weight(x, dy, geometry, dw, active=None, way=AUTO, active_dy=None):
    """See `reference.conv.conv2d_backward_weight`."""
    stride, padding, groups, dilation = geometry
    active = active_inputs(x, dw.dtype) if active is None else active
    share, extent = _density(active, x, dy), dy.shape[:3]
    if active_dy is None:
        route = choose(way.route, "weight", share, dw, stride, groups, extent, (), dilation, active.listed)
    else:
        route = _choose_transposed(way, "weight", ("weight", share), active_dy, dy, x, dw, geometry)
    if route == "lines":
        active_dy.list(dy)
        lines.backward_weight(active_dy, x, stride, padding, dilation, dw, groups, transposed=True)
        return "events"
    if route == "grouped":
        depthwise.backward_weight(x, dy, stride, padding, dilation, dw)
    elif route == "events":
        active.list(x)
        if groups > 1 or by_input_pixel("weight", share, dw, stride, extent, (), dilation):
            lines.backward_weight(active, dy, stride, padding, dilation, dw, groups)
        else:
            events.backward_weight(active, dy, stride, padding, dilation, dw)
    elif route == "winograd":
        winograd_gradient.weight_gradient(x, dy, padding, dw)
    else:
        inputs, outputs = dw.shape[2], dw.shape[3] // groups
        rows = dw.reshape(-1, dw.shape[3])
        taps = _taps(dw.shape[:2], tuple(padding), tuple(dilation))
        if groups_together("weight", dw, stride, groups, extent):
            planes.weight_gradient_groups(x, taps, stride, dy, rows, groups)
            return route
        way_of = narrow_way(taps, inputs, outputs, tuple(stride), extent[1:], True) or product
        for g in range(groups):
            mine = rows[:, g * outputs : (g + 1) * outputs]
            way_of.weight_gradient(x, g * inputs, taps, stride, dy, g * outputs, mine)
    return route


def conv2d_backward_input(dy, w, geometry, dx, way=AUTO, visible=None, active=None):
    """See `reference.conv.conv2d_backward_input`."""
    stride, padding, groups, dilation = geometry
    share = None if visible is None or dy.dtype != w.dtype else sparse_gradient.share(visible)
    active = _active_gradient(dy, w, geometry, share, way) if active is None else active
    if active is None:
        route = choose(way.route, "input", share, w, stride, groups, dy.shape[:3], (), dilation)
    else:
        route = _choose_transposed(way, "forward", ("input", share), active, dy, dx, w, geometry)
    if route == "lines":
        active.list(dy)
        lines.forward(active, w, None, stride, padding, dilation, dx, None, groups, transposed=True)
        return "events"
    if route == "grouped":
        depthwise.backward_input(dy, w, stride, padding, dilation, dx)
    elif route == "events":
        sparse_gradient.backward_input(visible, dy, w, stride, padding, dilation, dx)
    elif route == "winograd":
        winograd.convolve_backward_input(dy, w, padding, dx)
    else:
        for origin in product_of(*map(range, stride)):
            _backward_input_class(dy, w, geometry, dx, origin)
    return route


def _active_gradient(dy, w, geometry, share, way):
    """The counted active elements of dy, if so few are active in a sample that a list of them makes the input gradient
    faster. Maximum pooling passes the gradient on to one of its inputs only, and many surrogates have a limited reach.
    Otherwise None."""
    stride, _, groups, dilation = geometry
    other, where = ("input", share), (w, stride, groups, dy.shape[:3], dilation)
    if way.route != "auto" or dy.dtype != w.dtype or not worth_sampling(other, *where):
        return None
    if choose_transposed("auto", "forward", sampled_share(dy), other, *where[:-1], dilation, False) != "lines":
        return None
    return active_inputs(dy, dy.dtype, lent.get(dy.dtype))


def _backward_input_class(dy, w, geometry, dx, origin):
    """Compute dx of one class of pixels: origin, origin + stride and so on, vertically and horizontally."""
    stride, padding, groups, dilation = geometry
    taps, offsets = _class(w.shape[:2], origin, tuple(stride), tuple(padding), tuple(dilation))
    if not taps:
        dx[:, origin[0] :: stride[0], origin[1] :: stride[1]] = 0
    if not taps or origin[0] >= dx.shape[1] or origin[1] >= dx.shape[2]:
        return
    inputs, outputs = w.shape[2], w.shape[3] // groups
    if groups_together("input", w, stride, groups, dy.shape[:3]):
        turned = w.reshape(-1, inputs, groups, outputs)[list(taps)].transpose(0, 3, 2, 1)
        nothing = np.zeros(dx.shape[3], dx.dtype)
        planes.correlate_groups(dy, offsets, (1, 1), turned, nothing, dx, origin, tuple(stride))
        return
    nothing = np.zeros(inputs, dx.dtype)
    for g in range(groups):
        where = dx, g * inputs, origin, tuple(stride)
        narrow = narrow_way(offsets, outputs, inputs, (1, 1), dy.shape[1:3])
        if narrow:
            turned = w.reshape(-1, inputs, w.shape[3])[list(taps), :, g * outputs : (g + 1) * outputs]
            factors = narrow.pack(turned.transpose(0, 2, 1))
            narrow.correlate(dy, g * outputs, offsets, (1, 1), factors, nothing, *where)
        else:
            packed = panels.pack_transposed(w, taps, g * outputs, outputs)
            product.correlate(dy, g * outputs, offsets, (1, 1), packed, nothing, *where)


@cache
def _class(kernel_size, origin, stride, padding, dilation):
    """The taps that read the pixels of one class: their numbers in the filter, and their offsets as of `_taps`."""
    numbers, offsets = [], []
    for size, first, step, pad, by in zip(kernel_size, origin, stride, padding, dilation, strict=True):
        taps = [k for k in range(size) if (first + pad - by * k) % step == 0]
        numbers.append(taps)
        offsets.append([(first + pad - by * k) // step for k in taps])
    taps = tuple(ky * kernel_size[1] + kx for ky, kx in product_of(*numbers))
    return taps, tuple(zip(*product_of(*offsets), strict=True))
