"""What is found out about a row of potentials while it is computed: where the surrogate sees it, and its moments."""

from numba.extending import register_jitable

from ...steps import settle_moments


@register_jitable(inline="always")
def see(u, theta, inverse_width, reach, visible):
    """Mark the potentials within reach of the surrogate, and count them; a NaN is marked."""
    count = 0
    for c in range(len(visible)):
        visible[c] = not abs((u[c] - theta[c]) * inverse_width[c]) > reach
    for c in range(len(visible)):
        count += visible[c]
    return count


@register_jitable(inline="always")
def measure(u, shift, drift, square, opening):
    """Add a row of potentials to the sums of distances, and of squared distances, from the tile's first row."""
    if opening:
        for c in range(len(square)):
            shift[c] = u[c]
        square[:] = drift[:] = type(u[0])(0)
        return
    for c in range(len(square)):
        distance = u[c] - shift[c]
        drift[c] += distance
        square[c] += distance * distance


@register_jitable(inline="always")
def finish(shift, drift, rows, mean, square):
    """M4: turn these sums into the mean, and the sum of squared distances from it."""
    for c in range(len(mean)):
        inverse = type(shift[c])(1) / type(shift[c])(rows)
        mean[c], square[c] = settle_moments(shift[c], drift[c], square[c], inverse)
