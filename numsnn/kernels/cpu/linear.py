"""The linear layer, computed as a convolution of single pixels, or by `ways.row` for a single row.

`reference.linear` documents it.
"""

from ..types import AUTO, Geometry
from .conv import conv2d_backward_input, conv2d_backward_weight, conv2d_forward
from .run.reduce import column_sum
from .ways import row
from .ways.row import ActiveRow

_GEOMETRY = Geometry()


def _pixels(x):
    """x ``[M, C]`` as an array of single pixels, ``[M, 1, 1, C]``."""
    return x.reshape(len(x), 1, 1, x.shape[1])


def linear_forward(x, w, b, y, active=None, way=AUTO, kept=None):
    """See `reference.linear.linear_forward`."""
    if isinstance(active, ActiveRow):
        if way.route in ("auto", "events"):
            row.forward(active, w, b, y)
            return "events"
        active.list()  # for its density; other routes count in another form
        active = None
    return conv2d_forward(_pixels(x), w[None, None], b, _GEOMETRY, _pixels(y), active, way, kept)


def linear_backward_weight(x, dy, dw, active=None, way=AUTO):
    """See `reference.linear.linear_backward_weight`."""
    active = None if isinstance(active, ActiveRow) else active
    return conv2d_backward_weight(_pixels(x), _pixels(dy), _GEOMETRY, dw[None, None], active, way)


def linear_backward_input(dy, w, dx, way=AUTO, visible=None):
    """See `reference.linear.linear_backward_input`."""
    visible = None if visible is None else _pixels(visible)
    return conv2d_backward_input(_pixels(dy), w[None, None], _GEOMETRY, _pixels(dx), way, visible)


def bias_backward(dy, db):
    """See `reference.linear.bias_backward`."""
    column_sum(dy, db)
