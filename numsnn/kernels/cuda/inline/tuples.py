"""Tuples of numbers that a thread keeps in registers: a rule's states and values, whose count is known when a kernel is
compiled. The numbers of one tuple lie in an array at equal distances: y[at], y[at + stride], and so on.

The function for a count of numbers calls the one for one number less. Numba compiles them all into plain reads and
writes of registers.
"""

from functools import cache

from ..run.compile import device


@cache
def reader(count):
    """A function ``f(y, at, stride)`` that returns the tuple of `count` numbers."""
    if count == 0:

        @device
        def read_none(y, at, stride):
            return ()

        return read_none

    earlier, last = reader(count - 1), count - 1

    @device
    def read(y, at, stride):
        return earlier(y, at, stride) + (y[at + last * stride],)  # noqa: RUF005  Numba has no (*a, b)

    return read


@cache
def writer(count, real):
    """A function ``f(y, at, stride, numbers)`` that keeps the tuple of `count` numbers, as numbers of a float type."""
    if count == 0:

        @device
        def write_none(y, at, stride, numbers):
            pass

        return write_none

    earlier, last = writer(count - 1, real), count - 1

    @device
    def write(y, at, stride, numbers):
        earlier(y, at, stride, numbers)
        y[at + last * stride] = real(numbers[last])

    return write


@cache
def adder(wanted, real):
    """A function ``f(y, at, stride, numbers)`` that adds those numbers of a tuple that are wanted, one truth value for
    each, to y: the first of these to y[at], the second to y[at + stride], and so on."""
    if not any(wanted):

        @device
        def add_none(y, at, stride, numbers):
            pass

        return add_none

    earlier, last = adder(wanted[:-1], real), len(wanted) - 1
    if not wanted[-1]:
        return earlier
    place = sum(wanted[:-1])

    @device
    def add(y, at, stride, numbers):
        earlier(y, at, stride, numbers)
        y[at + place * stride] += real(numbers[last])

    return add
