"""Which share of a layer's potentials the surrogate cannot see, as it is and as normal distributions would have it."""

import numpy as np
from scipy.special import ndtr

from ..kernels.reference.surrogate import DENSITY
from ..psg import FAMILIES, Surrogate


def window_shares(
    u: np.ndarray, theta: np.ndarray, width: np.ndarray, surrogate: Surrogate
) -> tuple[np.ndarray, np.ndarray]:
    """Measure the undesired potentials, and compute the window share that normal distributions would have
    (docs/method.md, D7, D10).

    The second share is computed for each channel from its own mean and standard deviation, and then averaged, instead
    of from those of the whole layer. Normalisation, threshold, width and PDA all belong to channels. Channels with
    different means are healthy, but their mixture is not normally distributed; averaged in this way, the share departs
    from the measured one only where the potentials of a channel do.

    Args:
        u: potentials ``[T, M, C]``.
        theta: thresholds, ``[C]``, ``[1]``, or ``[T, M, C]`` if they adapt.
        width: widths of the surrogate, ``[C]`` or ``[1]``.
        surrogate: its family.

    Returns:
        undesired: ``[T]``, share of the potentials outside the surrogate window; a NaN counts as outside.
        normal: ``[T]``, share inside the window if the potentials of every channel and step were normally distributed;
            NaN in steps with a potential, threshold or width that is not finite.
    """
    z = (u - theta) / width
    seen = DENSITY[surrogate.family](z) > 0 if FAMILIES[surrogate.family].compact else np.abs(z) <= surrogate.reach
    gap, dev = np.abs(z.mean(1, dtype=np.float64)), z.std(1, dtype=np.float64)
    # The window is symmetric, so that the sign of the gap does not matter. With a positive one, small shares are
    # differences of small numbers; those of numbers close to 1 would have no digits left.
    normal = ndtr((surrogate.reach - gap) / dev) - ndtr((-surrogate.reach - gap) / dev)  # D10
    normal = np.where(dev == 0, seen.mean(1), normal)  # without a spread, the edge of the window decides
    return (~seen).mean((1, 2)), normal.mean(1)
