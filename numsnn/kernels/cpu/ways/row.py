"""The product of a single row with weights, by active inputs: the linear layer of one sample at one step.

Each active input adds its row of weights to the output. Nothing is packed, because every row of weights is read at most
once, and the list of active inputs is made in one launch.
"""

import numpy as np

from ...compile import kernel
from ..inline.blocks import sum_rows
from ..inline.local import local
from ..inline.nonzero import lowest_bit, nonzero_bits
from ..inline.vector import lanes
from ..run.launch import count_tiles, launch

COLUMNS = 256
"""Columns per tile: those that are summed in registers at a time."""


@kernel
def _list_row(x, channel, value):
    """List the active inputs of x ``[C]``, and return their number."""
    real = type(value[0])
    n, at, width = 0, 0, lanes(x)
    while at + width <= len(x):
        bits = nonzero_bits(x, at)
        while bits != 0:
            k = at + lowest_bit(bits)
            channel[n] = k
            value[n] = real(x[k])
            n += 1
            bits &= bits - np.uint64(1)
        at += width
    for k in range(at, len(x)):
        if x[k] != 0:
            channel[n] = k
            value[n] = real(x[k])
            n += 1
    return n


@kernel
def _forward_tiles(channel, value, count, w, b, y, lo, hi):
    outputs = len(y)
    table = w.reshape(-1)
    index = local(count, np.int64)
    for k in range(count):
        index[k] = np.int64(channel[k]) * outputs
    base, first, last = local(1, np.int64), local(1, np.int64), local(1, np.int64)
    base[0], first[0], last[0] = 0, 0, count
    begin, end = lo * COLUMNS, min(outputs, hi * COLUMNS)
    sum_rows(y, begin, b, begin, table, begin, end - begin, index, value, base, first, last, 1)


class ActiveRow:
    """A list of the active inputs of one row, as `events.Active` is one of many.

    Args:
        channels: number of inputs of the row.
        dtype: real type of the network.

    Attributes:
        channel, value: channel (int32) and value of every active input, in order, and numbers without a meaning behind.
        count: number of active inputs.
    """

    def __init__(self, channels, dtype):
        self.channel, self.value, self.count = np.empty(channels, np.int32), np.empty(channels, dtype), 0

    @property
    def density(self) -> float:
        """The share of active inputs."""
        return self.count / len(self.channel)

    def list(self, x):
        """List the active inputs of x ``[1, C]``. An earlier list becomes invalid."""
        self.count = int(_list_row(x[0], self.channel, self.value))


def active_row(x, dtype, memory=None) -> ActiveRow:
    """See `reference.conv.active_inputs`, for x ``[1, C]``."""
    fits = isinstance(memory, ActiveRow) and len(memory.channel) == x.shape[1]
    active = memory if fits else ActiveRow(x.shape[1], dtype)
    active.list(x)
    return active


def forward(active, w, b, y):
    """See `reference.linear.linear_forward`, for y ``[1, O]``."""
    outputs = w.shape[1]
    bias = np.zeros(outputs, w.dtype) if b is None else b
    launch(_forward_tiles, count_tiles(outputs, COLUMNS), active.channel, active.value, active.count, w, bias, y[0])
