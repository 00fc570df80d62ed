"""Penalties on the activity of a layer: value, and the gradient on what they act on.

s ``[M, F]`` holds spikes (uint8, or the numbers that relaxed mode has in their place): M rows are all that a unit's
firing rate r is averaged over, F the units. What the loss gains is the mean over units, times the weight: value is out,
every unit's share ``[F]``, and pull is out, the gradient of their sum on each of the unit's M spikes ``[F]``.
"""

import numpy as np


def rate_band(s, band, weight, value, pull):
    """A1, A2: squared distance of every unit's rate from a band (a `types.Band`): max(low - r, 0)^2 +
    max(r - high, 0)^2."""
    rows, units = s.shape
    rate = s.mean(0, dtype=np.float64)  # A1
    below, above = np.maximum(band.low - rate, 0), np.maximum(rate - band.high, 0)
    value[...] = weight / units * (below**2 + above**2)  # A2
    pull[...] = weight / (units * rows) * 2 * (above - below)


def rate_power(s, power, weight, value, pull):
    """A1, A3: every unit's rate (power 1) or squared rate (power 2)."""
    rows, units = s.shape
    rate = s.mean(0, dtype=np.float64)  # A1
    value[...] = weight / units * rate**power
    pull[...] = weight / (units * rows) * power * rate ** (power - 1)


def add_row(x, row, y):
    """A4: y[m] = x[m] + row for every row m: x, y ``[M, F]``, row ``[F]``."""
    y[...] = x + row


def add_affine(x, u, direct, y):
    """A4: y = x + slope u + offset: x, u, y ``[M, C]``, direct a `types.Direct`."""
    y[...] = x + direct.slope * u + direct.offset
