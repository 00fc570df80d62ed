"""Convolution, by the route that `route` chooses. `reference.conv` documents it."""

from ..types import AUTO
from .route import choose, lacks, name_of, visible_limit
from .ways import grouped, library, product

__all__ = [
    "active_inputs",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "lacks",
    "visible_limit",
]


def active_inputs(x, dtype, memory=None):
    """See `reference.conv.active_inputs`. It returns None, because on a GPU counting would cost more than it saves."""


def conv2d_forward(x, w, b, geometry, y, active=None, way=AUTO, kept=None):
    """See `reference.conv.conv2d_forward`."""
    stride, padding, groups, dilation = geometry
    route = choose(way, w, groups)
    if route == "grouped":
        grouped.forward(x, w, b, stride, padding, groups, dilation, y)
    elif route == "dense":
        product.forward(x, w, b, stride, padding, groups, dilation, y)
    else:
        library.forward(x, w, b, stride, padding, dilation, y, way.precision)
    return name_of(route, way)


def conv2d_backward_weight(x, dy, geometry, dw, active=None, way=AUTO, active_dy=None):
    """See `reference.conv.conv2d_backward_weight`."""
    stride, padding, groups, dilation = geometry
    route = choose(way, dw, groups)
    if route == "grouped":
        grouped.backward_weight(x, dy, stride, padding, groups, dilation, dw)
    elif route == "dense":
        product.backward_weight(x, dy, stride, padding, groups, dilation, dw)
    else:
        library.backward_weight(x, dy, stride, padding, dilation, dw, way.precision)
    return name_of(route, way)


def conv2d_backward_input(dy, w, geometry, dx, way=AUTO, visible=None, active=None):
    """See `reference.conv.conv2d_backward_input`."""
    stride, padding, groups, dilation = geometry
    route = choose(way, w, groups)
    if route == "grouped":
        grouped.backward_input(dy, w, stride, padding, groups, dilation, dx)
    elif route == "dense":
        product.backward_input(dy, w, stride, padding, groups, dilation, dx)
    else:
        library.backward_input(dy, w, stride, padding, dilation, dx, way.precision)
    return name_of(route, way)
