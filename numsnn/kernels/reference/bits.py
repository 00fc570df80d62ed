"""Spikes as bits: eight spikes per byte."""

import numpy as np


def pack_bits(s, bits):
    """Set bit k % 8 of bits[k // 8] to spike k; the bits behind the last spike are 0.

    Args:
        s: ``[F]`` uint8, zeros and ones.
        bits: output, ``[(F + 7) // 8]`` uint8.
    """
    bits[...] = np.packbits(s, bitorder="little")


def unpack_bits(bits, s):
    """Set spike k to bit k % 8 of bits[k // 8]: the inverse of `pack_bits`.

    Args:
        bits: ``[(F + 7) // 8]`` uint8.
        s: output, ``[F]`` uint8.
    """
    s[...] = np.unpackbits(bits, count=len(s), bitorder="little")
