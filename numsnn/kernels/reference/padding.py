"""Rows of batches in which sequences have different lengths (docs/method.md, group V).

A batch ``[T, N, ...]`` is seen as T N rows of F numbers; row t N + n is step t of sample n. Steps from a sequence's end
on are padding. The real rows, in their order, form a compact array of R rows, over which other kernels compute. Arrays
may be of any dtype, such as uint8 spikes.
"""


def gather_rows(x, index, y):
    """V1: y[k] = x[index[k]]: copy the real rows of x ``[T N, F]`` to y, the output, ``[R, F]``.

    index ``[R]``, int64, holds the numbers of the real rows.
    """
    y[...] = x[index]


def scatter_rows(x, place, y):
    """V2: y[m] = x[place[m]], or 0 where place[m] < 0: copy the real rows back.

    x is ``[R, F]``, and y, the output, is ``[T N, F]``. place ``[T N]``, int64, is the number of a row among the real
    rows, and -1 for padding.
    """
    y[...] = 0
    y[place >= 0] = x[place[place >= 0]]


def clear_rows(x, place):
    """V3: x[m] = 0 where place[m] < 0, in place. x is ``[T N, F]``, and place is as for `scatter_rows`."""
    x[place < 0] = 0
