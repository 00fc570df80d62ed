"""Encoding by random spikes, as CUDA kernels. `reference.encode` documents it."""

import numpy as np

from .inline.chance import uniform_bits
from .inline.rows import launch_rows
from .run.api import cuda
from .run.compile import kernel


def _poisson_kernel(dtype):
    real, unit = dtype, dtype(2**-24)

    @kernel
    def draw_spikes(x, indices, first, seed, s):
        """Draw the spikes s. A random number of 24 bits is exact in both float types, and so is its comparison."""
        steps, samples, features = s.shape
        f, row = cuda.grid(2)
        _, stride = cuda.gridsize(2)
        if f < features:
            for n in range(row, samples, stride):
                rate = real(x[n, f])
                place = (np.uint64(indices[n]) << np.uint64(40)) + np.uint64(first * features + f)
                for t in range(steps):
                    bits = uniform_bits(seed, place + np.uint64(t * features))
                    s[t, n, f] = real(np.uint32(bits)) * unit < rate

    return draw_spikes


_draw_spikes = {np.dtype(real): _poisson_kernel(real) for real in (np.float32, np.float64)}


def poisson(x, indices, first, seed, s):
    """See `reference.encode.poisson`."""
    draw = _draw_spikes.get(x.dtype, _draw_spikes[np.dtype(np.float32)])  # whole numbers are compared in float32
    launch_rows(draw, *s.shape[1:], x, indices, first, np.uint64(seed), s)
