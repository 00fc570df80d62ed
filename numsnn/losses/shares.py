"""What the steps and samples of a batch count in a loss."""

from functools import lru_cache

import numpy as np

from ..errors import ShapeError
from ..kernels.types import Shares
from ..shown import shown
from .target import Wanted, array_of


def counted_steps(what: str, steps: int, samples: int, lengths, mask) -> np.ndarray | None:
    """Return which steps count, ``[T, N]`` truth values; None if all do.

    Args:
        what: begins the messages.
        steps, samples: T and N.
        lengths, mask: as for `Loss.__call__`.

    Raises:
        ShapeError: lengths or mask do not fit.
    """
    counted = None
    if lengths is not None:
        lengths = array_of(what, "lengths", lengths)
        if lengths.shape != (samples,) or lengths.dtype.kind not in "iu" or lengths.min() < 0 or lengths.max() > steps:
            raise ShapeError(
                f"{what}: lengths must be {samples} whole numbers in 1..{steps}; got {shown(lengths.tolist())}"
            )
        counted = np.arange(steps)[:, None] < lengths
    if mask is not None:
        mask = array_of(what, "mask", mask)
        if mask.shape != (steps, samples) or mask.dtype.kind != "b":
            raise ShapeError(
                f"{what}: mask must be truth values of shape {(steps, samples)}; got {mask.dtype} of shape {mask.shape}"
            )
        counted = mask if counted is None else counted & mask
        if not counted.any(0).all():
            within = "" if lengths is None else " within its length"
            raise ShapeError(
                f"{what}: mask must have a step{within} for every sample; sample {counted.any(0).argmin()} has none"
            )
    return counted


def shares_of(what: str, kernels, shape, dtype, counted, wanted: Wanted, weights) -> Shares:
    """Return the shares of the steps and the factors of the samples, on the device.

    Args:
        what: begins the messages.
        kernels: kernels of the device.
        shape: (T, N).
        dtype: dtype of the arrays.
        counted: which steps count, or None.
        wanted: the targets: steps without a target do not count, and targets may have weights.
        weights: weights of the samples, or None.

    Raises:
        ShapeError, ValueError: the weights do not fit, or are not finite numbers of at least 0.
    """
    steps, samples = shape
    if counted is None and weights is None and wanted.labelled is None and wanted.weights is None:
        return _plain(kernels, steps, samples, dtype)
    if counted is None:
        counted = np.ones(shape, bool)
    if wanted.labelled is not None:
        counted = counted & wanted.labelled
    share = counted / np.maximum(counted.sum(0), 1)
    factor = np.where(counted.any(0), 1.0, 0.0)
    if weights is not None:
        factor = factor * _checked_weights(what, weights, samples)
    if wanted.weights is not None and wanted.weights.ndim == 2:
        share = share * wanted.weights
    elif wanted.weights is not None:
        factor = factor * wanted.weights
    return Shares(kernels.from_host(share, dtype), kernels.from_host(factor, dtype))


@lru_cache(maxsize=16)
def _plain(kernels, steps, samples, dtype):
    """Return the shares of a batch whose steps and samples all count the same."""
    share, factor = np.full((steps, samples), 1 / steps), np.ones(samples)
    return Shares(kernels.from_host(share, dtype), kernels.from_host(factor, dtype))


def _checked_weights(what, weights, samples):
    weights = array_of(what, "weights", weights)
    if weights.shape != (samples,) or weights.dtype.kind not in "biuf":
        raise ShapeError(
            f"{what}: weights must be {samples} numbers, one per sample; got {weights.dtype} of shape {weights.shape}"
        )
    bad = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if bad.size:
        raise ValueError(f"{what}: weights must be finite and at least 0; got {weights[bad[0]]!s} at index {bad[0]}")
    return weights
