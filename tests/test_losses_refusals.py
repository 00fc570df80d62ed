"""Labels, readouts and settings that losses refuse: one line that names the loss, what came and what was expected."""

import math
import re

import numpy as np
import pytest
from readouts import LABELS, K, N, T, readout

import numsnn as snn
from numsnn.kernels import for_device
from numsnn.losses import (
    TET,
    Loss,
    LossSum,
    MaxMembraneCrossEntropy,
    MembraneMSE,
    RateCrossEntropy,
    SpikeCountMSE,
    TimeToFirstSpike,
)

reference = for_device("reference")

COUNT = "labels must be 3 whole numbers, one per sample; got"
RANGE = "labels must lie in 0..4 for a readout of 5; got"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.astype(float), f"{COUNT} float64 of shape (3,)"),
        (LABELS == 1, f"{COUNT} bool of shape (3,)"),
        (["1", "4", "0"], f"{COUNT} <U1 of shape (3,)"),
        (LABELS[:2], f"{COUNT} int64 of shape (2,)"),
        (
            np.zeros(T, int),
            f"{COUNT} int64 of shape (4,). There are as many as steps: the input of a network is [T, N, ...], for "
            "example x.swapaxes(0, 1)",
        ),
        (LABELS[:, None], f"{COUNT} int64 of shape (3, 1)"),
        (np.eye(3, K, dtype=int), f"{COUNT} int64 of shape (3, 5)"),
        (1, f"{COUNT} int64 of shape ()"),
        ([1, 5, 0], f"{RANGE} 5 at index 1"),
        ([1, 4, -1], f"{RANGE} -1 at index 2"),
        (np.array([255, 0, 0], np.uint8), f"{RANGE} 255 at index 0"),
    ],
)
@pytest.mark.parametrize(
    "loss",
    [RateCrossEntropy(), TET(), SpikeCountMSE(), MaxMembraneCrossEntropy(), TimeToFirstSpike()],
    ids=lambda loss: type(loss).__name__,
)
def test_labels_that_are_refused(loss, labels, message):
    with pytest.raises(snn.ShapeError, match=f"^{type(loss).__name__}: {re.escape(message)}$"):
        loss(readout(), labels, reference)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (LABELS == 1, "wanted values must have the readout's shape (4, 3, 5), or (3, 5); got (3,)"),
        ([1, 5, 0], f"{RANGE} 5 at index 1"),
        (np.full((N, K), 2), "labels must be 0 or 1; for values, give floats: y.astype(numpy.float32)"),
        (LABELS.astype(float), "wanted values must have the readout's shape (4, 3, 5), or (3, 5); got (3,)"),
        (np.zeros((1, N, K)), "wanted values must have the readout's shape (4, 3, 5), or (3, 5); got (1, 3, 5)"),
        (np.full((N, K), np.nan), "wanted values must be finite; got NaN or inf among them"),
    ],
)
def test_targets_that_are_refused(targets, message):
    with pytest.raises(ValueError, match=f"^MembraneMSE: {re.escape(message)}$"):
        MembraneMSE()(readout(), targets, reference)


def test_readouts_that_are_no_spikes():
    z = np.full((T, N, K), 0.5)
    z[1, 2, 3] = 1.25
    message = (
        "TimeToFirstSpike: the readout must be spikes, between 0 and 1; got 1.25 at index (1, 2, 3). "
        "The last layer must be a neuron"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TimeToFirstSpike()(z, LABELS, reference)


@pytest.mark.parametrize(("shape", "hint"), [((N, K), ""), ((T, N, 2, 2, K), ". Put a Flatten before the last layer")])
def test_readouts_that_are_refused(shape, hint):
    message = f"TET: the readout must be [T, N, K]; got {shape}{hint}"
    with pytest.raises(snn.ShapeError, match=f"^{re.escape(message)}$"):
        TET()(np.zeros(shape), LABELS, reference)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RateCrossEntropy(1.0), "RateCrossEntropy: label_smoothing must lie in [0, 1); got 1.0"),
        (lambda: RateCrossEntropy(-0.1), "RateCrossEntropy: label_smoothing must lie in [0, 1); got -0.1"),
        (lambda: TET(label_smoothing=2), "TET: label_smoothing must lie in [0, 1); got 2"),
        (lambda: TET(regulariser=1.1), "TET: regulariser must lie in [0, 1]; got 1.1"),
        (lambda: TET(target=None), "TET: target must be a finite number; got None"),
        (
            lambda: MaxMembraneCrossEntropy(1.0),
            "MaxMembraneCrossEntropy: label_smoothing must lie in [0, 1); got 1.0",
        ),
        (lambda: TimeToFirstSpike(0), "TimeToFirstSpike: temperature must be positive; got 0"),
        (lambda: TimeToFirstSpike(1.0, -1), "TimeToFirstSpike: label_smoothing must lie in [0, 1); got -1"),
        (lambda: MembraneMSE(math.inf), "MembraneMSE: correct must be a finite number; got inf"),
        (lambda: MembraneMSE(incorrect="0"), "MembraneMSE: incorrect must be a finite number; got '0'"),
        (lambda: LossSum(), "LossSum: needs at least one loss"),
        (lambda: LossSum(TET(), 3), "LossSum: every argument must be a loss; got 3"),
        (lambda: LossSum(TET(), weights=(1, 2)), "LossSum: needs 1 weights, one per loss; got 2"),
        (lambda: LossSum(TET(), weights=(None,)), "LossSum: weights must be a finite number; got None"),
        (lambda: math.nan * TET(), "a loss's weight must be a finite number; got nan"),
        (lambda: SpikeCountMSE("0.9"), "SpikeCountMSE: correct_rate must be a finite number; got '0.9'"),
        (
            lambda: SpikeCountMSE(incorrect_rate=math.nan),
            "SpikeCountMSE: incorrect_rate must be a finite number; got nan",
        ),
    ],
)
def test_settings_that_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


class UnwrittenLoss(Loss):
    """Writes nothing of what a loss has to write."""

    def __init__(self):
        pass


def test_what_a_loss_has_to_write():
    message = "UnwrittenLoss has no read(y, shape)"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        UnwrittenLoss()(readout(), LABELS, reference)
