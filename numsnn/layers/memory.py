"""Memory for gradients, lent by a network to its layers."""

from math import prod


class Pool:
    """Arrays that are reused: a layer takes one for the gradient that it writes, and gives back the one it has used.

    During a backward pass only the gradients between two layers are in use, and those that wait for another branch.
    A few arrays of the largest size are therefore enough for a network of any depth. If a pass has the same shapes as
    the pass before, nothing is allocated.

    Attributes:
        made: number of arrays that have been allocated so far.
    """

    def __init__(self):
        self.clear()

    def clear(self):
        """Forget all arrays, including those that are lent."""
        self.made = 0
        self._free, self._lent = [], {}

    @property
    def nbytes(self) -> int:
        """Return the size of all arrays in bytes, lent or free."""
        return sum(loan.flat.nbytes for loan in (*self._free, *self._lent.values()))

    def take(self, shape, dtype, empty):
        """Lend an uninitialised array, until it is given back.

        Args:
            shape, dtype: shape and dtype of the array.
            empty: function of the device that allocates an array.
        """
        size = prod(shape)
        alike = sorted((loan for loan in self._free if loan.flat.dtype == dtype), key=lambda loan: loan.order)
        fitting = [loan for loan in alike if loan.flat.size >= size]
        if fitting:
            loan = fitting[0]
            self._free.remove(loan)
        else:
            if alike:  # release the largest array that is too small before allocating a larger one
                self._free.remove(alike[-1])
            loan = _Loan(empty((size,), dtype), self.made)
            self.made += 1
        loan.holders = 1
        self._lent[id(loan.owner)] = loan
        return loan.flat[:size].reshape(shape)

    def _loan(self, array):
        """Return the loan whose memory this array uses, or None."""
        owner = _owner(array)
        loan = self._lent.get(id(owner))
        return loan if loan is not None and loan.owner is owner else None

    def hold(self, array):
        """Count one more user, so that the array must be given back once more. Ignore arrays that are not lent."""
        if (loan := self._loan(array)) is not None:
            loan.holders += 1

    def give(self, array):
        """Take back an array from one of its users. Ignore None and arrays that are not lent."""
        if (loan := self._loan(array)) is None:
            return
        loan.holders -= 1
        if not loan.holders:
            self._free.append(self._lent.pop(id(loan.owner)))

    def settle(self, used, result):
        """Take back a used array, unless the result uses the same memory."""
        if used is not result and self._loan(used) is not self._loan(result):
            self.give(used)

    def alone(self, array) -> bool:
        """Return whether the array is lent and has a single user, so that it may be overwritten."""
        loan = self._loan(array)
        return loan is not None and loan.holders == 1

    def recall(self):
        """Take back all arrays that are lent."""
        self._free += self._lent.values()
        self._lent = {}


def _owner(array):
    """Return the object that owns the memory of a view; an array that begins at a cache line is itself a view."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


class _Loan:
    """One array of a pool and the number of its users."""

    def __init__(self, flat, number):
        self.flat, self.owner, self.holders = flat, _owner(flat), 0
        self.order = flat.size, number
