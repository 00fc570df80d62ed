"""The width at which a surrogate sees a given share of the potentials, compiled into the kernels."""

import math

from . import equations as eq
from .compile import register_jitable
from .types import HALVINGS


@register_jitable
def window_width(gap, dev, share, reach, low, high):
    """P4: the width between low and high whose window has this share of a normal distribution; the nearer bound if
    there is none. gap is the distance of its mean from the threshold, and dev its deviation."""
    real = type(dev)
    dev = max(dev, real(1e-3) * low)  # all potentials alike: the window's edge goes through them
    for _ in range(HALVINGS):
        middle = real(math.sqrt(low * high))
        if eq.window_share(gap, dev, reach * middle) < share:
            low = middle
        else:
            high = middle
    return real(math.sqrt(low * high))
