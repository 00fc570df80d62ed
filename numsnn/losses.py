"""Losses on the readout ``[T, N, K]``: mean over the samples of a batch, value and gradient in one pass."""

import numpy as np

from .describe import Described
from .errors import ShapeError
from .validate import number, within


class Loss(Described):
    """Base of all losses. A subclass writes ``evaluate(kernels, z, labels, loss, dz)``, which calls its kernel."""

    def __call__(self, kernels, z, labels, dtype=np.float32) -> tuple[np.ndarray, np.ndarray]:
        """Loss of every sample and the gradient of their mean.

        Args:
            kernels: functions of the target z lives on.
            z: readout ``[T, N, K]``, float or uint8 spikes.
            labels: ``[N]`` whole numbers from 0 to K - 1.
            dtype: of the gradient where z holds spikes; otherwise it is z's. Default float32.

        Returns:
            losses ``[N]`` on the host, dL/dz ``[T, N, K]`` on the target.

        Raises:
            ShapeError: the readout is not ``[T, N, K]``, or the labels do not go with it.
        """
        if z.ndim != 3:
            raise ShapeError(f"{type(self).__name__}: the readout must be [T, N, K]; got {z.shape}")
        labels = check_labels(type(self).__name__, labels, z.shape[1], z.shape[2])
        dtype = np.dtype(dtype) if z.dtype == np.uint8 else z.dtype
        dz = kernels.empty(z.shape, dtype)
        loss = kernels.empty((z.shape[1],), dtype)
        self.evaluate(kernels, z, kernels.from_host(labels, np.int64), loss, dz)
        return kernels.to_host(loss), dz

    def evaluate(self, kernels, z, labels, loss, dz):
        """Fill loss ``[N]`` and dz ``[T, N, K]``."""
        raise TypeError(f"{type(self).__name__} has no evaluate(kernels, z, labels, loss, dz)")


def check_labels(what: str, labels, samples: int, classes: int) -> np.ndarray:
    """Labels as int64 ``[N]``, refused with one line where they do not fit."""
    labels = np.asarray(labels)
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise ShapeError(
            f"{what}: labels must be {samples} whole numbers, one a sample; got {labels.dtype} of shape {labels.shape}"
        )
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        raise ShapeError(
            f"{what}: labels must lie in 0..{classes - 1} for a readout of {classes}; "
            f"got {labels[bad[0]]} at index {bad[0]}"
        )
    return labels.astype(np.int64)


class RateCrossEntropy(Loss):
    """Cross-entropy of the readout's mean over time.

    Args:
        label_smoothing: a in [0, 1); targets are (1 - a) onehot + a / K. Default 0.
    """

    def __init__(self, label_smoothing: float = 0.0):
        self.label_smoothing = within(
            "RateCrossEntropy: label_smoothing", label_smoothing, 0, 1, open_high=True
        )

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.rate_cross_entropy(z, labels, self.label_smoothing, loss, dz)


class TET(Loss):
    """Temporal efficient training (Deng et al. 2022, arXiv:2202.11946): the mean over time of every step's cross-
    entropy, mixed with the readout's squared distance from a target.

    Args:
        label_smoothing: a in [0, 1); targets are (1 - a) onehot + a / K. Default 0.
        regulariser: weight of the squared distance, in [0, 1]; the cross-entropy gets the rest. Default 0.05.
        target: readout the distance is measured from; usually the threshold. Default 1.
    """

    def __init__(self, label_smoothing: float = 0.0, regulariser: float = 0.05, target: float = 1.0):
        self.label_smoothing = within("TET: label_smoothing", label_smoothing, 0, 1, open_high=True)
        self.regulariser = within("TET: regulariser", regulariser, 0, 1)
        self.target = number("TET: target", target)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.temporal_cross_entropy(z, labels, self.label_smoothing, self.regulariser, self.target, loss, dz)


class SpikeCountMSE(Loss):
    """Squared distance of every class's firing rate from the one that is wanted, mean over classes.

    Args:
        correct_rate: wanted rate (spikes a step) of the label's class. Default 0.9.
        incorrect_rate: wanted rate of the others. Default 0.1.
    """

    def __init__(self, correct_rate: float = 0.9, incorrect_rate: float = 0.1):
        self.correct_rate = number("SpikeCountMSE: correct_rate", correct_rate)
        self.incorrect_rate = number("SpikeCountMSE: incorrect_rate", incorrect_rate)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.spike_count_mse(z, labels, self.correct_rate, self.incorrect_rate, loss, dz)
