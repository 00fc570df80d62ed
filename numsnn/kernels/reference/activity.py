"""Penalties on the activity of a layer, and their gradients.

s ``[M, F]`` holds the spikes (uint8, or real numbers in relaxed mode) of F units in M rows. The firing rate r of a unit
is the mean over the M rows. The loss gains weight times the mean penalty over units.

The outputs are value ``[F]``, each unit's term in the loss, and pull ``[F]``, the gradient of the loss by each of the M
spikes of the unit.
"""

import numpy as np


def rate_band(s, band, weight, value, pull):
    """A1, A2: the squared distance of each unit's rate from a band: max(low - r, 0)^2 + max(r - high, 0)^2.

    band is a `types.Band`.
    """
    rows, units = s.shape
    rate = s.mean(0, dtype=np.float64)  # A1
    below, above = np.maximum(band.low - rate, 0), np.maximum(rate - band.high, 0)
    value[...] = weight / units * (below**2 + above**2)  # A2
    pull[...] = weight / (units * rows) * 2 * (above - below)


def rate_power(s, power, weight, value, pull):
    """A1, A3: each unit's rate (power is 1) or squared rate (power is 2)."""
    rows, units = s.shape
    rate = s.mean(0, dtype=np.float64)  # A1
    value[...] = weight / units * rate**power  # A3
    pull[...] = weight / (units * rows) * power * rate ** (power - 1)


def add_row(x, row, y):
    """A4: y[m] = x[m] + row for every row m. x and y, the output, are ``[M, F]``, and row is ``[F]``."""
    y[...] = x + row


def add_affine(x, u, direct, y):
    """A4: y = x + offset + slope (u - centre). x, u and y, the output, are ``[M, C]``. direct is a `types.Direct`."""
    y[...] = x + (direct.offset + direct.slope * (u - direct.centre))
