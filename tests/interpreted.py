"""Runs the kernels of the CPU in Python's interpreter instead of compiled, so that every option can be tried without
waiting for the compiler. ``python interpreted.py FILE`` compares them with the reference for the rows of options in the
file (see `neuron_options`), and prints the largest difference of every row.

The text of the kernels is the same, and what only the compiler understands (`kernels.cpu.inline`) has a twin here.
"""

import ast
import sys
from pathlib import Path

import numba
import numba.extending
import numpy as np


def read(array, role, index):
    return array[index]


def write(array, role, index, value):
    array[index] = value


def _part(number, index):
    return (number, *index) if isinstance(index, tuple) else (number, index)


def read_all(array, kind, index, count):
    return tuple(array[_part(n, index)] for n in range(count))


def write_all(array, kind, index, numbers):
    for n, value in enumerate(numbers):
        array[_part(n, index)] = value


def add_all(array, kind, index, numbers, wanted):
    for n, value in enumerate(numbers):
        if wanted[n] == "1":
            array[_part(n, index)] += value


def _run(array, place, count):
    """A view of a run; NumPy refuses a run that lies outside of the array."""
    first = int(np.ravel_multi_index(place if isinstance(place, tuple) else (place,), array.shape)) if count else 0
    assert first + count <= array.size
    return array.reshape(-1)[first : first + count]


def copy_run(y, place, x, start, count):
    _run(y, place, count)[...] = _run(x, start, count)


def clear_run(y, place, count):
    _run(y, place, count)[...] = 0


def _ask(array, t, m, c, count):
    pass


def local(shape, dtype):
    return np.empty(shape, dtype)


def count_numbers(x, at, count):
    return np.count_nonzero(x[at : at + count])


def list_numbers(x, at, count, step, index, value, n):
    (found,) = np.nonzero(x[at : at + count])
    index[n : n + len(found)], value[n : n + len(found)] = found * step, x[at + found]
    return n + len(found)


def _multiply_rows(out, at, pitch, rows, factors, factors_at, table, table_at, width, depth, columns):
    weights = table[table_at + np.arange(depth)[:, None] * width + np.arange(columns)]
    for r in range(rows):
        first = factors_at + r * pitch
        out[at + r * pitch : at + r * pitch + columns] += factors[first : first + depth] @ weights


def _sum_row(out, at, initial, initial_at, table, table_at, index, value, count, columns):
    weights = table[table_at + index[:count, None].astype(np.int64) + np.arange(columns)]
    out[at : at + columns] = initial[initial_at : initial_at + columns] + value[:count] @ weights


def pack_transposed(w, taps, first_column, inner, width):
    """The twin of `panels.pack_transposed`, for one tap and all columns."""
    (columns,) = w.shape[2:3]
    panels = np.zeros((-(-columns // width), inner, width), w.dtype)
    for panel, array in enumerate(panels):
        part = w[0, 0, panel * width : (panel + 1) * width].T
        array[:, : part.shape[1]] = part
    return panels.reshape(-1)


FOR_RUNS = read, write, read_all, write_all, add_all, copy_run, clear_run, local, _ask
FOR_ROWS = count_numbers, list_numbers, _multiply_rows, _sum_row
TWINS = {function.__name__: function for function in (*FOR_RUNS, *FOR_ROWS)}


def _intrinsic(*functions, **options):
    """Take the place of Numba's decorator: return the twin, or a function that cannot be called."""

    def twin(function):
        def missing(*arguments):
            raise NotImplementedError(f"{function.__name__} cannot be interpreted")

        return TWINS.get(function.__name__, missing)

    return twin(*functions) if functions else twin


def _njit(*functions, **options):
    return functions[0] if functions else lambda function: function


def main(file):
    from neuron_case import difference
    from tables import known_family

    from numsnn.kernels import own
    from numsnn.kernels.cpu import recurrent
    from numsnn.kernels.reference.linear import linear_backward_weight

    own.need_single_precision = lambda what, function, count: None  # it compiles the function
    recurrent.linear_backward_weight = linear_backward_weight  # products use vectors, and have tests of their own
    recurrent.pack_transposed = pack_transposed
    rows = ast.literal_eval(Path(file).read_text())
    with known_family():
        print([float(difference(row, "cpu")) for row in rows])


if __name__ == "__main__":
    numba.extending.intrinsic, numba.njit = _intrinsic, _njit  # before the package is imported
    main(sys.argv[1])
