"""Spikes as bits, compiled. `reference.bits` documents it.

Eight spikes are one number of 64 bits whose lowest byte is the first of them, so that a loop over such numbers is
vectorised. The processors that numsnn compiles for store the lowest byte first.
"""

import numpy as np

from ..compile import kernel
from .run.launch import TILE_ELEMENTS, count_tiles, launch

_ONE_A_BYTE = np.uint64(0x0101010101010101)
_MOST_A_BYTE = np.uint64(0x7F7F7F7F7F7F7F7F)
_BIT_OF_BYTE = np.uint64(0x8040201008040201)
"""Bit k of byte k, for the eight bytes."""

_INTO_TOP = np.uint64(0x0102040810204080)
"""The factor that moves the lowest bit of byte k to bit 56 + k. Other products of bits do not meet there."""

BYTES_PER_TILE = TILE_ELEMENTS
"""Bytes of eight bits per tile, which are 256 KiB of spikes."""


@kernel
def _pack_tiles(eights, bits, size, lo, hi):
    eights, bits = eights[lo * size : hi * size], bits[lo * size : hi * size]
    for k in range(len(eights)):
        bits[k] = np.uint8((eights[k] * _INTO_TOP) >> np.uint64(56))


@kernel
def _unpack_tiles(bits, eights, size, lo, hi):
    eights, bits = eights[lo * size : hi * size], bits[lo * size : hi * size]
    for k in range(len(eights)):
        marked = (np.uint64(bits[k]) * _ONE_A_BYTE) & _BIT_OF_BYTE
        eights[k] = ((marked + _MOST_A_BYTE) >> np.uint64(7)) & _ONE_A_BYTE


def _in_eights(s):
    """Return spikes as numbers of 64 bits, and the up to seven spikes behind them."""
    whole = len(s) - len(s) % 8
    return s[:whole].view(np.uint64), s[whole:]


def pack_bits(s, bits):
    """See `reference.bits.pack_bits`."""
    eights, rest = _in_eights(s)
    launch(_pack_tiles, count_tiles(len(eights), BYTES_PER_TILE), eights, bits, BYTES_PER_TILE)
    if len(rest):
        bits[-1] = np.packbits(rest, bitorder="little")[0]


def unpack_bits(bits, s):
    """See `reference.bits.unpack_bits`."""
    eights, rest = _in_eights(s)
    launch(_unpack_tiles, count_tiles(len(eights), BYTES_PER_TILE), bits, eights, BYTES_PER_TILE)
    if len(rest):
        rest[...] = np.unpackbits(bits[-1:], count=len(rest), bitorder="little")
