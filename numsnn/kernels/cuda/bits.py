"""Spikes as bits, as CUDA kernels. `reference.bits` documents it."""

import numpy as np

from .run.api import cuda
from .run.compile import kernel
from .run.launch import launch_flat


@kernel
def _pack(s, bits, count):
    total = s.shape[0]
    for byte in range(cuda.grid(1), count, cuda.gridsize(1)):
        found = 0
        for k in range(8 * byte, min(8 * byte + 8, total)):
            found |= s[k] << (k & 7)
        bits[byte] = np.uint8(found)


@kernel
def _unpack(bits, s, count):
    for k in range(cuda.grid(1), count, cuda.gridsize(1)):
        s[k] = (bits[k >> 3] >> (k & 7)) & 1


def pack_bits(s, bits):
    """See `reference.bits.pack_bits`."""
    launch_flat(_pack, bits.size, s, bits)


def unpack_bits(bits, s):
    """See `reference.bits.unpack_bits`."""
    launch_flat(_unpack, s.size, bits, s)
