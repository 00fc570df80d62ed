"""Memory for passes that drop outputs: an output that was dropped stays until its memory is needed."""

from math import prod

import numpy as np

from .memory import Pool

GRAIN = 512
"""Arrays begin at multiples of this number of bytes: whole cache lines, and whole transactions of a GPU."""


class Arena(Pool):
    """Memory that a network lends to passes with `Mode.recompute`, for gradients and for outputs that are dropped.

    Arrays of any size and type lie side by side in few blocks; after the first step, in one block of the size that the
    step needed. A forward pass needs less than a backward pass. Outputs that are laid by fill the rest: they stay until
    an array is needed for which there is no other room, and those that the backward pass takes back in time need not be
    computed again. The oldest goes first, because a backward pass needs it last.
    """

    def clear(self):
        self.made = self._least = self._peak = self._in_use = 0
        self._blocks: list[_Block] = []
        self._loans: list[_Place] = []
        self._spare: list[_Place] = []  # the oldest first

    @property
    def nbytes(self):
        return sum(block.flat.nbytes for block in self._blocks)

    def begin(self) -> None:
        """Begin a forward pass: forget what was laid by, and the blocks if the last pass needed more than one."""
        for loan in self._spare:
            self._loans.remove(loan)
        self._spare = []
        if self._peak > max((block.flat.nbytes for block in self._blocks), default=0):
            # What the last backward pass returned stays where it is, in memory that is not used again.
            self._least, self._blocks, self._loans, self._in_use = self._peak, [], [], 0
        self._peak = self._in_use

    def take(self, shape, dtype, empty):
        size = prod(shape) * np.dtype(dtype).itemsize
        loan = self._find(-(-max(size, 1) // GRAIN) * GRAIN, empty)
        self._use(loan)
        first = loan.first
        return loan.block.flat[first : first + size].view(dtype).reshape(shape)

    def _find(self, room, empty):
        """Return a place for an array, in the largest gap. (In the smallest that is large enough, or in the first one,
        the workloads of `numsnn.measure` needed up to 1.45 times the memory, because of gaps that were too small.)"""
        while True:
            gaps = [gap for block in self._blocks for gap in self._gaps(block) if gap.end - gap.first >= room]
            if gaps:
                best = max(gaps, key=lambda gap: gap.end - gap.first)
                loan = _Place(best.block, best.first, best.first + room)
                self._loans.append(loan)
                return loan
            if self._spare:
                self._loans.remove(self._spare.pop(0))
            else:
                size = room if self._blocks else max(room, self._least)
                self._blocks.append(_Block(empty((size,), np.uint8)))
                self.made += 1

    def _gaps(self, block):
        """Return the places of a block that are neither lent nor laid by."""
        found, first = [], 0
        for loan in sorted((loan for loan in self._loans if loan.block is block), key=lambda loan: loan.first):
            found.append(_Place(block, first, loan.first))
            first = loan.end
        return [*found, _Place(block, first, block.flat.nbytes)]

    def _use(self, loan):
        """Count a loan with one user."""
        loan.holders = 1
        self._in_use += loan.end - loan.first
        self._peak = max(self._peak, self._in_use)

    def _loan(self, array):
        if array is None:
            return None
        owner, first = _address(array)
        for loan in self._loans:
            block = loan.block
            if block.owner == owner and loan.first <= first - block.first < loan.end:
                return loan if loan.holders else None
        return None

    def give(self, array):
        loan = self._released(array)
        if loan is not None:
            self._loans.remove(loan)

    def lay_by(self, array):
        """Take back an array from its user, but leave it in its place as long as there is other room. Return what
        `take_back` takes."""
        loan = self._released(array)
        if loan is not None:
            self._spare.append(loan)
        return loan

    def take_back(self, loan) -> bool:
        """Lend an array again that was laid by; return whether it is still there."""
        if loan is None or not any(loan is one for one in self._spare):
            return False
        self._spare.remove(loan)
        self._use(loan)
        return True

    def _released(self, array):
        """Count one user less, and return the loan if that was the last one; otherwise None."""
        loan = self._loan(array)
        if loan is None:
            return None
        loan.holders -= 1
        if loan.holders:
            return None
        self._in_use -= loan.end - loan.first
        return loan

    def recall(self):
        self._loans, self._in_use = list(self._spare), 0


class _Block:
    """An array of bytes, and where it begins: the object that owns its memory, and a number of bytes."""

    def __init__(self, flat):
        self.flat = flat
        self.owner, self.first = _address(flat)


class _Place:
    """A part of a block, and the number of its users; 0 for what was laid by."""

    def __init__(self, block, first, end):
        self.block, self.first, self.end, self.holders = block, first, end, 0


def _address(array):
    """Return where an array begins: the object that owns its memory and a number of bytes in it, or the address."""
    if isinstance(array, np.ndarray):
        return 0, array.__array_interface__["data"][0]
    return id(array.base), array.first
