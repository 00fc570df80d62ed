"""Arrays that kernels make for themselves: shape, type and layout, and that their memory is freed."""

import numpy as np
import pytest
from bounds import REALS
from numba.core.runtime import _nrt_python, rtsys

from numsnn.kernels.compile import kernel
from numsnn.kernels.cpu.inline.local import local


@kernel
def _number_all(y, p, q, r):
    """Copy numbers to y through arrays of one, two and three axes; return their sizes."""
    one, two, three = local(p * q * r, y.dtype), local((p * q, r), y.dtype), local((p, q, r), y.dtype)
    for k in range(one.size):
        one[k] = k
    for k in range(one.size):
        two[k // r, k % r] = one[k]
    for k in range(one.size):
        three[k // (q * r), k // r % q, k % r] = two.reshape(-1)[k]
    for k in range(one.size):
        y[k] = three.reshape(-1)[k]
    return one.shape[0], two.shape[1], three.shape[1], three.nbytes


@pytest.mark.parametrize("dtype", [*REALS, np.int64, np.uint8])
def test_shape_type_and_layout(dtype):
    y = np.zeros(2 * 3 * 5, dtype)
    assert _number_all(y, 2, 3, 5) == (30, 5, 3, y.nbytes)
    assert np.array_equal(y, np.arange(30))


@pytest.mark.parametrize(("p", "q", "r"), [(0, 3, 5), (2, 0, 5), (2, 3, 0)])
def test_an_array_can_be_empty(p, q, r):
    assert _number_all(np.zeros(0), p, q, r) == (0, r, q, 0)


@kernel
def _types(n):
    return local(n, np.float64).itemsize, local(n, np.uint32).itemsize, local((n, 2), np.bool_).itemsize


def test_a_type_can_be_named():
    assert _types(3) == (8, 4, 1)


def test_memory_is_freed():
    y = np.zeros(30)
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        for _ in range(10):
            _number_all(y, 2, 3, 5)
        after = rtsys.get_allocation_stats()
    finally:
        _nrt_python.memsys_disable_stats()
    assert after.alloc - before.alloc == after.free - before.free >= 30
