"""The CUDA target: the CPU target's twins by name and argument, as Numba CUDA kernels."""

from .activity import add_affine, add_row, rate_band, rate_power
from .api import require_device
from .array import empty, from_host, put, to_host
from .dropout import dropout
from .elementwise import (
    add,
    and_backward,
    and_forward,
    concat,
    delay_backward,
    delay_forward,
    iand_backward,
    iand_forward,
    repeat,
    split,
    sum_steps,
)
from .encode import poisson
from .groupnorm import groupnorm_backward, groupnorm_forward
from .loss import (
    first_spike_cross_entropy,
    max_membrane_cross_entropy,
    membrane_mse,
    rate_cross_entropy,
    spike_count_mse,
    temporal_cross_entropy,
)
from .memory import copy, feed, fill, zeros
from .norm import (
    batchnorm_backward,
    batchnorm_factor,
    batchnorm_fold,
    batchnorm_forward,
    moments,
    running_update,
    scale_steps_backward,
    scale_steps_forward,
)
from .parametrise import positive_backward, positive_forward, unit_backward, unit_forward
from .pda import divergence, merge_steps, normalised_moments, shift_update

name = "cuda"
