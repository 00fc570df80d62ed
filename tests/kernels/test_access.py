"""Access to arrays by role, and prefetched rows: the right elements are read and written, and no others."""

import numpy as np
import pytest
from bounds import REALS
from numba.core.errors import TypingError

from numsnn.kernels.compile import kernel
from numsnn.kernels.cpu.inline import prefetch
from numsnn.kernels.cpu.inline.access import read, write
from numsnn.kernels.cpu.inline.prefetch import ahead


@kernel
def _double(x, scale, y, lo, hi):
    for t in range(lo, hi):
        for m in range(x.shape[1]):
            for c in range(x.shape[2]):
                write(y, "potential", (t, m, c), scale.dtype.type(2) * read(scale, "value", c) * x[t, m, c])


@kernel
def _double_in_place(x, lo, hi):
    for t in range(lo, hi):
        for m in range(x.shape[1]):
            for c in range(x.shape[2]):
                write(x, "state", (t, m, c), read(x, "state", (t, m, c)) + read(x, "state", (t, m, c)))


@kernel
def _misnamed(x, lo, hi):
    write(x, "spikes", lo, x[hi])


@kernel
def _ask_for_everything(x, first, last, left, n, direction, lo, hi):
    for t in range(lo, hi):
        for m in range(first, last):
            ahead(x, t, m, first, last, left, n, direction)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("cut", [np.s_[:], np.s_[:, ::2], np.s_[..., 3:40], np.s_[..., ::3]], ids=str)
def test_an_element_is_where_numpy_finds_it(real, cut):
    """The arrays need not be a single block of memory."""
    x = np.random.default_rng(0).standard_normal((3, 4, 70)).astype(real)
    y = x + 1
    whole, scale = y.copy(), np.arange(x[cut].shape[-1], dtype=real)
    _double(x[cut], scale, y[cut], 1, 3)
    whole[cut][1:] = 2 * scale * x[cut][1:]
    assert np.array_equal(y, whole)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("width", [1, 15, 16, 67])
def test_one_role_may_be_read_and_written(real, width):
    x = np.random.default_rng(1).standard_normal((2, 3, width)).astype(real)
    want = 2 * x
    _double_in_place(x, 0, 2)
    assert np.array_equal(x, want)


def test_unknown_role_is_refused():
    with pytest.raises(TypingError, match=r"role must be one of .*spike.*; got .*spikes"):
        _misnamed(np.zeros(2, np.float32), 0, 1)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (4, 3, prefetch.AHEAD_BYTES)])
def test_asking_changes_nothing_and_may_reach_beyond_the_end(shape, direction):
    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    kept = x.copy()
    steps, rows, channels = shape
    _ask_for_everything(x, 0, rows, 0, channels, direction, 0, steps)
    _ask_for_everything(x, rows - 1, rows, channels // 2, channels, direction, 0, steps)
    assert np.array_equal(x, kept)
