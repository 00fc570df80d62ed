"""The one place that says how CUDA kernels are compiled."""

from numba.extending import register_jitable

from .api import cuda


def kernel(function):
    """Compile a kernel. Multiplications and additions may be fused; nothing else is rounded otherwise than written:
    no approximate division, root or exponential, no flushing of denormals. Machine code is kept on disk."""
    return cuda.jit(cache=True, fastmath=False)(function)


def device(function):
    """Compile a function that kernels call, with each of them. To Python it stays what it is: what a kernel closes over
    is part of its key on disk, and a compiled function would be another one in every process."""
    return register_jitable(function)
