"""Allocating arrays on a device, and copying them to and from the host."""

import numpy as np
import pytest
from targets import cpu, reference

BOTH = pytest.mark.parametrize("k", [reference, cpu], ids=lambda k: k.name)


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int16])
def test_new_arrays(k, dtype):
    for make in (k.empty, k.zeros):
        array = k.to_host(make((2, 3, 0, 1), dtype)), k.to_host(make((2, 3), dtype))
        assert [part.shape for part in array] == [(2, 3, 0, 1), (2, 3)]
        assert all(part.dtype == dtype and part.flags.c_contiguous for part in array)
    assert not k.to_host(k.zeros((2, 3), dtype)).any()


@BOTH
def test_from_host_copies_converts_and_orders(k):
    host = np.asfortranarray(np.arange(6).reshape(2, 3))
    array = k.from_host(host, np.float32)
    host[:] = -1
    assert array.dtype == np.float32 and array.flags.c_contiguous
    assert k.to_host(array).tolist() == [[0, 1, 2], [3, 4, 5]]
    same_type = np.ones(3, np.float32)
    k.from_host(same_type, np.float32)[:] = 5
    assert (same_type == 1).all()


@BOTH
def test_to_host_copies(k):
    array = k.from_host(np.zeros(3), np.float64)
    k.to_host(array)[:] = 7
    assert not k.to_host(array).any()
