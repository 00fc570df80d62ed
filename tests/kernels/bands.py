"""Bands of memory around an array, which no function may write."""

import numpy as np

BAND = 64
"""Elements before an array, and behind it."""

BYTE = 0xA5


def banded(array):
    """Memory with an array in its middle, which holds the numbers of this one, and that array."""
    memory = np.empty((array.size + 2 * BAND) * array.itemsize, np.uint8)
    memory[...] = BYTE
    memory = memory.view(array.dtype)
    part = memory[BAND : BAND + array.size].reshape(array.shape)
    part[...] = array
    return memory, part


def untouched(memory):
    """Whether the bands are as they were made."""
    return set(memory[:BAND].tobytes() + memory[-BAND:].tobytes()) == {BYTE}
