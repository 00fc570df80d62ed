"""The product of a single row with weights, by active inputs: the linear layer of one sample at one step.

Each active input adds its row of weights to the output. Nothing is packed, because every row of weights is read at most
once. For few outputs, one kernel lists the active inputs and adds their rows.
"""

import numpy as np

from ...compile import kernel
from ..inline.blocks import sum_rows
from ..inline.local import local
from ..inline.nonzero import list_places
from ..run.launch import count_tiles, launch

COLUMNS = 256
"""Columns per tile: those that are summed in registers at a time."""


@kernel
def _list_row(x, channel, value):
    """List the active inputs of x ``[C]``, and return their number."""
    real = type(value[0])
    n = list_places(x, 0, len(x), channel)
    for k in range(n):
        value[k] = real(x[channel[k]])
    return n


@kernel
def _forward_tiles(channel, value, count, w, b, y, lo, hi):
    outputs = y.shape[1]
    table = w.reshape(-1)
    index = local(count, np.int64)
    for k in range(count):
        index[k] = np.int64(channel[k]) * outputs
    begin, end = lo * COLUMNS, min(outputs, hi * COLUMNS)
    sum_rows(y.reshape(-1), begin, b, begin, table, begin, end - begin, index, value, 0, count)


@kernel
def _product(x, channel, value, w, b, y):
    """List the active inputs of x, compute y, which has a single tile of columns, and return the number of inputs."""
    count = _list_row(x.reshape(-1), channel, value)
    _forward_tiles(channel, value, count, w, b, y, 0, 1)
    return count


class ActiveRow:
    """A list of the active inputs of one row, as `active.Active` is one of many. It is made when it is needed, at the
    latest by the product.

    Args:
        channels: number of inputs of the row.
        dtype: real type of the network.

    Attributes:
        row: the row ``[1, C]`` that has not been listed yet, or None.
        channel, value: channel (int32) and value of every active input, in order, and numbers without a meaning behind.
        count: number of active inputs.
    """

    def __init__(self, channels, dtype):
        self.row, self.count = None, 0
        self.channel, self.value = np.empty(channels, np.int32), np.empty(channels, dtype)

    @property
    def density(self) -> float:
        """The share of active inputs."""
        self.list()
        return self.count / len(self.channel)

    def list(self):
        """List the active inputs of the row, unless that has been done."""
        if self.row is not None:
            self.count, self.row = _list_row(self.row[0], self.channel, self.value), None

    def multiply(self, w, b, y):
        """List the inputs and compute y, of at most COLUMNS columns, in one kernel."""
        self.count, self.row = _product(self.row, self.channel, self.value, w, b, y), None


def active_row(x, dtype, memory=None) -> ActiveRow:
    """See `reference.conv.active_inputs`, for x ``[1, C]``."""
    fits = isinstance(memory, ActiveRow) and len(memory.channel) == x.shape[1]
    active = memory if fits else ActiveRow(x.shape[1], dtype)
    active.row = x
    return active


def forward(active, w, b, y):
    """See `reference.linear.linear_forward`, for y ``[1, O]``."""
    outputs = w.shape[1]
    bias = np.zeros(outputs, w.dtype) if b is None else b
    if outputs <= COLUMNS and active.row is not None:
        active.multiply(w, bias, y)
        return
    active.list()
    launch(_forward_tiles, count_tiles(outputs, COLUMNS), active.channel, active.value, active.count, w, bias, y)
