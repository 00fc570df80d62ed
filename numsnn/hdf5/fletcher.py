"""The checksum of HDF5's filter "fletcher32", which files of earlier versions have."""

import numpy as np

_WORDS = 1 << 16


def fletcher32(content: bytes) -> int:
    """Return the checksum of bytes: Fletcher's, over 16-bit words with the high byte first."""
    if len(content) % 2:
        content += b"\0"
    words = np.frombuffer(content, ">u2").astype(np.uint64)
    low = high = 0
    for first in range(0, len(words), _WORDS):
        block = words[first : first + _WORDS]
        n = len(block)
        high += n * low + int((block * np.arange(n, 0, -1, dtype=np.uint64)).sum())
        low += int(block.sum())
        low, high = _folded(low), _folded(high)
    return high << 16 | low


def _folded(number):
    """Return a sum modulo 65,535, where another sum than 0 is never 0."""
    return (number - 1) % 65535 + 1 if number else 0
