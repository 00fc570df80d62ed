"""The product of a few rows with lateral weights: by the numbers that are not zero, and by register blocks."""

import numpy as np
import pytest
from bounds import REALS, within

from numsnn.kernels.compile import kernel
from numsnn.kernels.cpu.inline import lateral
from numsnn.kernels.cpu.inline.nonzero import count_numbers, list_numbers
from numsnn.kernels.cpu.ways.panels import pack_transposed

EPS = {real: np.finfo(real).eps for real in REALS}


@kernel
def product(x, table, start, y, places, width, columns, count):
    lateral.add_lateral(x, table, start, y, places, width, columns, count, lateral.work_arrays(columns, x.dtype))


@kernel
def listed(x, at, count, step, index, value):
    return count_numbers(x, at, count), list_numbers(x, at, count, step, index, value, 1)


def draw(real, columns, count, density):
    """Numbers for rows, weights and what is there before; the rows begin at different places of their arrays."""
    rng = np.random.default_rng(columns + count)
    x = rng.normal(size=(count, columns)) * (rng.random((count, columns)) < density)
    w, start = rng.normal(size=(columns, columns)), rng.normal(size=(count, columns))
    return [array.astype(real) for array in (x, w, start)]


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("columns", [1, 5, 33, 64, 150])
def test_product(real, columns):
    """One row to three blocks of rows; silent rows, few numbers and many; weights as they are, and in panels."""
    for count, density in ((1, 1.0), (3, 0.05), (4, 1.0), (4, 0.0), (11, 0.4), (9, 1.0)):
        x, w, start = draw(real, columns, count, density)
        step, turned = lateral.sum_columns(real), np.ascontiguousarray(w.T)
        packed = pack_transposed(turned[None, None], (0,), 0, columns, step)
        want = start.astype(np.float64) + x.astype(np.float64) @ w
        bound = (columns + 1) * EPS[real] * (np.abs(start) + np.abs(x) @ np.abs(w))
        for table, width in ((w, columns), (packed, step)):
            flat = np.concatenate([np.full(3, np.nan, real), x.ravel(), np.full(x.size + 2, np.nan, real)])
            before = np.concatenate([np.full(7, np.nan, real), start.ravel()])
            product(flat, table.reshape(-1), before, flat, (3, 7, 3 + x.size), width, columns, count)
            within(flat[3 + x.size : -2].reshape(x.shape), want, bound)
            assert np.isnan(flat[-2:]).all() and np.array_equal(flat[3 : 3 + x.size], x.ravel())


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("columns", [5, 150])
def test_bits_of_a_row_do_not_depend_on_its_neighbours(real, columns):
    """A row alone is computed from a list, several in blocks; of the last block some rows are missing."""
    x, w, start = draw(real, columns, 7, 0.9)
    want = np.empty_like(start)
    for r in range(7):
        product(x[r], w.reshape(-1), start[r], want[r], (0, 0, 0), columns, columns, 1)
    for count in (4, 5, 7):
        y = np.empty_like(start)
        product(x.reshape(-1), w.reshape(-1), start.reshape(-1), y.reshape(-1), (0, 0, 0), columns, columns, count)
        assert np.array_equal(y[:count], want[:count])


@pytest.mark.parametrize("real", REALS)
def test_list_of_numbers(real):
    """In order, with their places times the step; a NaN is a number that is not zero."""
    rng = np.random.default_rng(0)
    for count in (1, 7, 16, 40):
        x = (rng.normal(size=count + 2) * (rng.random(count + 2) < 0.5)).astype(real)
        x[count // 2 + 1] = np.nan
        index, value = np.zeros(count + 20, np.uint32), np.zeros(count + 20, real)
        found, end = listed(x, 1, count, 3, index, value)
        (places,) = np.nonzero(x[1 : count + 1])
        assert (found, end) == (len(places), len(places) + 1)
        assert index[1:end].tolist() == (3 * places).tolist()
        np.testing.assert_array_equal(value[1:end], x[1:][places])
