"""Convolution: picks the way for what came (`route`); `reference.conv` is the text all ways equal."""

from .route import choose, visible_limit
from .ways import grouped, library, product

__all__ = ["active_inputs", "conv2d_backward_input", "conv2d_backward_weight", "conv2d_forward", "visible_limit"]


def active_inputs(x, dtype, memory=None):
    """See `reference.conv.active_inputs`: nothing, as counting would cost more than it saves."""


def conv2d_forward(x, w, b, stride, padding, groups, y, active=None, route="auto", kept=None):
    """See `reference.conv.conv2d_forward`."""
    route = choose(route, w, groups)
    if route == "grouped":
        grouped.forward(x, w, b, stride, padding, groups, y)
    elif route == "dense":
        product.forward(x, w, b, stride, padding, groups, y)
    else:
        library.forward(x, w, b, stride, padding, y, route)
    return route


def conv2d_backward_weight(x, dy, stride, padding, groups, dw, active=None, route="auto"):
    """See `reference.conv.conv2d_backward_weight`."""
    route = choose(route, dw, groups)
    if route == "grouped":
        grouped.backward_weight(x, dy, stride, padding, groups, dw)
    elif route == "dense":
        product.backward_weight(x, dy, stride, padding, groups, dw)
    else:
        library.backward_weight(x, dy, stride, padding, dw, route)
    return route


def conv2d_backward_input(dy, w, stride, padding, groups, dx, route="auto", visible=None):
    """See `reference.conv.conv2d_backward_input`."""
    route = choose(route, w, groups)
    if route == "grouped":
        grouped.backward_input(dy, w, stride, padding, groups, dx)
    elif route == "dense":
        product.backward_input(dy, w, stride, padding, groups, dx)
    else:
        library.backward_input(dy, w, stride, padding, dx, route)
    return route
