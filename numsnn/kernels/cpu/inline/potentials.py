"""Measurements of a row of potentials while it is in the cache: which potentials are visible, and their moments."""

from ... import equations as eq
from ...compile import register_jitable
from ...steps import settle_moments


@register_jitable
def see(u, theta, inverse_width, reach, visible):
    """D7: set visible to 1 for each potential within the surrogate's reach and to 0 for others, and return the count.

    The two loops are separate, because each of them is then vectorised.
    """
    count = 0
    for c in range(len(visible)):
        visible[c] = eq.visible(u[c] - theta[c], inverse_width[c], reach)
    for c in range(len(visible)):
        count += visible[c]
    return count


@register_jitable
def measure(u, shift, drift, square, opening):
    """Add one row's distances from the tile's first row to drift, and their squares to square.

    opening is true for the first row itself, which is stored in shift. Distances from a number near the mean keep a
    large mean from swallowing a small variance.
    """
    if opening:
        for c in range(len(square)):
            shift[c] = u[c]
        square[:] = drift[:] = type(u[0])(0)
        return
    for c in range(len(square)):
        distance = u[c] - shift[c]
        drift[c] += distance
        square[c] += distance * distance


@register_jitable
def finish(shift, drift, rows, mean, square):
    """M4: turn the sums of `measure` into the mean and the sum of squared distances from it, per channel."""
    for c in range(len(mean)):
        inverse = type(shift[c])(1) / type(shift[c])(rows)
        mean[c], square[c] = settle_moments(shift[c], drift[c], square[c], inverse)
