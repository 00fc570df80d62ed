"""The one place that says how CUDA kernels are compiled."""

from .api import cuda


def kernel(function):
    """Compile a kernel. Multiplications and additions may be fused; nothing else is rounded otherwise than written:
    no approximate division, root or exponential, no flushing of denormals. Machine code is kept on disk."""
    return cuda.jit(cache=True, fastmath=False)(function)


def device(function):
    """Compile a function that kernels call."""
    return cuda.jit(device=True, fastmath=False)(function)
