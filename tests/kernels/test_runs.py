"""Copies and zeros of runs: the elements of the run change, and no others."""

import numpy as np
import pytest
from bounds import REALS
from numba.core.errors import TypingError

from numsnn.kernels.compile import kernel
from numsnn.kernels.cpu.inline.runs import clear_run, copy_run


@kernel
def _copy_into_row(y, t, m, c, x, start, count):
    copy_run(y, (t, m, c), x, start, count)


@kernel
def _clear_in_row(y, t, m, c, count):
    clear_run(y, (t, m, c), count)


@pytest.mark.parametrize("dtype", [*REALS, np.uint8])
@pytest.mark.parametrize(("c", "start", "count"), [(0, 0, 70), (3, 5, 1), (69, 0, 1), (7, 9, 40), (2, 3, 0)])
def test_a_run_is_what_a_slice_is(dtype, c, start, count):
    rng = np.random.default_rng(0)
    y, x = rng.integers(1, 9, (3, 4, 70)).astype(dtype), rng.integers(1, 9, 90).astype(dtype)
    want = y.copy()
    _copy_into_row(y, 2, 1, c, x, start, count)
    want[2, 1, c : c + count] = x[start : start + count]
    assert np.array_equal(y, want)
    _clear_in_row(y, 2, 1, c, count)
    want[2, 1, c : c + count] = 0
    assert np.array_equal(y, want)


def test_arrays_that_are_no_runs_are_refused_when_the_kernel_is_compiled():
    y, x = np.zeros((3, 4, 6)), np.zeros(6)
    with pytest.raises(TypingError, match="arrays must be C-contiguous; got array"):
        _copy_into_row(y[..., ::2], 0, 0, 0, x, 0, 3)
    with pytest.raises(TypingError, match="arrays must be C-contiguous; got array"):
        _clear_in_row(y[:, :, ::2], 0, 0, 0, 3)
    with pytest.raises(TypingError, match="both arrays must have one type; got float64 and float32"):
        _copy_into_row(y, 0, 0, 0, x.astype(np.float32), 0, 3)
