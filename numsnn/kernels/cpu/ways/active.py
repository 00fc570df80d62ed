"""The list of active inputs, made once for the forward pass and the weight gradient of all layers that read them.

An active input is a spike, or any other number that is not zero, such as a pooled spike or a sum of spikes.
"""

import threading

import numpy as np

from ...compile import kernel, register_jitable
from ..inline.nonzero import count_bits, list_active, lowest_bit, nonzero_bits
from ..inline.vector import COMPRESSES, lanes
from ..run.launch import count_tiles, launch

BEYOND = 64
"""Room behind the last entry of a list, because entries are read and written by the register."""

BLOCKS, BLOCK = 32, 512
"""Number of blocks that `sampled_share` looks at, and numbers in each."""


def pixels_per_tile(channels):
    """The number of input pixels per tile."""
    return max(1, 32768 // channels)


@register_jitable
def _count_registers(x, at, last):
    """Count the numbers of whole registers among x[at]..x[last - 1] that are not zero. Four registers are read at a
    time, which is twice as fast as one by one where x comes from memory.

    Returns:
        their number, and where the rest begins.
    """
    n, width = 0, lanes(x)
    while at + 4 * width <= last:
        n += count_bits(nonzero_bits(x, at)) + count_bits(nonzero_bits(x, at + width))
        n += count_bits(nonzero_bits(x, at + 2 * width)) + count_bits(nonzero_bits(x, at + 3 * width))
        at += 4 * width
    while at + width <= last:
        n += count_bits(nonzero_bits(x, at))
        at += width
    return n, at


@kernel
def _count_tiles(x, counts, size, lo, hi):
    """Set counts[tile + 1] to the number of active inputs of a tile of `size` inputs, for flat x."""
    for tile in range(lo, hi):
        last = min(len(x), (tile + 1) * size)
        n, at = _count_registers(x, tile * size, last)
        for k in range(at, last):
            n += x[k] != 0
        counts[tile + 1] = n


@kernel
def _count_pixels(x, start, counts, pixels, lo, hi):
    """Set start[p + 1] to the number of active inputs of a tile up to pixel p, and counts[tile + 1] to that of the
    whole tile, for x ``[P, C]``."""
    total, channels = x.shape
    flat = x.reshape(-1)
    width = lanes(flat)
    whole = max(0, total - width // channels - 1)  # whose registers of inputs end within the array
    for tile in range(lo, hi):
        n = 0
        first, last = tile * pixels, min(total, (tile + 1) * pixels)
        for p in range(first, min(last, whole)):
            counted, at = _count_registers(flat, p * channels, (p + 1) * channels)
            n, left = n + counted, (p + 1) * channels - at
            if left > 0:
                n += count_bits(nonzero_bits(flat, at) & ((np.uint64(1) << np.uint64(left)) - np.uint64(1)))
            start[p + 1] = n
        for p in range(max(first, whole), last):
            for k in range(p * channels, (p + 1) * channels):
                n += flat[k] != 0
            start[p + 1] = n
        counts[tile + 1] = n


@kernel
def _list_tiles(x, start, counts, channel, value, pixels, lo, hi):
    """List the active inputs, and make start count from the first tile on. One register of inputs is tested at a time,
    because most registers hold zeros only."""
    total, channels = x.shape
    flat = x.reshape(-1)
    real = type(value[0])
    width, part = lanes(flat), lanes(value)
    reciprocal, part_of_row, width_of_row = 1 / channels, part % channels, width % channels
    for tile in range(lo, hi):
        first, last = tile * pixels * channels, min(total, (tile + 1) * pixels) * channels
        before = counts[tile]
        for p in range(tile * pixels, min(total, (tile + 1) * pixels)):
            start[p + 1] += before
        n = np.uint64(before)  # without a sign, an index needs no test
        at, c = first, 0
        while at + width <= last:
            if COMPRESSES:
                # c is the channel of flat[at], and a part of a register of inputs is listed at a time.
                stop = at + width if part == width or nonzero_bits(flat, at) != 0 else at
                if stop == at:
                    at += width
                    c += width_of_row
                    c -= channels if c >= channels else 0
                while at < stop:
                    n += np.uint64(list_active(channel, value, n, flat, at, c, channels, reciprocal))
                    at += part
                    c += part_of_row
                    c -= channels if c >= channels else 0
            else:
                bits = nonzero_bits(flat, at)
                while bits != 0:
                    k = np.uint64(at + lowest_bit(bits))
                    channel[n] = np.uint32(k - np.uint64(first)) % np.uint32(channels)
                    value[n] = real(flat[k])
                    n += np.uint64(1)
                    bits &= bits - np.uint64(1)
                at += width
        for k in range(at, last):
            if flat[k] != 0:
                channel[n] = (k - first) % channels
                value[n] = real(flat[k])
                n += np.uint64(1)


class Active:
    """A list of the active inputs of an array ``[B, H, W, C]``, ordered by pixel.

    Attributes:
        shape: shape of the input.
        counts: the number of entries before each tile of `count`, and of all.
        start: ``[B H W + 1]`` int64. Once they are listed, the entries of pixel p are start[p]..start[p + 1]-1.
        channel, value: channel (int32) and value (the network's real type) of every entry. The arrays may be longer
            than the list.
        density: share of active inputs.
        counted: whether the pixels of each tile are counted in start.
        listed: whether start, channel and value are filled.
    """

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.shape, self.density = None, 0.0
        self.start = self._starts = np.zeros(1, np.int64)
        self.counts = np.zeros(1, np.int64)
        self.channel, self.value = np.empty(0, np.int32), np.empty(0, self.dtype)
        self.counted = self.listed = False

    def count(self, x):
        """Count the active inputs of x. An earlier list becomes invalid.

        Each pixel is counted only if the earlier input was listed, because this one will probably be listed, too. To
        count pixels of few channels takes many times as long.
        """
        again, self.shape = self.listed, x.shape
        self.counted = self.listed = False
        size = pixels_per_tile(x.shape[-1]) * x.shape[-1]
        self.counts = np.zeros(count_tiles(x.size, size) + 1, np.int64)
        if again:
            self._count_pixels(x)
        else:
            launch(_count_tiles, len(self.counts) - 1, x.reshape(-1), self.counts, size)
        if len(self.counts) > 2:
            np.cumsum(self.counts, out=self.counts)
        self.density = int(self.counts[-1]) / x.size

    def _count_pixels(self, x):
        """Fill start and counts, each within its tile."""
        rows = x.reshape(-1, x.shape[-1])
        if len(self.start) != len(rows) + 1:  # as often as layers of several sizes use one list
            if len(self._starts) <= len(rows):
                self._starts = np.zeros(len(rows) + 1, np.int64)
            self.start = self._starts[: len(rows) + 1]
        launch(_count_pixels, len(self.counts) - 1, rows, self.start, self.counts, pixels_per_tile(x.shape[-1]))
        self.counted = True

    def list(self, x):
        """List the active inputs of x, which `count` has counted."""
        if self.listed:
            return
        if not self.counted:
            self._count_pixels(x)
            np.cumsum(self.counts, out=self.counts)
        entries = int(self.counts[-1])
        if len(self.channel) < entries + BEYOND:
            room = entries + entries // 8 + BEYOND
            self.channel, self.value = np.empty(room, np.int32), np.empty(room, self.dtype)
        rows = x.reshape(-1, x.shape[-1])
        pixels = pixels_per_tile(x.shape[-1])
        tiles = len(self.counts) - 1
        launch(_list_tiles, tiles, rows, self.start, self.counts, self.channel, self.value, pixels)
        self.listed = True


def sampled_share(x):
    """The share of active numbers of x, estimated from blocks that lie equally far apart."""
    apart = x.size // BLOCKS
    sample = x.reshape(-1)[: BLOCKS * apart].reshape(BLOCKS, apart)[:, :BLOCK]
    return np.count_nonzero(sample) / sample.size


class _Lent(threading.local):
    """A list per type of number that a thread lends to one call after the other."""

    def __init__(self):
        self.lists = {}

    def get(self, dtype):
        """The list for networks of this type. It is valid until this thread asks for it again."""
        return self.lists.setdefault(np.dtype(dtype), Active(dtype))


lent = _Lent()
