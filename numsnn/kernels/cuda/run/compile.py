"""How CUDA kernels are compiled. `kernels.compile` says which files belong to the key of their machine code."""

from ....machine_code import keep
from ...compile import register_jitable, shared_sources
from .api import SIMULATED, cuda

_SOURCES = shared_sources("cuda")


def kernel(function):
    """Compile a kernel, and keep its machine code on disk.

    Products and sums may be fused. All else is rounded as written: there is no approximate division, root or
    exponential, and denormal numbers are not flushed.
    """
    made = cuda.jit(fastmath=False)(function)
    if SIMULATED:
        return made
    from numba.cuda.dispatcher import CUDACache

    return keep(made, CUDACache, _SOURCES)


def device(function):
    """Mark a function that is compiled into the kernels that call it. It remains an ordinary Python function."""
    return register_jitable(function)
