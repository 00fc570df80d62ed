"""The CPU target: kernels compiled with Numba, matrix products on BLAS, spread over all cores.

Memory is NumPy's here as well, and constrained parameters are a handful of numbers: both are the reference's own.
"""

from ..reference.array import empty, from_host, to_host, zeros
from ..reference.parametrise import positive_backward, positive_forward, unit_backward, unit_forward
from .conv import conv2d_backward_input, conv2d_backward_weight, conv2d_forward
from .dropout import dropout
from .elementwise import add, repeat, sum_steps
from .linear import bias_backward, linear_backward_input, linear_backward_weight, linear_forward
from .loss import rate_cross_entropy, spike_count_mse, temporal_cross_entropy
from .neuron import lif_backward, lif_forward, lif_reset
from .norm import batchnorm_backward, batchnorm_forward, moments, running_update
from .optim import adam_update, clamp, scale, sgd_update, sum_squares
from .pda import divergence, shift_update
from .pool import avg_pool2d_backward, avg_pool2d_forward, max_pool2d_backward, max_pool2d_forward

name = "cpu"

__all__ = [
    "adam_update", "add", "avg_pool2d_backward", "avg_pool2d_forward", "batchnorm_backward", "batchnorm_forward",
    "bias_backward", "clamp", "conv2d_backward_input", "conv2d_backward_weight", "conv2d_forward", "divergence",
    "dropout", "empty", "from_host", "lif_backward", "lif_forward", "lif_reset", "linear_backward_input",
    "linear_backward_weight", "linear_forward", "max_pool2d_backward", "max_pool2d_forward", "moments", "name",
    "positive_backward", "positive_forward", "rate_cross_entropy", "repeat", "running_update", "scale",
    "sgd_update", "shift_update", "spike_count_mse", "sum_squares", "sum_steps", "temporal_cross_entropy",
    "to_host", "unit_backward", "unit_forward", "zeros",
]  # fmt: skip
