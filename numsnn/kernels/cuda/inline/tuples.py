"""Tuples of numbers that a thread keeps in registers, such as a rule's states and values.

The number of elements is a constant when a kernel is compiled. The elements of a tuple are in an array at equal
distances: y[at], y[at + stride], and so on.

Each function calls the function for a tuple with one element less. Numba compiles all of them into plain reads and
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
    """A function ``f(y, at, stride, numbers)`` that writes a tuple of `count` numbers to y, in the type `real`."""
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
    """A function ``f(y, at, stride, numbers)`` that adds those numbers of a tuple that are wanted to y.

    wanted has one boolean per number. The first wanted number is added to y[at], the second one to y[at + stride], and
    so on.
    """
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
