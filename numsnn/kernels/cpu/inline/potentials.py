"""Measurements of a row of potentials while it is in the cache: which potentials are visible, and their moments."""

from ... import equations as eq
from ...compile import register_jitable
from ...steps import settle_moments
from .access import read, write
from .runs import clear_run, copy_run


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
def measure(u, shift, drift, square, block, t, left, n, opening):
    """Add the distances of a row u[:n] from the tile's first row to drift, and their squares to
    square[block, t, left : left + n].

    opening is true for the first row itself, which is stored in shift. Distances from a number near the mean keep a
    large mean from swallowing a small variance.
    """
    if opening:
        copy_run(shift, 0, u, 0, n)
        clear_run(drift, 0, n)
        clear_run(square, (block, t, left), n)
        return
    for c in range(n):
        distance = read(u, "potential", c) - read(shift, "value", c)
        write(drift, "drift", c, read(drift, "drift", c) + distance)
        total = read(square, "square", (block, t, left + c)) + distance * distance
        write(square, "square", (block, t, left + c), total)


@register_jitable
def finish(shift, drift, rows, mean, square, block, t, left, n):
    """M4: turn the sums of `measure` into the mean and the sum of squared distances from it, per channel."""
    inverse = type(shift[0])(1) / type(shift[0])(rows)
    for c in range(n):
        at = block, t, left + c
        found = settle_moments(read(shift, "value", c), read(drift, "drift", c), read(square, "square", at), inverse)
        write(mean, "mean", at, found[0])
        write(square, "square", at, found[1])
