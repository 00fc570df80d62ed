"""Whole training steps in float32 at real sizes, compared with the CPU's."""

import numpy as np
import pytest
from close import DEEP, close
from networks import NETWORKS, step

from numsnn.layers import Mode

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

pytestmark = pytest.mark.gpu

RELAXED = Mode(training=True, store=True, track=True, relaxed=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_relaxed_steps_are_the_cpu_s(name):
    """No spike tips over: everything agrees to rounding."""
    close(step(name, "cuda", RELAXED), step(name, "cpu", RELAXED), DEEP)


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_are_the_cpu_s(name):
    got, want = step(name, "cuda"), step(name, "cpu")
    spikes = [x for x in want if x.dtype == np.uint8]
    assert spikes and all(0.01 < s.mean() < 0.6 for s in spikes)
    close(got, want, DEEP)


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_repeat_to_the_bit(name):
    assert all(np.array_equal(a, b) for a, b in zip(step(name, "cuda"), step(name, "cuda"), strict=True))
