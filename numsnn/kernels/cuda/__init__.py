"""The CUDA target: the CPU target's twins by name and argument, as Numba CUDA kernels."""

from .activity import add_affine, add_row, rate_band, rate_power
from .array import empty, from_host, put, to_host
from .conv import active_inputs, conv2d_backward_input, conv2d_backward_weight, conv2d_forward
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
from .integrator import integrator_backward, integrator_forward
from .linear import bias_backward, linear_backward_input, linear_backward_weight, linear_forward
from .loss import (
    first_spike_cross_entropy,
    max_membrane_cross_entropy,
    membrane_mse,
    rate_cross_entropy,
    spike_count_mse,
    temporal_cross_entropy,
)
from .memory import copy, feed, fill, zeros
from .neuron import lif_backward, lif_forward, lif_reset
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
from .optim import adam_update, scale, sgd_update, sum_squares
from .parametrise import positive_backward, positive_forward, unit_backward, unit_forward
from .pda import divergence, merge_steps, normalised_moments, shift_update
from .pool import avg_pool2d_backward, avg_pool2d_forward, max_pool2d_backward, max_pool2d_forward
from .recurrent import recurrent_backward, recurrent_forward
from .route import visible_limit

name = "cuda"

__all__ = [
    "active_inputs",
    "adam_update",
    "add",
    "add_affine",
    "add_row",
    "and_backward",
    "and_forward",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batchnorm_backward",
    "batchnorm_factor",
    "batchnorm_fold",
    "batchnorm_forward",
    "bias_backward",
    "concat",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "copy",
    "delay_backward",
    "delay_forward",
    "divergence",
    "dropout",
    "empty",
    "feed",
    "fill",
    "first_spike_cross_entropy",
    "from_host",
    "groupnorm_backward",
    "groupnorm_forward",
    "iand_backward",
    "iand_forward",
    "integrator_backward",
    "integrator_forward",
    "lif_backward",
    "lif_forward",
    "lif_reset",
    "linear_backward_input",
    "linear_backward_weight",
    "linear_forward",
    "max_membrane_cross_entropy",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "membrane_mse",
    "merge_steps",
    "moments",
    "name",
    "normalised_moments",
    "poisson",
    "positive_backward",
    "positive_forward",
    "put",
    "rate_band",
    "rate_cross_entropy",
    "rate_power",
    "recurrent_backward",
    "recurrent_forward",
    "repeat",
    "running_update",
    "scale",
    "scale_steps_backward",
    "scale_steps_forward",
    "sgd_update",
    "shift_update",
    "spike_count_mse",
    "split",
    "sum_squares",
    "sum_steps",
    "temporal_cross_entropy",
    "to_host",
    "unit_backward",
    "unit_forward",
    "visible_limit",
    "zeros",
]
