"""The CUDA target: the CPU target's twins by name and argument, as Numba CUDA kernels."""

from .api import require_device
from .array import empty, from_host, put, to_host
from .integrator import integrator_backward, integrator_forward
from .memory import copy, feed, fill, zeros
from .neuron import lif_backward, lif_forward, lif_reset
from .recurrent import recurrent_backward, recurrent_forward

name = "cuda"
