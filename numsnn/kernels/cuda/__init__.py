"""The CUDA target: the CPU target's twins by name and argument, as Numba CUDA kernels."""

from .api import device_info, require_device
from .array import empty, from_host, put, to_host
from .memory import copy, feed, fill, zeros
from .optim import adam_update, scale, sgd_update, sum_squares

name = "cuda"
