"""The CUDA target: the CPU target's twins by name and argument, as Numba CUDA kernels."""

from .api import require_device
from .array import empty, from_host, put, to_host
from .conv import active_inputs, conv2d_backward_input, conv2d_backward_weight, conv2d_forward
from .linear import bias_backward, linear_backward_input, linear_backward_weight, linear_forward
from .memory import copy, feed, fill, zeros
from .pool import avg_pool2d_backward, avg_pool2d_forward, max_pool2d_backward, max_pool2d_forward
from .route import visible_limit

name = "cuda"
