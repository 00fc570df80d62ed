"""Losses that act on potentials themselves (D5, D6), for samples of neurons."""

import numpy as np
from registry import normal, unset

from numsnn.kernels.types import Direct

NUMBERS = len(Direct._fields) - 1
"""Arrays ``[C]`` of a `types.Direct`: all but ends."""


def drawn_direct(rng, real, channels, ends=None):
    return Direct(*normal(rng, real, NUMBERS, channels), ends)


def unset_direct(real, channels):
    return Direct(*(unset(real, channels) for _ in range(NUMBERS)))


def loss_on(direct, u):
    """The loss of every potential, whose derivative is `pull_on`; 0 without one."""
    return 0 if direct is None else direct.offset * u + direct.slope * np.square(u - direct.centre) / 2


def pull_on(direct, u):
    return direct.offset + direct.slope * (u - direct.centre)
