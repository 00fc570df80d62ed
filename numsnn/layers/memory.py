"""Memory for gradients, lent by a network to its layers."""

from math import prod


class Pool:
    """Arrays that go round: a layer takes one for the gradient it writes, and gives back the one it has used up.

    While a backward pass is on its way only the gradients between two layers are alive (and those that wait for another
    branch), so that a few arrays of the largest size serve a network of any depth. A pass like the one before finds
    everything it needs: nothing is allocated.

    Attributes:
        made: how many arrays were ever allocated.
    """

    def __init__(self):
        self.clear()

    def clear(self):
        """Forget all arrays, those that are lent as well."""
        self.made = 0
        self._free, self._lent = [], {}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, lent or free."""
        return sum(loan.flat.nbytes for loan in (*self._free, *self._lent.values()))

    def take(self, shape, dtype, empty):
        """An uninitialised array, the taker's until it is given back.

        Args:
            shape, dtype: of the array.
            empty: the target's function that allocates.
        """
        size = prod(shape)
        alike = sorted((loan for loan in self._free if loan.flat.dtype == dtype), key=lambda loan: loan.order)
        fitting = [loan for loan in alike if loan.flat.size >= size]
        if fitting:
            loan = fitting[0]
            self._free.remove(loan)
        else:
            if alike:  # the largest that is too small makes room for one that is not
                self._free.remove(alike[-1])
            loan = _Loan(empty((size,), dtype), self.made)
            self.made += 1
        loan.holders = 1
        self._lent[id(loan.owner)] = loan
        return loan.flat[:size].reshape(shape)

    def _loan(self, array):
        """The loan this array is a view of, or None."""
        owner = _owner(array)
        loan = self._lent.get(id(owner))
        return loan if loan is not None and loan.owner is owner else None

    def hold(self, array):
        """Somebody else needs it too: it is free when it was given back once more. Nothing for arrays not lent."""
        if (loan := self._loan(array)) is not None:
            loan.holders += 1

    def give(self, array):
        """It is needed no more. Nothing for None and for arrays that are not lent."""
        if (loan := self._loan(array)) is None:
            return
        loan.holders -= 1
        if not loan.holders:
            self._free.append(self._lent.pop(id(loan.owner)))

    def settle(self, used, result):
        """Give back what was used, unless the result lives in the same memory."""
        if self._loan(used) is not self._loan(result):
            self.give(used)

    def alone(self, array) -> bool:
        """Whether it is lent and only one needs it: it may be written over."""
        loan = self._loan(array)
        return loan is not None and loan.holders == 1

    def recall(self):
        """Take back everything that is lent."""
        self._free += self._lent.values()
        self._lent = {}


def _owner(array):
    """What owns the memory that this is a view of: an array that begins at a cache line is itself a view."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


class _Loan:
    """One array of a pool, and how many need it."""

    def __init__(self, flat, number):
        self.flat, self.owner, self.holders = flat, _owner(flat), 0
        self.order = flat.size, number
