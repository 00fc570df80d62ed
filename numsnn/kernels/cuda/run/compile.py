"""How CUDA kernels are compiled; what their machine code is keyed by stands in `kernels.compile`."""

from numba.extending import register_jitable

from ....machine_code import keep
from ...compile import shared_sources
from .api import SIMULATED, cuda

_SOURCES = shared_sources("cuda")


def kernel(function):
    """Compile a kernel. Multiplications and additions may be fused; nothing else is rounded otherwise than written:
    no approximate division, root or exponential, no flushing of denormals. Machine code is kept on disk."""
    made = cuda.jit(fastmath=False)(function)
    if SIMULATED:
        return made
    from numba.cuda.dispatcher import CUDACache

    return keep(made, CUDACache, _SOURCES)


def device(function):
    """Compile a function that kernels call, with each of them; to Python it stays what it is."""
    return register_jitable(function)
