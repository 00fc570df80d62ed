"""Checks of what pictures and reports are made of."""

import numpy as np

from ..shown import shown
from ..validate import listed, real_array


def counts_of(matrix, what: str) -> np.ndarray:
    """Return counts of a confusion, ``[K, K]``, as an array of whole numbers.

    Args:
        matrix: the counts.
        what: begins the message.

    Raises:
        ValueError: they are something else.
    """
    counts = real_array(matrix)
    if counts is None or counts.dtype.kind == "b":
        raise ValueError(f"{what}: matrix must be counts [K, K]; got {shown(matrix)}")
    if counts.ndim != 2:
        raise ValueError(f"{what}: matrix must be [K, K]; got {counts.ndim} axes")
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(f"{what}: matrix must hold counts of at least 0; got {shown(matrix)}")
    return counts


def names_of(classes, what: str) -> list[str]:
    """Return names of classes as a list of texts; the message of a ValueError begins with what."""
    names = list(classes) if isinstance(classes, str) else listed(f"{what}: classes", classes, "names")
    return [name if isinstance(name, str) else shown(name) for name in names]
