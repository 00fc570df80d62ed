"""Losses on the readout. One call computes the losses of all samples and the gradient of their mean.

    losses, dz = RateCrossEntropy()(z, y)      # z [T, N, K], y [N]: losses [N], dz [T, N, K]

A loss says what a target is:

    one class per sample             `RateCrossEntropy`, `TET`, `SpikeCountMSE`, `MaxMembraneCrossEntropy`,
                                     `TimeToFirstSpike`
    one class per step               `StepCrossEntropy`
    several labels per sample        `BinaryCrossEntropy`
    numbers (regression, pictures)   `MeanSquaredError`, `MembraneMSE`

`MembraneMSE` and the losses of a user's own, `Pointwise`, take classes and labels, too. Losses can be added and
weighted: ``TET() + 0.1 * MembraneMSE()``. Penalties on the activity inside a network (`numsnn.RateBand`,
`numsnn.SpikePenalty`, `numsnn.Divergence`) are layers and can be combined with any loss. The constructor of a loss
raises a ValueError if an argument is not a number or is out of range.

The corresponding names in snnTorch are ce_rate_loss for ``TET(regulariser=0)``, ce_max_membrane_loss for
`MaxMembraneCrossEntropy`, mse_count_loss for `SpikeCountMSE`, mse_membrane_loss for `MembraneMSE` and ce_temporal_loss
for `TimeToFirstSpike`. `RateCrossEntropy` is the cross-entropy of the mean potential or of the mean firing rate.
"""

from .base import Loss, LossSum
from .classes import (
    TET,
    MaxMembraneCrossEntropy,
    RateCrossEntropy,
    SpikeCountMSE,
    StepCrossEntropy,
    TimeToFirstSpike,
    balanced,
)
from .values import BinaryCrossEntropy, MeanSquaredError, MembraneMSE, Pointwise

__all__ = [
    "TET",
    "BinaryCrossEntropy",
    "Loss",
    "LossSum",
    "MaxMembraneCrossEntropy",
    "MeanSquaredError",
    "MembraneMSE",
    "Pointwise",
    "RateCrossEntropy",
    "SpikeCountMSE",
    "StepCrossEntropy",
    "TimeToFirstSpike",
    "balanced",
]
